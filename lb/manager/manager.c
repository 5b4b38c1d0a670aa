/* The manager's start in order, its loop, its tick, and its end. It is small on purpose: what happens is in the modules
 * that share its ring. main.c calls it. Owns everything in struct manager. Fatal here is what fails at the start; after
 * that nothing is. */
#include "lb/manager/manager.h"

#include "lb/control/control.h"
#include "lb/engine/container.h"
#include "lb/engine/log.h"
#include "lb/feedback/feedback.h"
#include "lb/limits/limits.h"
#include "lb/manager/notify.h"
#include "lb/manager/outcomes.h"
#include "lb/relay/outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The tick of tiers and of reclaiming; also the grain of failback-delay. */
#define TICK_MS 100u
/* Probes of every backend at once, control clients and feeds. */
#define MANAGER_SLOTS     (BACKENDS_MAX * 2 + 128)
#define MANAGER_BUFFERS   1024u
#define SESSIONS_AUTO_MAX 20000u
/* Of the table in one tick: a million places in 100 s, their keys alone are 8 KiB a step. */
#define SWEEP_PLACES 1024u

int sessions_max_compute(uint32_t wanted, unsigned workers, uint64_t descriptors, uint32_t *ret_max, char *ret_error,
                         size_t error_size) {
    uint64_t each = descriptors > SLOTS_RESERVED + 1 ? (descriptors - SLOTS_RESERVED) / 2 : 0;
    uint64_t fits = each * workers;
    if (fits == 0 || wanted > fits) {
        snprintf(
            ret_error, error_size,
            "[global] max-sessions: %u do not fit: %u workers x (%llu descriptors - %u in reserve) / 2 = %llu; raise "
            "RLIMIT_NOFILE (LimitNOFILE= in the unit) or lower max-sessions",
            wanted, workers, (unsigned long long)descriptors, SLOTS_RESERVED, (unsigned long long)fits);
        return -EINVAL;
    }
    *ret_max = wanted != 0 ? wanted : (uint32_t)(fits < SESSIONS_AUTO_MAX ? fits : SESSIONS_AUTO_MAX);
    return 0;
}

/* --- the roster's events --- */

static void on_published(void *context) {
    struct manager *manager = context;
    workers_wake(&manager->workers);
}

static void on_added(void *context, struct backend *backend) {
    struct manager *manager = context;
    if (health_add(manager->health, backend) < 0)
        log_error("server %s: out of memory: it is not probed", backend->name);
    names_on_added(manager->names, backend);
}

static void on_removed(void *context, struct backend *backend) {
    struct manager *manager = context;
    health_remove(manager->health, backend);
    names_on_removed(manager->names, backend);
}

/* --- what sessions say of backends --- */

static void on_outcomes(void *receiver) {
    struct manager *manager = receiver;
    struct outcome outcome;
    for (unsigned i = 0; i < manager->workers.shared.workers_count; i++) {
        while (worker_take_outcome(manager->workers.shared.workers[i], &outcome)) {
            struct backend *backend = roster_find_serial(manager->roster, outcome.backend_serial);
            if (backend != NULL)
                outcomes_pass_on(manager->health, backend, &outcome);
        }
    }
}

/* --- what sessions say of clients --- */

static void take_sightings(struct manager *manager) {
    struct sighting sighting;
    uint32_t now_s = (uint32_t)time(NULL);
    for (unsigned i = 0; i < manager->workers.shared.workers_count; i++)
        while (worker_take_sighting(manager->workers.shared.workers[i], &sighting))
            reputation_take(&manager->reputation, &sighting, now_s);
}

/* Sightings come in at the tick, in batches; then the sweep goes a step further. */
static void serve_reputation(struct manager *manager) {
    struct reputation *reputation = manager->workers.shared.reputation;
    uint32_t now_s = (uint32_t)time(NULL);
    if (reputation == NULL || (manager->keeper != NULL && keeper_is_loading(manager->keeper)))
        return;
    take_sightings(manager);
    reputation_sweep(reputation, SWEEP_PLACES, now_s);
    lookups_tick(manager->lookups, now_s);
    if (manager->feedback != NULL)
        feedback_tick(manager->feedback, io_now_ms(manager->io));
    if (manager->keeper != NULL)
        keeper_tick(manager->keeper, io_now_ms(manager->io));
}

/* --- the loop --- */

