/* A worker's thread: wait, look at the newest view, run what has completed. Everything it owns is its own: ring,
 * listeners, pools, sessions; others reach it through its mailbox only. main.c makes it, the manager starts and joins
 * it. Fatal at the start is whatever it cannot make; at the end, by asserts, memory of a pool that was not given back
 * where all sessions have ended. */
#include "lb/relay/worker.h"

#include "lb/engine/log.h"
#include "lb/relay/attempt.h"
#include "lb/relay/client_limits.h"
#include "lb/relay/close_reasons.h"
#include "lb/relay/gate_questions.h"
#include "lb/relay/gate_session.h"
#include "lb/relay/lingerers.h"
#include "lb/relay/listener.h"
#include "lb/relay/outcome.h"
#include "lb/relay/queue.h"
#include "lb/relay/session.h"
#include "lb/relay/session_line.h"
#include "lb/relay/shut_down.h"
#include "lb/relay/sweep.h"
#include "lb/relay/worker_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* --- messages --- */

static void on_wake(void *receiver) {
    queue_note_change(receiver);
}

void worker_wake(struct worker *worker) {
    mailbox_wake(&worker->mailbox);
}

/* --- the loop --- */

/* Sessions on a backend that has just failed. */
static bool hurry_session(struct sweep *sweep, struct session *session) {
    (void)sweep;
    if (session->search.attempt != NULL &&
        backend_set_has(&session->worker->hurry.told, session->search.attempt->backend))
        session_on_backend_failed(session);
    return false; /* a deadline is moved: as good as nothing */
}

static void look_for_failed(struct worker *worker) {
    struct backend_set failed = {0};
    bool has_added = false;
    if (!worker->hurry.sweep.is_running)
        worker->hurry.told = failed;
    for (unsigned i = 0; i < worker->view->tiers_count; i++) {
        const struct view_tier *tier = &worker->view->tiers[i];
        for (unsigned j = 0; j < tier->members_count; j++) {
            const struct backend *backend = tier->members[j].backend;
            if (!tier->members[j].has_failed)
                continue;
            backend_set_add(&failed, backend);
            if (!backend_set_has(&worker->hurry.failed, backend)) {
                backend_set_add(&worker->hurry.told, backend);
                has_added = true;
            }
        }
    }
    worker->hurry.failed = failed;
    if (has_added)
        sweep_begin(&worker->hurry.sweep, &worker->sweeps);
}

/* A client's local address is only needed where a PROXY header to a backend names it, be that one of the file or one
 * that was added since. */
static bool needs_local_addresses(const struct view *view) {
    for (unsigned i = 0; i < view->tiers_count; i++)
        for (unsigned k = 0; k < view->tiers[i].members_count; k++)
            if (view->tiers[i].members[k].backend->proxy != PROXY_NONE)
                return true;
    return false;
}

static void take_local_addresses(struct worker *worker) {
    if (!needs_local_addresses(worker->view))
        return;
    for (unsigned i = 0; i < worker->listeners_count; i++)
        listener_take_addresses(&worker->listeners[i]);
}

static void serve_new_view(struct worker *worker) {
    if (worker->view == worker->view_seen)
        return;
    worker->view_seen = worker->view;
    if (!worker->is_stopping)
        take_local_addresses(worker);
    look_for_failed(worker);
    queue_note_change(worker);
}

/* The first wait ends at once, and has given the accepts to the kernel. */
void worker_begin(struct worker *worker) {
    mailbox_start(&worker->mailbox);
    mailbox_wake(&worker->mailbox);
    worker->view = snapshots_online(worker->shared->views, worker->index);
    take_local_addresses(worker);
    for (unsigned i = 0; i < worker->listeners_count; i++)
        listener_start(&worker->listeners[i]);
}

void worker_turn(struct worker *worker) {
    snapshots_offline(worker->shared->views, worker->index);
    io_wait(worker->io);
    worker->view = snapshots_online(worker->shared->views, worker->index);
    serve_new_view(worker);
    io_dispatch(worker->io);
    sweeps_run(&worker->sweeps);
    queue_run(worker);
}

static struct session *session_at(struct worker *worker, unsigned index) {
    struct session *session = pool_at(&worker->sessions, index);
    return session->stage == STAGE_FREE ? NULL : session;
}

/* Of those that were about to say something. There may be more of them than the log has room for, and nobody waits for
 * this worker any more. */
