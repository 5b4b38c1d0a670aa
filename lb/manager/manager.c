/* The manager's loop. It is small on purpose: what happens is in the modules that share its ring. */
#include "lb/manager/manager.h"

#include "lb/control/control.h"
#include "lb/control/verbs.h"
#include "lb/engine/log.h"
#include "lb/feedback/feedback.h"
#include "lb/manager/notify.h"
#include "lb/manager/signals.h"
#include "lb/relay/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    for (unsigned i = 0; manager->has_workers && i < manager->shared.workers_count; i++)
        worker_wake(manager->shared.workers[i]);
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

static void take_outcome(struct health *health, struct backend *backend, const struct outcome *outcome) {
    switch ((enum outcome_kind)outcome->kind) {
    case OUTCOME_DOUBT:
        health_on_doubt(health, backend);
        break;
    case OUTCOME_CONVICTION:
        health_on_conviction(health, backend, (enum backend_step)outcome->step, outcome->client_key);
        break;
    case OUTCOME_CONTENT_LOST:
        health_on_content_lost(health, backend, outcome->client_key);
        break;
    }
}

static void on_outcomes(void *receiver) {
    struct manager *manager = receiver;
    struct outcome outcome;
    for (unsigned i = 0; i < manager->shared.workers_count; i++) {
        while (worker_take_outcome(manager->shared.workers[i], &outcome)) {
            struct backend *backend = roster_find_serial(manager->roster, outcome.backend_serial);
            if (backend != NULL)
                take_outcome(manager->health, backend, &outcome);
        }
    }
}

/* --- what sessions say of clients --- */

static void take_sightings(struct manager *manager) {
    struct sighting sighting;
    uint32_t now_s = (uint32_t)time(NULL);
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        while (worker_take_sighting(manager->shared.workers[i], &sighting))
            reputation_take(&manager->reputation, &sighting, now_s);
}

/* Sightings come in at the tick, in batches; then the sweep goes a step further. */
static void serve_reputation(struct manager *manager) {
    struct reputation *reputation = manager->shared.reputation;
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
    waits_serve(manager);
    walks_serve(manager);
    serve_reputation(manager);
    timer_set(io_timers(manager->io), timer, io_now_ms(manager->io) + TICK_MS);
}

int manager_init(struct manager *manager, const struct config *config, unsigned workers, char *ret_error,
                 size_t error_size) {
    memset(manager, 0, sizeof *manager);
    manager->config = config;
    manager->signal_fd = -1;
    manager->mailbox.eventfd = -1;
    start_gate_init(&manager->shared.start);
    manager->started = time(NULL);
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
        result = signals_open(manager);
    if (result < 0) {
        snprintf(ret_error, error_size, "manager: %s", strerror(-result));
        return result;
    }
    if (config->reputation.enabled) {
        if (reputation_init(&manager->reputation, config, (uint32_t)manager->started) < 0) {
            snprintf(ret_error, error_size, "[reputation] max-entries = %u: out of memory",
                     config->reputation.entries_max);
            return -ENOMEM;
        }
        if (lookups_create(manager->resolver, &manager->reputation, &manager->lookups) < 0) {
            snprintf(ret_error, error_size, "manager: out of memory");
            return -ENOMEM;
        }
        manager->shared.reputation = &manager->reputation;
    }
    manager->shared.config = config;
    manager->shared.views = roster_snapshots(manager->roster);
    manager->shared.workers_count = workers;
    manager->shared.manager = &manager->mailbox;
    manager->shared.questions = manager->questions;
    manager->shared.gate_visitors = calloc(GATE_VISITORS, sizeof *manager->shared.gate_visitors);
    if (manager->shared.gate_visitors == NULL) {
        snprintf(ret_error, error_size, "manager: out of memory");
        return -ENOMEM;
    }
    return 0;
}

static void release_access(struct retired *retired) {
    access_free(container_of(retired, struct access, retired));
}

void manager_set_access(struct manager *manager, struct access *access) {
    struct access *old = manager->access;
    manager->access = access;
    reputation_set_access(&manager->reputation, access, (uint32_t)time(NULL));
    atomic_store(&manager->shared.access, access);
    if (old != NULL)
        snapshots_retire(manager->shared.views, &old->retired, release_access);
    on_published(manager);
}