static void on_tick(struct timer *timer) {
    struct manager *manager = container_of(timer, struct manager, tick);
    roster_tick(manager->roster, io_now_ms(manager->io));
    if (manager->control != NULL)
        control_tick(manager->control);
    serve_reputation(manager);
    timer_set(io_timers(manager->io), timer, io_now_ms(manager->io) + TICK_MS);
}

/* As logrotate asks for with its postrotate. */
static void reopen_log(const struct manager *manager) {
    int result = log_reopen();
    if (result < 0)
        log_error("SIGUSR1: [global] log = %s: %s; the old file stays", manager->config->global.log, strerror(-result));
    else if (log_is_file())
        log_info("SIGUSR1: the log file is opened anew");
    else
        log_info("SIGUSR1: [global] log = %s: nothing to open anew", manager->config->global.log);
}

/* SIGTERM and SIGINT are only counted here; stop_step() acts on the count. */
static void on_signal(void *context, unsigned number) {
    struct manager *manager = context;
    switch (number) {
    case SIGHUP:
        files_reload_by_signal(&manager->files);
        break;
    case SIGUSR1:
        reopen_log(manager);
        break;
    case SIGUSR2:
        log_info("SIGUSR2: ignored: this version can't be upgraded while it runs");
        break;
    default:
        manager->stop.signals++;
        break;
    }
}

int manager_init(struct manager *manager, const struct config *config, unsigned workers, char *ret_error,
                 size_t error_size) {
    memset(manager, 0, sizeof *manager);
    manager->config = config;
    manager->signals.fd = -1;
    manager->mailbox.eventfd = -1;
    start_gate_init(&manager->workers.shared.start);
    struct io_options options = {.slots = MANAGER_SLOTS, .buffers = MANAGER_BUFFERS};
    int result = io_create(&options, &manager->io, ret_error, error_size);
    if (result < 0)
        return result;
    manager->started_ms = io_now_ms(manager->io);
    result = resolver_create(manager->io, &config->dns, &manager->resolver, ret_error, error_size);
    if (result < 0)
        return result;
    result = questions_create(manager->io, manager->resolver, &manager->questions);
    if (result < 0) {
        snprintf(ret_error, error_size, "manager: %s", strerror(-result));
        return result;
    }
    struct roster_events events = {manager, on_published, on_added, on_removed};
    result = roster_create(config, workers, manager->started_ms, &events, &manager->roster);
    if (result == 0)
        result = mailbox_init(&manager->mailbox, manager->io, manager, on_outcomes);
    if (result == 0)
        result = signals_open(&manager->signals);
    if (result == 0)
        result = limits_create(config, &manager->workers.shared.limits);
    if (result < 0) {
        snprintf(ret_error, error_size, "manager: %s", strerror(-result));
        return result;
    }
    if (config->reputation.enabled) {
        if (reputation_init(&manager->reputation, config, (uint32_t)time(NULL)) < 0) {
            snprintf(ret_error, error_size, "[reputation] max-entries = %u: out of memory",
                     config->reputation.entries_max);
            return -ENOMEM;
        }
        if (lookups_create(manager->resolver, &manager->reputation, &manager->lookups) < 0) {
            snprintf(ret_error, error_size, "manager: out of memory");
            return -ENOMEM;
        }
        manager->workers.shared.reputation = &manager->reputation;
    }
    manager->files.config = config;
    manager->files.workers = &manager->workers;
    manager->files.reputation = &manager->reputation;
    manager->workers.shared.config = config;
    manager->workers.shared.views = roster_snapshots(manager->roster);
    manager->workers.shared.workers_count = workers;
    manager->workers.shared.manager = &manager->mailbox;
    manager->workers.shared.questions = manager->questions;
    manager->workers.shared.gate_visitors = calloc(GATE_VISITORS, sizeof *manager->workers.shared.gate_visitors);
    if (manager->workers.shared.gate_visitors == NULL) {
        snprintf(ret_error, error_size, "manager: out of memory");
        return -ENOMEM;
    }
    return 0;
}

static bool keeps_reputations(const struct manager *manager) {
    return manager->workers.shared.reputation != NULL && manager->config->global.state_dir[0] != '\0';
}

static int reload(void *context, FILE *errors) {
    struct manager *manager = context;
    return files_reload(&manager->files, errors);
}