static void log_last_sessions(struct worker *worker) {
    bool log_takes = true;
    for (unsigned i = 0; i < worker->sessions.touched; i++) {
        struct session *session = session_at(worker, i);
        if (session == NULL || !session_has_ended(session))
            continue;
        log_takes = log_takes && log_await_room();
        session_line_write(session);
    }
}

/* Where all sessions and attempts have ended, nothing that they had is left. */
static void check_rest(const struct worker *worker) {
    struct io_stats stats;
    if (worker->sessions.in_use > 0 || worker->attempts.in_use > 0)
        return;
    io_read_stats(worker->io, &stats);
    assert(worker->replay_chunks.in_use == 0 && worker->locals.in_use == 0);
    assert(worker->gates.in_use == 0 && worker->blames.in_use == 0);
    assert(worker->queue.waiting == 0 && worker->shut_down.told == 0 && stats.buffers_in_use == 0);
}

static void serve(struct worker *worker) {
    worker_begin(worker);
    while (!shut_down_is_over(worker)) {
        worker_turn(worker);
        if (!atomic_load_explicit(&worker->is_serving, memory_order_relaxed)) {
            atomic_store(&worker->is_serving, true);
            mailbox_wake(worker->shared->manager);
        }
    }
    snapshots_offline(worker->shared->views, worker->index);
    log_last_sessions(worker);
    check_rest(worker);
}

static void *worker_run(void *argument) {
    struct worker *worker = argument;
    int result = log_join();
    if (result == 0)
        result = io_start(worker->io);
    if (start_gate_arrive(&worker->shared->start, result))
        serve(worker);
    atomic_store(&worker->has_ended, true);
    mailbox_wake(worker->shared->manager);
    return NULL;
}

bool worker_is_serving(const struct worker *worker) {
    return atomic_load(&worker->is_serving);
}

bool worker_has_ended(const struct worker *worker) {
    return atomic_load(&worker->has_ended);
}

/* --- making and ending --- */

static void init_listeners(struct worker *worker, const struct listener_socket *sockets, unsigned count) {
    worker->listeners_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct listener *listener = &worker->listeners[i];
        listener->worker = worker;
        listener->config = sockets[i].config;
        listener->address = sockets[i].address;
        listener->fd = sockets[i].fd;
        listener->is_direct = true;
    }
}

static unsigned slots_for(const struct workers_shared *shared) {
    struct rlimit limit;
    uint64_t wanted = 2 * (uint64_t)shared->sessions_max + SLOTS_RESERVED;
    getrlimit(RLIMIT_NOFILE, &limit);
    return (unsigned)(wanted < limit.rlim_cur ? wanted : limit.rlim_cur);
}

/* Three for each session: one a direction, and its last words. Two for each attempt, of which there are two a session:
 * what it sends (a PROXY header, a replayed command, what a flow left to it) and what it has received (a greeting, a
 * reply in a replay). Those lent to the kernel are beside these. None is touched before it is needed. With more than
 * 9,279 sessions a worker the ring's ids do not suffice for the worst case (IO_BULK_FIRST): then receives wait for a
 * buffer in their order, and it is said in the log. */
static unsigned buffers_for(unsigned capacity) {
    return 3 * capacity + 2 * (2 * capacity) + IO_BUFFERS_LENT;
}

/* Returns 0 or -errno; then some may be there. */
static int init_pools(struct worker *worker, unsigned capacity) {
    int result = pool_init(&worker->sessions, sizeof(struct session), capacity);
    if (result == 0) /* a session's earlier attempts may still be closing */
        result = pool_init(&worker->attempts, sizeof(struct attempt), 2 * capacity);
    if (result == 0) /* an EHLO line for each, six more for a quarter of them in a transaction, one long log or two */
        result = pool_init(&worker->replay_chunks, sizeof(struct replay_chunk), capacity + capacity * 6 / 4 + 512);
    if (result == 0)
        result = pool_init(&worker->locals, sizeof(struct address), capacity);
    if (result == 0)
        result = lingerers_init(&worker->lingerers, capacity);
    if (result == 0)
        result = pool_init(&worker->gates, sizeof(struct gate_dialog), capacity);
    if (result == 0)
        result = pool_init(&worker->gate_questions, sizeof(struct gate_question), GATE_QUESTIONS_MAX);
    if (result == 0)
        result = pool_init(&worker->blames, sizeof(struct blame), capacity);
    if (result == 0)
        result = spsc_init(&worker->outcomes, sizeof(struct outcome), OUTCOMES_MAX);
    if (result == 0)
        result = spsc_init(&worker->sightings, sizeof(struct sighting), SIGHTINGS_MAX);
    if (result == 0)
        result = own_replies_init(worker);
    return result;
}