static void release_gate_tables(struct retired *retired) {
    gate_tables_free(container_of(retired, struct gate_tables, retired));
}

void manager_set_gate_tables(struct manager *manager, struct gate_tables *tables) {
    struct gate_tables *old = manager->gate_tables;
    manager->gate_tables = tables;
    atomic_store(&manager->shared.gate_tables, tables);
    if (old != NULL)
        snapshots_retire(manager->shared.views, &old->retired, release_gate_tables);
    on_published(manager);
}

/* Their threads are made and get ready; none begins before all have, and where one can't, all end. */
static int start_workers(struct manager *manager) {
    struct workers_shared *shared = &manager->shared;
    unsigned started = 0;
    int result = 0;
    while (result == 0 && started < shared->workers_count) {
        result = worker_start(shared->workers[started]);
        started += result == 0;
    }
    int ready = start_gate_await(&shared->start, started);
    if (result == 0)
        result = ready;
    start_gate_decide(&shared->start, result == 0);
    manager->has_workers = result == 0;
    for (unsigned i = 0; result < 0 && i < started; i++)
        worker_join(shared->workers[i]);
    return result;
}

static bool keeps_reputations(const struct manager *manager) {
    return manager->shared.reputation != NULL && manager->config->global.state_dir[0] != '\0';
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
        result = start_workers(manager);
    }
    if (result < 0) {
        snprintf(ret_error, error_size, "start: %s: %s", step, strerror(-result));
        return result;
    }
    signals_start(manager);
    manager->tick.expire = on_tick;
    timer_set(io_timers(manager->io), &manager->tick, io_now_ms(manager->io) + TICK_MS);
    if (manager->control != NULL)
        control_start(manager->control, manager);
    if (manager->feedback != NULL)
        feedback_start(manager->feedback, manager->io, &manager->reputation);
    return 0;
}

/* Not once it is to stop: READY=1 behind STOPPING=1 would be taken for a service that is back. The accepts of the
 * control socket went to the kernel with the manager's first turn, the workers' with theirs. */
static void look_whether_all_serve(struct manager *manager) {
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        if (!worker_is_serving(manager->shared.workers[i]))
            return;
    manager->is_serving = true;
    log_info("postern " POSTERN_VERSION " serves with %u workers, up to %u sessions", manager->shared.workers_count,
             manager->shared.sessions_max);
    notify_service_manager("READY=1");
}

void manager_run(struct manager *manager) {
    do {
        io_wait(manager->io);
        io_dispatch(manager->io);
        if (!manager->is_serving && manager->stop.signals == 0)
            look_whether_all_serve(manager);
    } while (!stop_step(manager));
    struct worker_counters counters;
    uint64_t doubled = 0;
    for (unsigned i = 0; i < manager->shared.workers_count; i++) {
        worker_join(manager->shared.workers[i]);
        worker_read_counters(manager->shared.workers[i], &counters);
        doubled += counters.doubled_total;
    }
    if (doubled > 0)
        log_warning("%llu mails were cut before their final reply, and may be delivered twice: see above",
                    (unsigned long long)doubled);
    if (manager->shared.reputation != NULL)
        take_sightings(manager);
}

void manager_finish(struct manager *manager) {
    if (manager->io == NULL)
        return;
    waits_finish(manager);
    walks_finish(manager);
    keeper_destroy(manager->keeper);
    names_destroy(manager->names);
    health_destroy(manager->health);
    lookups_destroy(manager->lookups);
    questions_destroy(manager->questions);
    resolver_destroy(manager->resolver);
    control_destroy(manager->control);
    feedback_destroy(manager->feedback);
    mailbox_finish(&manager->mailbox);
    if (manager->signal_fd >= 0)
        close(manager->signal_fd);
    io_destroy(manager->io);
    reputation_finish(&manager->reputation);
    roster_destroy(manager->roster);
    access_free(manager->access);
    gate_tables_free(manager->gate_tables);
    free(manager->shared.gate_visitors);
    start_gate_finish(&manager->shared.start);
}