/* Everything has been made, nothing here can fail. */
static void begin(struct manager *manager) {
    struct stop *stop = &manager->stop;
    stop->io = manager->io;
    stop->workers = &manager->workers;
    stop->questions = manager->questions;
    stop->health = manager->health;
    stop->timeout_ms = manager->config->global.stop_timeout_ms;
    manager->files.feedback = manager->feedback;
    manager->scope = (struct control_scope){
        .config = manager->config,
        .io = manager->io,
        .mailbox = &manager->mailbox,
        .shared = &manager->workers.shared,
        .roster = manager->roster,
        .health = manager->health,
        .questions = manager->questions,
        .reputation = manager->workers.shared.reputation,
        .lookups = manager->lookups,
        .keeper = manager->keeper,
        .started_ms = manager->started_ms,
        .reload = reload,
        .reload_context = manager,
    };
    signals_start(&manager->signals, manager->io, on_signal, manager);
    manager->tick.expire = on_tick;
    timer_set(io_timers(manager->io), &manager->tick, io_now_ms(manager->io) + TICK_MS);
    if (manager->control != NULL)
        control_start(manager->control, &manager->scope);
    if (manager->feedback != NULL)
        feedback_start(manager->feedback, manager->io, &manager->reputation);
}

/* All that can fail comes before the workers, which serve from then on. */
int manager_start(struct manager *manager, char *ret_error, size_t error_size) {
    const char *step = "io_uring";
    int result = io_start(manager->io);
    if (result == 0) {
        step = "probes";
        mailbox_start(&manager->mailbox);
        questions_start(manager->questions);
        result = health_create(manager->io, manager->config, manager->roster, &manager->health);
    }
    if (result == 0) {
        step = "names of backends";
        result = names_create(manager->io, manager->resolver, manager->roster, manager->config, &manager->names);
    }
    if (result == 0 && keeps_reputations(manager)) {
        step = "thread that keeps reputations";
        result =
            keeper_create(manager->config->global.state_dir, &manager->reputation, &manager->mailbox, &manager->keeper);
    }
    if (result == 0) {
        step = "workers";
        result = workers_start(&manager->workers);
    }
    if (result < 0) {
        snprintf(ret_error, error_size, "start: %s: %s", step, strerror(-result));
        return result;
    }
    begin(manager);
    return 0;
}

/* Not once it is to stop: READY=1 behind STOPPING=1 would be taken for a service that is back. The accepts of the
 * control socket went to the kernel with the manager's first turn, the workers' with theirs. */
static void look_whether_all_serve(struct manager *manager) {
    const struct workers_shared *shared = &manager->workers.shared;
    if (!workers_are_serving(&manager->workers))
        return;
    manager->is_serving = true;
    log_info("postern " POSTERN_VERSION " serves with %u workers, up to %u sessions", shared->workers_count,
             shared->sessions_max);
    notify_service_manager("READY=1");
}

/* The workers' threads can't be joined: their memory, and all that it points to, stays as it is. */
static _Noreturn void leave(struct manager *manager) {
    control_destroy(manager->control);
    log_finish();
    _exit(0);
}

void manager_run(struct manager *manager) {
    enum stop_answer answer;
    do {
        io_wait(manager->io);
        io_dispatch(manager->io);
        if (!manager->is_serving && manager->stop.signals == 0)
            look_whether_all_serve(manager);
        answer = stop_step(&manager->stop);
    } while (answer == STOP_GO_ON);
    if (answer == STOP_LEAVE)
        leave(manager);
    uint64_t doubled = workers_join(&manager->workers);
    if (doubled > 0)
        log_warning("%llu mails were cut before their final reply, and may be delivered twice: see above",
                    (unsigned long long)doubled);
    if (manager->workers.shared.reputation != NULL)
        take_sightings(manager);
}

void manager_finish(struct manager *manager) {
    if (manager->io == NULL)
        return;
    keeper_destroy(manager->keeper);
    names_destroy(manager->names);
    health_destroy(manager->health);
    lookups_destroy(manager->lookups);
    questions_destroy(manager->questions);
    resolver_destroy(manager->resolver);
    control_destroy(manager->control);
    feedback_destroy(manager->feedback);
    mailbox_finish(&manager->mailbox);
    signals_close(&manager->signals);
    io_destroy(manager->io);
    reputation_finish(&manager->reputation);
    roster_destroy(manager->roster);
    files_finish(&manager->files);
    free(manager->workers.shared.gate_visitors);
    limits_destroy(manager->workers.shared.limits);
    start_gate_finish(&manager->workers.shared.start);
}