int worker_create(struct workers_shared *shared, unsigned index, const struct listener_socket *listeners,
                  unsigned listeners_count, struct worker **ret_worker, char *ret_error, size_t error_size) {
    size_t alignment = _Alignof(struct worker);
    struct worker *worker = aligned_alloc(alignment, (sizeof *worker + alignment - 1) / alignment * alignment);
    if (worker == NULL) {
        snprintf(ret_error, error_size, "out of memory");
        return -ENOMEM;
    }
    memset(worker, 0, sizeof *worker);
    unsigned slots = slots_for(shared);
    worker->shared = shared;
    worker->index = index;
    chance_init(&worker->chance, (uint64_t)getpid() * CONFIG_WORKERS_MAX + index);
    worker->mailbox.eventfd = -1;
    worker->hedge_tokens = HEDGE_TOKENS_MAX;
    queue_init(worker);
    client_limits_init(worker);
    worker->hurry.sweep.visit = hurry_session;
    shut_down_init(worker);
    /* Each session takes two descriptors; the reserve serves those that only hear a refusal. */
    worker->sessions_share = slots > SLOTS_RESERVED + 2 ? (slots - SLOTS_RESERVED) / 2 : 1;
    /* Beside them, each accept that is armed is a session to be. */
    unsigned capacity = worker->sessions_share + SLOTS_RESERVED / 2 + listeners_count * ACCEPTS_PER_LISTENER;
    struct io_options options = {.slots = slots, .buffers = buffers_for(capacity), .has_bulk = true};
    int result = io_create(&options, &worker->io, ret_error, error_size);
    if (result < 0) {
        free(worker);
        return result;
    }
    worker->sweeps.io = worker->io;
    worker->sweeps.sessions = &worker->sessions;
    result = init_pools(worker, capacity);
    if (result == 0)
        result = mailbox_init(&worker->mailbox, worker->io, worker, on_wake);
    if (result < 0) {
        snprintf(ret_error, error_size, "worker: %s", strerror(-result));
        worker_destroy(worker);
        return result;
    }
    init_listeners(worker, listeners, listeners_count);
    *ret_worker = worker;
    return 0;
}

int worker_start(struct worker *worker) {
    return -pthread_create(&worker->thread, NULL, worker_run, worker);
}

void worker_join(struct worker *worker) {
    pthread_join(worker->thread, NULL);
}

void worker_destroy(struct worker *worker) {
    if (worker == NULL)
        return;
    for (unsigned i = 0; i < worker->listeners_count; i++)
        if (worker->listeners[i].fd >= 0)
            close(worker->listeners[i].fd);
    mailbox_finish(&worker->mailbox);
    pool_finish(&worker->sessions);
    pool_finish(&worker->attempts);
    pool_finish(&worker->replay_chunks);
    pool_finish(&worker->locals);
    lingerers_finish(&worker->lingerers);
    pool_finish(&worker->gates);
    pool_finish(&worker->gate_questions);
    pool_finish(&worker->blames);
    spsc_finish(&worker->outcomes);
    spsc_finish(&worker->sightings);
    io_destroy(worker->io);
    free(worker->own_replies);
    free(worker);
}

bool worker_take_outcome(struct worker *worker, struct outcome *ret_outcome) {
    return spsc_take(&worker->outcomes, ret_outcome);
}

bool worker_take_sighting(struct worker *worker, struct sighting *ret_sighting) {
    return spsc_take(&worker->sightings, ret_sighting);
}

void worker_read_counters(const struct worker *worker, struct worker_counters *ret_counters) {
    const struct counters *counters = &worker->counters;
    *ret_counters = (struct worker_counters){
#define COUNTER(name, text) .name = atomic_load_explicit(&counters->name, memory_order_relaxed),
#include "lb/relay/counters.def"
#undef COUNTER
        .outcomes_dropped = atomic_load_explicit(&worker->outcomes.dropped, memory_order_relaxed),
        .sightings_dropped = atomic_load_explicit(&worker->sightings.dropped, memory_order_relaxed),
    };
    io_read_stats(worker->io, &ret_counters->io);
}
