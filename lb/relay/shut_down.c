/* The end of sessions from outside: of all of a worker at a stop, of those on one backend by `shutdown sessions`. One
 * walk serves both: at each tick a sweep looks at all sessions, and a bounded number of them end, so that their clients
 * do not all come back in the same instant. moment.c says when a session can be ended. The manager asks by message.
 * Owns the worker's struct shut_down. */
#include "lb/relay/shut_down.h"

#include "lb/relay/attempt.h"
#include "lb/relay/listener.h"
#include "lb/relay/moment.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <string.h>

enum wait { WAIT_CONTENT, WAIT_FINAL_REPLY, WAIT_TLS, WAIT_OTHERS };

static bool is_stopping(const struct worker *worker) {
    return worker->shut_down.state != WORKER_SERVES;
}

static enum wait wait_for(enum moment moment) {
    switch (moment) {
    case MOMENT_CONTENT:
    case MOMENT_CONTENT_READ:
        return WAIT_CONTENT;
    case MOMENT_FINAL_REPLY:
        return WAIT_FINAL_REPLY;
    case MOMENT_QUIET_TLS:
        return WAIT_TLS;
    case MOMENT_NOW:
    case MOMENT_QUIET_COMMAND:
    case MOMENT_LAST_WORDS:
    case MOMENT_BY_ITSELF:
        break;
    }
    return WAIT_OTHERS;
}

/* Its time is over. Who is in the middle of content would hear the 421 behind it; a stop does not wait for that. */
static void cut(struct session *session, enum moment moment) {
    if (moment != MOMENT_CONTENT_READ)
        session_move(session, moment_end(session, moment));
    if (session->stage == STAGE_SWALLOWING && is_stopping(session->worker))
        session_move(session, STAGE_REFUSING);
}

static bool is_overdue(const struct session *session) {
    const struct shut_down *shut_down = &session->worker->shut_down;
    if (shut_down->state == WORKER_CUTS || shut_down->state == WORKER_LEAVES)
        return true;
    return session->relay.is_shutting_down && io_now_ms(session->worker->io) >= session->relay_end.by_ms;
}

/* No more than its share of a tick; a worker that cuts has no time for that. */
static bool has_turn(struct shut_down *shut_down) {
    if (shut_down->state == WORKER_CUTS || shut_down->state == WORKER_LEAVES)
        return true;
    return shut_down->ends_left > 0 && shut_down->ends_left-- > 0;
}

/* Returns true when it has been ended. */
static bool look_at(struct sweep *sweep, struct session *session) {
    (void)sweep;
    if (session->stage == STAGE_FREE || !moment_is_told(session))
        return false;
    struct shut_down *shut_down = &session->worker->shut_down;
    enum moment moment = session_moment(session);
    shut_down->waits_at[wait_for(moment)]++;
    bool is_cut = moment != MOMENT_BY_ITSELF && is_overdue(session);
    if ((!is_cut && !moment_has_come(session, moment)) || !has_turn(shut_down))
        return false;
    if (is_cut)
        cut(session, moment);
    else
        session_move(session, moment_end(session, moment));
    return true;
}

/* --- the walk --- */

static void begin_walk(struct worker *worker) {
    struct shut_down *shut_down = &worker->shut_down;
    shut_down->walk_state = shut_down->state;
    memset(shut_down->waits_at, 0, sizeof shut_down->waits_at);
    sweep_begin(&shut_down->sweep, &worker->sweeps);
}

static void enter(struct worker *worker, enum stop_state state, uint64_t lasts_ms) {
    worker->shut_down.state = state;
    worker->shut_down.limit_ms = io_now_ms(worker->io) + lasts_ms;
}

static void on_walked(struct sweep *sweep) {
    struct worker *worker = container_of(sweep, struct worker, shut_down.sweep);
    struct shut_down *shut_down = &worker->shut_down;
    for (unsigned i = 0; i < SHUT_DOWN_WAITS; i++)
        atomic_store_explicit(&shut_down->waits[i], shut_down->waits_at[i], memory_order_relaxed);
    if (shut_down->walk_state == WORKER_CUTS && shut_down->state == WORKER_CUTS)
        enter(worker, WORKER_LEAVES, shut_down->is_in_haste ? LAST_WORDS_IN_HASTE_MS : LINGER_TIME_MS);
}

static void on_tick(struct timer *timer) {
    struct worker *worker = container_of(timer, struct worker, shut_down.tick);
    struct shut_down *shut_down = &worker->shut_down;
    uint64_t now_ms = io_now_ms(worker->io);
    if (worker->sessions.in_use > 0)
        shut_down->session_ms = now_ms;
    if (shut_down->state == WORKER_STOPS && now_ms >= shut_down->limit_ms)
        enter(worker, WORKER_CUTS, 0);
    shut_down->ends_left = SHUT_DOWN_ENDS_PER_TICK;
    if (!shut_down->sweep.is_running)
        begin_walk(worker);
    if (is_stopping(worker) || shut_down->told > 0)
        timer_set(io_timers(worker->io), timer, now_ms + SHUT_DOWN_TICK_MS);
}

/* The first tick is due at once. */
static void begin_ticks(struct worker *worker) {
    timer_set(io_timers(worker->io), &worker->shut_down.tick, io_now_ms(worker->io));
}

