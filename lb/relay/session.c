/* The dispatcher: what happens to a session goes to its stage's row (stage.h), and the stage that the row's handler
 * returns comes next. Here alone session->stage is written. Nothing recurses: a handler has returned before the next
 * one is called, and whatever it has set going answers in a later turn of the loop.
 *
 * A session's memory is of its worker's pool; ending.c gives it back. Fatal here, by asserts, are a move that the row
 * does not allow, and an event that the stage can't have. */
#include "lb/relay/session.h"

#include "lb/engine/log.h"
#include "lb/relay/worker_private.h"

#include <assert.h>
#include <string.h>

static const struct stage *row_of(const struct session *session) {
    return stages[session->stage];
}

const char *session_stage_name(const struct session *session) {
    return row_of(session)->name;
}

bool session_has_ended(const struct session *session) {
    return row_of(session)->is_end;
}

/* --- moves --- */

static void set_deadline(struct session *session, const struct stage *row) {
    struct io *io = session_io(session);
    if (row->is_transient)
        return;
    if (row->deadline_ms == NULL)
        timer_cancel(&session->deadline);
    else
        timer_set(io_timers(io), &session->deadline, row->deadline_ms(session, io_now_ms(io)));
}

/* Behind begin() the session may be gone: a stage that frees it goes on to none. */
static void go_to(struct session *session, enum stage_id next) {
    while (next != STAGE_SAME) {
        const struct stage *from = row_of(session), *to = stages[next];
        assert(from->moves & (1u << next));
        log_debug("session id=%llu %s -> %s", (unsigned long long)session->id, from->name, to->name);
        if (from->leave != NULL)
            from->leave(session);
        session->stage = next;
        set_deadline(session, to);
        next = to->begin != NULL ? to->begin(session) : STAGE_SAME;
        assert(!to->is_transient || next != STAGE_SAME);
    }
}

/* Something happens to the session: until it is dealt with, nothing else may. */
static struct worker *take_up(struct session *session) {
    struct worker *worker = session->worker;
    assert(worker->handled == NULL);
    worker->handled = session;
    return worker;
}

static void put_down(struct worker *worker, struct session *session, enum stage_id next) {
    go_to(session, next);
    worker->handled = NULL;
}

void session_move(struct session *session, enum stage_id next) {
    put_down(take_up(session), session, next);
}

void session_expect_end(struct session *session, enum close_reason reason) {
    session->ending.reason = (uint8_t)reason;
}

enum stage_id session_end(struct session *session, enum close_reason reason) {
    session_expect_end(session, reason);
    return STAGE_ENDING;
}

void session_take_last_words(struct session *session, uint16_t buffer, uint16_t length) {
    session->ending.words = buffer;
    session->ending.words_length = length;
    session->ending.has_words = true;
}

void session_drop_last_words(struct session *session) {
    if (session->ending.has_words)
        io_buffer_release(session_io(session), session->ending.words);
    session->ending.has_words = false;
}

void session_close(struct session *session, enum close_reason reason) {
    session_move(session, session_end(session, reason));
}

void session_guard(struct session *session) {
    session->client.is_gated = true;
    dialog_guard(&session->client.dialog);
}

enum close_reason close_reason_of_client_error(int error) {
    return is_shortage(error) ? CLOSE_CLIENT_STARVED : CLOSE_CLIENT_RESET;
}

void session_count_refusal(struct session *session) {
    counter_add(&session->worker->counters.refused_total, !session->client.is_refused);
    session->client.is_refused = true;
}

void session_leave_count(struct session *session) {
    if (session->client.counts)
        atomic_fetch_sub(&session->worker->shared->sessions, 1);
    session->client.counts = false;
}

const char *socket_error(int error) {
    return strerror(-error);
}

/* --- what happens --- */

static void session_on_deadline(struct timer *timer) {
    struct session *session = container_of(timer, struct session, deadline);
    struct worker *worker = take_up(session);
    assert(row_of(session)->on_timeout != NULL);
    put_down(worker, session, row_of(session)->on_timeout(session));
}

