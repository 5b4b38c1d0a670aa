/* The stage queued: sessions that wait for a backend with a free slot. They are two lists of each worker, vetted
 * clients first. The tier's bound is on the sum over all workers, and so is that order: while a vetted client waits
 * with any worker, nobody else takes a slot that it could have. A freed slot, a new view and a tick each let the
 * waiting choose again; the tick covers a wake-up lost between two workers.
 *
 * search.c sends sessions here, and they go on to the search. Owns the lists and session->queue. */
#include "lb/relay/queue.h"

#include "lb/relay/early.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#define TICK_MS 100u

static unsigned list_of(const struct session *session) {
    return session->client.is_vetted ? 0 : 1;
}

/* Who has tried a backend already may be waiting for another one than is free, so nobody yields to it. */
static bool has_precedence(const struct session *session) {
    return session->client.is_vetted && session->search.tries == 0;
}

bool queue_must_yield(const struct session *session, const struct view_tier *tier) {
    if (session->client.is_vetted || session->search.tries > 0 || atomic_load(tier->waiting_vetted) == 0)
        return false;
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (member->is_usable && member->weight > 0 && member->sessions_max == 0)
            return false; /* there is room for all */
    }
    return true;
}

static void link_last(struct session *session) {
    struct worker *worker = session->worker;
    unsigned list = list_of(session);
    session->queue.next = NULL;
    session->queue.previous = worker->queue.last[list];
    if (session->queue.previous != NULL)
        session->queue.previous->queue.next = session;
    else
        worker->queue.first[list] = session;
    worker->queue.last[list] = session;
    worker->queue.waiting++;
}

static void unlink_waiting(struct session *session) {
    struct worker *worker = session->worker;
    unsigned list = list_of(session);
    if (worker->queue.pass.at == session)
        worker->queue.pass.at = session->queue.next;
    if (session->queue.previous != NULL)
        session->queue.previous->queue.next = session->queue.next;
    else
        worker->queue.first[list] = session->queue.next;
    if (session->queue.next != NULL)
        session->queue.next->queue.previous = session->queue.previous;
    else
        worker->queue.last[list] = session->queue.previous;
    worker->queue.waiting--;
}

enum stage_id queue_join(struct session *session, const struct view_tier *tier) {
    struct worker *worker = session->worker;
    if (atomic_fetch_add(tier->waiting, 1) >= tier->config->queue_max) {
        atomic_fetch_sub(tier->waiting, 1);
        return session_end(session, CLOSE_QUEUE_FULL);
    }
    if (has_precedence(session))
        atomic_fetch_add(tier->waiting_vetted, 1);
    link_last(session);
    if (!timer_is_set(&worker->queue.tick))
        timer_set(io_timers(worker->io), &worker->queue.tick, io_now_ms(worker->io) + TICK_MS);
    return STAGE_QUEUED;
}

static void leave(struct session *session) {
    const struct view_tier *tier = &session->worker->view->tiers[session->search.tier];
    atomic_fetch_sub(tier->waiting, 1);
    if (has_precedence(session))
        atomic_fetch_sub(tier->waiting_vetted, 1);
    unlink_waiting(session);
}

/* True when there is something for a waiting session to do other than wait on: a slot, or another tier. */
static bool may_move(struct session *session) {
    const struct view_tier *tier = &session->worker->view->tiers[session->search.tier];
    if (!tier->is_up && !tier->is_starting)
        return true;
    bool waits_for_any = queue_must_yield(session, tier), may_take = !waits_for_any;
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (backend_set_has(&session->search.tried, member->backend) || member->weight == 0)
            continue;
        if (may_take && member->is_usable &&
            (member->sessions_max == 0 || atomic_load(&member->backend->in_use) < member->sessions_max))
            return true;
        waits_for_any |= member->is_usable || member->is_starting;
    }
    return !waits_for_any;
}

/* Its precedence lasts until it has taken what it chooses: with nobody waiting for this moment, another worker's
 * client would. */
static void choose_again(struct session *session) {
    atomic_uint *waiting_vetted = session->worker->view->tiers[session->search.tier].waiting_vetted;
    unsigned precedence = has_precedence(session);
    uint64_t deadline = session->deadline.deadline_ms;
    atomic_fetch_add(waiting_vetted, precedence);
    session_move(session, STAGE_SEARCH);
    atomic_fetch_sub(waiting_vetted, precedence);
    if (session->stage == STAGE_QUEUED) /* waiting on: its time runs on */
        timer_set(io_timers(session->worker->io), &session->deadline, deadline);
}