void shut_down_init(struct worker *worker) {
    worker->shut_down.tick.expire = on_tick;
    worker->shut_down.sweep.visit = look_at;
    worker->shut_down.sweep.on_done = on_walked;
}

/* Backends that have not greeted yet are waited for no longer than for a client's end. */
bool shut_down_is_over(const struct worker *worker) {
    const struct shut_down *shut_down = &worker->shut_down;
    uint64_t now_ms = io_now_ms(worker->io);
    if (!is_stopping(worker))
        return false;
    if (shut_down->state == WORKER_LEAVES && now_ms >= shut_down->limit_ms)
        return true;
    for (unsigned i = 0; i < worker->listeners_count; i++)
        if (worker->listeners[i].state != LISTENER_CLOSED)
            return false;
    bool is_alone = worker->attempts.in_use == 0 || now_ms - shut_down->session_ms >= LINGER_TIME_MS;
    return worker->sessions.in_use == 0 && is_alone;
}

/* --- messages --- */

static void on_stop(struct message *message, void *receiver) {
    struct worker *worker = receiver;
    (void)message;
    worker->is_stopping = true;
    worker->shut_down.session_ms = io_now_ms(worker->io);
    for (unsigned i = 0; i < worker->listeners_count; i++)
        listener_stop(&worker->listeners[i]);
    enter(worker, WORKER_STOPS, atomic_load(&worker->shut_down.timeout_ms));
    begin_ticks(worker);
}

void worker_stop(struct worker *worker, uint64_t timeout_ms) {
    atomic_store(&worker->shut_down.timeout_ms, timeout_ms);
    worker->shut_down.stop_message.deliver = on_stop;
    mailbox_post(&worker->mailbox, &worker->shut_down.stop_message);
}

static void on_cut(struct message *message, void *receiver) {
    struct worker *worker = receiver;
    (void)message;
    worker->shut_down.is_in_haste = true;
    if (worker->shut_down.state == WORKER_LEAVES)
        worker->shut_down.limit_ms = io_now_ms(worker->io);
    else
        enter(worker, WORKER_CUTS, 0);
}

void worker_cut(struct worker *worker) {
    worker->shut_down.cut_message.deliver = on_cut;
    mailbox_post(&worker->mailbox, &worker->shut_down.cut_message);
}

void worker_read_waits(const struct worker *worker, struct worker_waits *ret_waits) {
    const atomic_uint *waits = worker->shut_down.waits;
    *ret_waits = (struct worker_waits){
        .content = atomic_load_explicit(&waits[WAIT_CONTENT], memory_order_relaxed),
        .final_reply = atomic_load_explicit(&waits[WAIT_FINAL_REPLY], memory_order_relaxed),
        .tls = atomic_load_explicit(&waits[WAIT_TLS], memory_order_relaxed),
        .others = atomic_load_explicit(&waits[WAIT_OTHERS], memory_order_relaxed),
    };
}

/* Returns true when it has been ended: who is just being carried over to the backend awaits a reply. */
static bool tell(struct session *session, struct sessions_shutdown *request) {
    struct worker *worker = session->worker;
    enum moment moment = session_moment(session);
    if (moment == MOMENT_BY_ITSELF || moment == MOMENT_LAST_WORDS || moment == MOMENT_CONTENT_READ)
        return false;
    request->count++;
    request->later += moment != MOMENT_NOW;
    if (session->stage != STAGE_RELAY) {
        session_close(session, CLOSE_SHUTDOWN);
        return true;
    }
    moment_tell(session, io_now_ms(worker->io) + worker->shared->config->global.stop_timeout_ms);
    return false;
}

/* Where its backend has not greeted yet it asks another one, and its client notices nothing. */
static bool tell_session(struct sweep *sweep, struct session *session) {
    struct sessions_shutdown *request = container_of(sweep, struct sessions_shutdown, sweep);
    const struct backend *backend = request->backend;
    bool is_there = session->search.attempt != NULL && session->search.attempt->backend == backend;
    bool is_hedged_there = session->search.hedge != NULL && session->search.hedge->backend == backend;
    if ((is_there || is_hedged_there) && session_on_backend_shut_down(session, backend))
        return true;
    return is_there && tell(session, request);
}

static void on_all_told(struct sweep *sweep) {
    struct sessions_shutdown *request = container_of(sweep, struct sessions_shutdown, sweep);
    struct worker *worker = container_of(sweep->sweeps, struct worker, sweeps);
    if (worker->shut_down.told > 0 && !timer_is_set(&worker->shut_down.tick))
        begin_ticks(worker);
    request->message.deliver = request->on_reply;
    mailbox_post(request->reply, &request->message);
}

static void tell_sessions(struct message *message, void *receiver) {
    struct sessions_shutdown *request = container_of(message, struct sessions_shutdown, message);
    struct worker *worker = receiver;
    request->sweep = (struct sweep){.visit = tell_session, .on_done = on_all_told};
    sweep_begin(&request->sweep, &worker->sweeps);
}

void worker_shutdown_sessions(struct worker *worker, struct sessions_shutdown *request) {
    request->message.deliver = tell_sessions;
    mailbox_post(&worker->mailbox, &request->message);
}