/* A NULL where a stage has no such event: it can't come. */
static enum stage_id on_client_event(struct session *session, enum conn_event event, int result) {
    const struct stage *row = row_of(session);
    switch (event) {
    case CONN_OPENED:
        assert(row->on_opened != NULL);
        return row->on_opened(session, result);
    case CONN_RECEIVED:
        assert(row->on_received != NULL);
        return row->on_received(session, result);
    case CONN_SENT:
        assert(row->on_sent != NULL);
        return row->on_sent(session, result);
    case CONN_SHUT:
        return row->on_shut != NULL ? row->on_shut(session) : STAGE_SAME;
    case CONN_CLOSED:
        assert(row->on_closed != NULL);
        return row->on_closed(session);
    }
    return STAGE_SAME;
}

static void session_on_event(struct conn *conn, enum conn_event event, int result) {
    struct session *session = container_of(conn, struct session, client.conn);
    struct worker *worker = take_up(session);
    put_down(worker, session, on_client_event(session, event, result));
}

void session_on_attempt(struct session *session, struct attempt *attempt, const struct attempt_news *news) {
    struct worker *worker = take_up(session);
    assert(row_of(session)->on_attempt != NULL);
    put_down(worker, session, row_of(session)->on_attempt(attempt, news));
}

void session_on_backend_received(struct session *session, int result) {
    struct worker *worker = take_up(session);
    assert(row_of(session)->on_backend_received != NULL);
    put_down(worker, session, row_of(session)->on_backend_received(session, result));
}

void session_on_backend_sent(struct session *session, int result) {
    struct worker *worker = take_up(session);
    assert(row_of(session)->on_backend_sent != NULL);
    put_down(worker, session, row_of(session)->on_backend_sent(session, result));
}

void session_on_backend_failed(struct session *session) {
    struct worker *worker = take_up(session);
    const struct stage *row = row_of(session);
    put_down(worker, session, row->on_backend_failed != NULL ? row->on_backend_failed(session) : STAGE_SAME);
}

bool session_on_backend_shut_down(struct session *session, const struct backend *backend) {
    if (row_of(session)->on_backend_shut_down == NULL)
        return false;
    struct worker *worker = take_up(session);
    put_down(worker, session, row_of(session)->on_backend_shut_down(session, backend));
    return true;
}

void session_on_fact(struct session *session) {
    struct worker *worker = take_up(session);
    const struct stage *row = row_of(session);
    put_down(worker, session, row->on_fact != NULL ? row->on_fact(session) : STAGE_SAME);
}

enum moment session_may_end_now(const struct session *session) {
    (void)session;
    return MOMENT_NOW;
}

enum moment session_moment(const struct session *session) {
    return row_of(session)->moment != NULL ? row_of(session)->moment(session) : MOMENT_BY_ITSELF;
}

/* --- its beginning --- */

void session_init(struct session *session, struct worker *worker, const struct listener *listener) {
    memset(session, 0, sizeof *session);
    session->worker = worker;
    session->client.listener = listener;
    session->id = ++worker->next_id * worker->shared->workers_count + worker->index;
    session->client.accepted_ms = session->relay.active_ms = io_now_ms(worker->io);
    session->deadline.expire = session_on_deadline;
    dialog_init(&session->client.dialog);
    replay_log_init(&session->replay.log, &worker->replay_chunks);
    conn_init(&session->client.conn, worker->io, session_on_event);
}

void session_start(struct session *session, int slot, int fd) {
    session_move(session, STAGE_ACCEPTED);
    if (slot < 0) {
        conn_adopt_fd(&session->client.conn, fd);
        return;
    }
    conn_adopt_slot(&session->client.conn, slot);
    session_on_event(&session->client.conn, CONN_OPENED, 0);
}

const struct address *session_local(const struct session *session) {
    return session->client.local != NULL ? session->client.local : &session->client.listener->address;
}

void session_set_local(struct session *session, const struct address *address) {
    if (session->client.local == NULL)
        session->client.local = pool_get(&session->worker->locals); /* there are as many as sessions */
    *session->client.local = *address;
    address_unmap(session->client.local);
}