void queue_note_change(struct worker *worker) {
    worker->queue.pass.is_due = worker->queue.waiting > 0;
}

static void begin_list(struct worker *worker, unsigned list) {
    struct queue *queue = &worker->queue;
    queue->pass.list = (uint8_t)list;
    queue->pass.at = worker->queue.first[list];
    queue->pass.left = worker->queue.waiting;
}

/* Looks at the next one. Returns true when it has chosen again. */
static bool look_at_next(struct worker *worker) {
    struct queue *queue = &worker->queue;
    struct session *session = queue->pass.at;
    if (session == NULL || queue->pass.left == 0) {
        queue->pass.is_running = queue->pass.list == 0;
        begin_list(worker, 1);
        return false;
    }
    queue->pass.at = session->queue.next;
    queue->pass.left--;
    /* Where a session that has tried nothing yet can't move, none like it can. */
    unsigned tier = 1u << session->search.tier;
    bool is_stuck = session->search.tries == 0 && (queue->pass.stuck_tiers & tier) != 0;
    if (!is_stuck && may_move(session)) {
        choose_again(session);
        return true;
    }
    if (session->search.tries == 0)
        queue->pass.stuck_tiers |= tier;
    return false;
}

/* A pass goes to its end before the next begins, so that nobody is passed over for ever. */
void queue_run(struct worker *worker) {
    struct queue *queue = &worker->queue;
    unsigned moved = 0;
    if (queue->pass.is_due && !queue->pass.is_running) {
        queue->pass.is_running = true;
        queue->pass.is_due = false;
        queue->pass.stuck_tiers = 0;
        begin_list(worker, 0);
    }
    unsigned looks_max = io_may_begin_work(worker->io) ? LOOKS_PER_TURN : 0;
    for (unsigned looks = 0; queue->pass.is_running && looks < looks_max && moved < QUEUED_PER_TURN; looks++)
        moved += look_at_next(worker);
    if (queue->pass.is_running || queue->pass.is_due)
        io_hurry(worker->io);
}

/* Its own vetted clients first, then those of others, then the rest likewise. */
void queue_on_slot_freed(struct worker *worker, unsigned tier_index) {
    const struct view_tier *tier = &worker->view->tiers[tier_index];
    bool wakes_others = worker->queue.first[0] == NULL && atomic_load(tier->waiting_vetted) > 0;
    if (!wakes_others && worker->queue.waiting > 0) {
        timer_set(io_timers(worker->io), &worker->queue.tick, io_now_ms(worker->io));
        return;
    }
    if (atomic_load(tier->waiting) == 0)
        return;
    for (unsigned i = 0; i < worker->shared->workers_count; i++)
        if (worker->shared->workers[i] != worker)
            mailbox_wake(&worker->shared->workers[i]->mailbox);
}

/* While anybody waits: covers a wake-up that was lost between two workers. */
static void on_tick(struct timer *timer) {
    struct worker *worker = container_of(timer, struct worker, queue.tick);
    queue_note_change(worker);
    if (worker->queue.waiting > 0)
        timer_set(io_timers(worker->io), timer, io_now_ms(worker->io) + TICK_MS);
}

void queue_init(struct worker *worker) {
    worker->queue.tick.expire = on_tick;
}

/* --- the stage --- */

static uint64_t deadline_ms(const struct session *session, uint64_t now_ms) {
    uint64_t queue_end_ms = now_ms + session->worker->shared->config->tiers[session->search.tier].queue_timeout_ms;
    uint64_t search_end_ms = session->search.begun_ms + SEARCH_TIME_MAX_MS;
    return queue_end_ms < search_end_ms ? queue_end_ms : search_end_ms;
}

static enum stage_id on_timeout(struct session *session) {
    return session_end(session, CLOSE_QUEUE_TIMEOUT);
}

const struct stage stage_queued = {
    .name = "queued",
    .moves = TO(SEARCH) | TO(ENDING),
    .leave = leave,
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = early_on_received,
    .on_sent = early_on_sent,
    .moment = session_may_end_now,
};
