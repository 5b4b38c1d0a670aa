/* One try at a backend: connect, PROXY header where the backend wants one, await the complete greeting. It ends by a
 * 220 (the session commits to it), by a failure (the session tries the next), or when its session gives it up. tries.c
 * begins attempts, search.c hears their news.
 *
 * An attempt owns its connection and holds its slot on the backend until its descriptor is closed, orphan or not, so
 * that `max-sessions` counts what the backend really has to carry. Its memory is of the worker's pool. */
#include "lb/relay/attempt.h"

#include "lb/relay/orphans.h"
#include "lb/relay/outward.h"
#include "lb/relay/queue.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ORPHAN_QUIT_MS 2000u

struct backend_share *attempt_share(const struct attempt *attempt) {
    return &attempt->backend->shares[attempt->worker->index];
}

static void attempt_free(struct attempt *attempt) {
    struct worker *worker = attempt->worker;
    struct backend *backend = attempt->backend;
    unsigned tier = backend->tier; /* without its last slot a deleted backend may be freed at once */
    if (attempt->has_buffer)
        io_buffer_release(worker->io, attempt->buffer);
    if (attempt->has_greeting)
        io_buffer_release(worker->io, attempt->greeting);
    timer_cancel(&attempt->deadline);
    atomic_fetch_sub_explicit(&attempt_share(attempt)->sessions, 1, memory_order_relaxed);
    bool was_full = backend_release_slot(backend, attempt->slot_limit);
    pool_put(&worker->attempts, attempt);
    if (was_full)
        queue_on_slot_freed(worker, tier);
}

static void tell(struct attempt *attempt, enum attempt_event event) {
    struct attempt_news news = {.event = event};
    session_on_attempt(attempt->session, attempt, &news);
}

/* Tells the session; an orphan ends, and nobody's session was failed. */
static void attempt_fail(struct attempt *attempt, enum failure failure, const char *why) {
    struct attempt_news news = {.event = ATTEMPT_FAILED, .failure = failure, .why = why};
    if (attempt->session != NULL)
        session_on_attempt(attempt->session, attempt, &news);
    else
        attempt_close(attempt);
}

/* --- orphans --- */

static void leave_orphans(struct attempt *attempt) {
    if (attempt->is_orphan)
        orphans_leave(&attempt->worker->orphans, attempt->orphan_place);
    attempt->is_orphan = false;
}

void attempt_spare_orphan(struct worker *worker) {
    attempt_close(orphans_oldest(&worker->orphans));
}

static void join_orphans(struct attempt *attempt) {
    struct orphans *orphans = &attempt->worker->orphans;
    attempt_close(orphans_next_to_go(orphans));
    attempt->orphan_place = orphans_join(orphans, attempt);
    attempt->is_orphan = true;
}

/* --- the greeting --- */

static void release_greeting(struct attempt *attempt) {
    if (attempt->has_greeting)
        io_buffer_release(attempt->worker->io, attempt->greeting);
    attempt->has_greeting = false;
    attempt->greeting_length = 0;
}

/* Everything stands in one buffer, however many receives it takes; what nobody needs any more makes room. */
void attempt_listen(struct attempt *attempt) {
    if (!attempt->has_greeting) {
        conn_recv(&attempt->conn, false);
        return;
    }
    uint8_t *data = io_buffer(attempt->worker->io, attempt->greeting);
    attempt->greeting_length = (uint16_t)(attempt->greeting_length - attempt->greeting_offset);
    attempt->parsed = (uint16_t)(attempt->parsed - attempt->greeting_offset);
    memmove(data, data + attempt->greeting_offset, attempt->greeting_length);
    attempt->greeting_offset = 0;
    conn_recv_at_most(&attempt->conn, IO_BUFFER_SIZE - attempt->greeting_length);
}

void attempt_gather(struct attempt *attempt, uint16_t buffer, unsigned length) {
    struct io *io = attempt->worker->io;
    if (!attempt->has_greeting) {
        attempt->has_greeting = true;
        attempt->greeting = buffer;
        attempt->greeting_length = (uint16_t)length;
        attempt->greeting_offset = attempt->parsed = 0;
        return;
    }
    assert(attempt->greeting_length + length <= IO_BUFFER_SIZE);
    memcpy(io_buffer(io, attempt->greeting) + attempt->greeting_length, io_buffer(io, buffer), length);
    attempt->greeting_length = (uint16_t)(attempt->greeting_length + length);
    io_buffer_release(io, buffer);
}

/* It greets: no suspect (any more). */
static void note_greeted(struct attempt *attempt) {
    struct backend *backend = attempt->backend;
    atomic_store_explicit(&backend->greeted_ms, io_now_ms(attempt->worker->io), memory_order_relaxed);
    if (atomic_load_explicit(&backend->is_suspect, memory_order_relaxed))
        atomic_store(&backend->is_suspect, false);
}

static void say_quit(struct attempt *attempt) {
    attempt->has_quit = true;
    attempt->limit_ms = 0;
    timer_set(io_timers(attempt->worker->io), &attempt->deadline, io_now_ms(attempt->worker->io) + ORPHAN_QUIT_MS);
    conn_send(&attempt->conn, "QUIT\r\n", 6);
}

/* A greeting can't be taken back, so a peer that may be a balancer which is missing in `proxy-from` has a moment for
 * its header first, which comes right behind its connection. */
static bool hold_greeting(struct attempt *attempt) {
    const struct session *session = attempt->session;
    struct io *io = attempt->worker->io;
    attempt->is_held = attempt->parser.code == 220 && session != NULL && session->client.may_be_proxy &&
                       !session->client.has_greeted &&
                       io_now_ms(io) < session->client.accepted_ms + PROXY_HEADER_WAIT_MS;
    if (attempt->is_held)
        timer_set(io_timers(io), &attempt->deadline, session->client.accepted_ms + PROXY_HEADER_WAIT_MS);
    return attempt->is_held;
}

static void on_greeting_complete(struct attempt *attempt) {
    struct session *session = attempt->session;
    char excerpt[100];
    attempt->awaits_sending = attempt->conn.send_armed;
    if (attempt->awaits_sending || hold_greeting(attempt))
        return;
    timer_cancel(&attempt->deadline);
    if (session == NULL) {
        if (attempt->parser.code == 220)
            note_greeted(attempt);
        release_greeting(attempt);
        say_quit(attempt);
    } else if (attempt->parser.code == 220) {
        note_greeted(attempt);
        tell(attempt, ATTEMPT_GREETED);
    } else if (reply_is_verdict_on_client(&attempt->parser)) {
        tell(attempt, ATTEMPT_REFUSED);
    } else {
        reply_excerpt(io_buffer(attempt->worker->io, attempt->greeting), attempt->greeting_length, excerpt,
                      sizeof excerpt);
        attempt_fail(attempt, FAILURE_OF_PEER, excerpt);
    }
}

static void on_greeting_octets(struct attempt *attempt, unsigned length) {
    struct io *io = attempt->worker->io;
    uint16_t buffer = attempt->conn.received_buffer;
    enum reply_status status;
    reply_parser_feed(&attempt->parser, io_buffer(io, buffer), length, &status);
    attempt_gather(attempt, buffer, length);
    if (status == REPLY_INVALID)
        attempt_fail(attempt, FAILURE_OF_PEER, "the greeting is not SMTP");
    else if (status == REPLY_COMPLETE)
        on_greeting_complete(attempt);
    else
        attempt_listen(attempt);
}

static void on_received(struct attempt *attempt, int result) {
    if (attempt->is_committed) {
        session_on_backend_received(attempt->session, result);
    } else if (attempt->has_quit) { /* the 221, or the backend's close */
        if (result > 0)
            io_buffer_release(attempt->worker->io, attempt->conn.received_buffer);
        attempt_close(attempt);
    } else if (result > 0) {
        on_greeting_octets(attempt, (unsigned)result);
    } else {
        attempt_fail(attempt, failure_of_error(result),
                     result == 0 ? "closed before its greeting" : socket_error(result));
    }
}

/* --- connecting --- */

static int send_proxy_header(struct attempt *attempt) {
    const struct session *session = attempt->session;
    unsigned id;
    if (attempt->backend->proxy == PROXY_NONE)
        return 0;
    if (!io_buffer_take(attempt->worker->io, &id))
        return -ENOBUFS;
    attempt->buffer = (uint16_t)id;
    attempt->has_buffer = true;
    uint8_t *header = io_buffer(attempt->worker->io, id);
    size_t length = outward_header(session, attempt->backend->proxy, header);
    conn_send(&attempt->conn, header, length);
    return 0;
}

/* The attempt has failed in `limit_ms` from now; before that its session is told that it is slow. */
static void set_limit(struct attempt *attempt, uint64_t limit_ms) {
    struct io *io = attempt->worker->io;
    uint64_t hedge_after_ms = attempt->worker->shared->config->timeouts.hedge_after_ms;
    uint64_t slow_ms = attempt->started_ms + hedge_after_ms;
    attempt->limit_ms = io_now_ms(io) + limit_ms;
    bool is_earlier = hedge_after_ms != 0 && !attempt->is_slow && slow_ms < attempt->limit_ms;
    timer_set(io_timers(io), &attempt->deadline, is_earlier ? slow_ms : attempt->limit_ms);
}

static void on_connected(struct attempt *attempt, int result) {
    struct worker *worker = attempt->worker;
    if (result < 0) {
        attempt_fail(attempt, failure_of_error(result), socket_error(result));
        return;
    }
    attempt->has_connected = true;
    reply_parser_init(&attempt->parser, GREETING_LINE_MAX, GREETING_BYTES_MAX);
    set_limit(attempt, worker->shared->config->timeouts.greeting_ms);
    if (send_proxy_header(attempt) < 0) {
        attempt_fail(attempt, FAILURE_SHORTAGE, "no buffer for the PROXY header");
        return;
    }
    tell(attempt, ATTEMPT_CONNECTED);
    conn_recv(&attempt->conn, false);
}

static void on_sent(struct attempt *attempt, int result) {
    if (attempt->has_buffer)
        io_buffer_release(attempt->worker->io, attempt->buffer);
    attempt->has_buffer = false;
    if (attempt->is_committed)
        session_on_backend_sent(attempt->session, result);
    else if (result < 0)
        attempt_fail(attempt, failure_of_error(result), socket_error(result));
    else if (attempt->awaits_sending)
        on_greeting_complete(attempt);
    else if (attempt->has_quit && !attempt->conn.recv_armed)
        conn_recv(&attempt->conn, false);
}

static void attempt_on_event(struct conn *conn, enum conn_event event, int result) {
    struct attempt *attempt = container_of(conn, struct attempt, conn);
    switch (event) {
    case CONN_OPENED:
        on_connected(attempt, result);
        break;
    case CONN_RECEIVED:
        on_received(attempt, result);
        break;
    case CONN_SENT:
        on_sent(attempt, result);
        break;
    case CONN_SHUT:
        break;
    case CONN_CLOSED:
        attempt_free(attempt);
        break;
    }
}

static void attempt_on_deadline(struct timer *timer) {
    struct attempt *attempt = container_of(timer, struct attempt, deadline);
    struct io *io = attempt->worker->io;
    bool is_unheard = conn_waits_for_buffer(&attempt->conn);
    if (attempt->is_held) {
        on_greeting_complete(attempt);
        return;
    }
    if (io_now_ms(io) < attempt->limit_ms) {
        attempt->is_slow = true;
        timer_set(io_timers(io), timer, attempt->limit_ms);
        if (attempt->session != NULL && !is_unheard)
            tell(attempt, ATTEMPT_SLOW);
        return;
    }
    attempt_fail(attempt, is_unheard ? FAILURE_SHORTAGE : FAILURE_SILENCE,
                 attempt->has_connected ? "no complete greeting in time" : "no connection in time");
}

int attempt_start(struct session *session, const struct view_member *member, struct attempt **ret_attempt) {
    struct worker *worker = session->worker;
    struct attempt *attempt = pool_get(&worker->attempts);
    if (attempt == NULL) {
        backend_release_slot(member->backend, member->sessions_max);
        return -ENOBUFS;
    }
    memset(attempt, 0, sizeof *attempt);
    attempt->worker = worker;
    attempt->session = session;
    attempt->backend = member->backend;
    attempt->slot_limit = member->sessions_max;
    attempt->address = member->backend->address;
    attempt->deadline.expire = attempt_on_deadline;
    conn_init(&attempt->conn, worker->io, attempt_on_event);
    int result = conn_connect(&attempt->conn, &attempt->address, outward_source(member->backend, &worker->chance));
    if (result < 0) {
        backend_release_slot(member->backend, member->sessions_max);
        pool_put(&worker->attempts, attempt);
        return result;
    }
    atomic_fetch_add_explicit(&attempt_share(attempt)->sessions, 1, memory_order_relaxed);
    attempt->started_ms = io_now_ms(worker->io);
    set_limit(attempt, worker->shared->config->timeouts.connect_ms);
    *ret_attempt = attempt;
    return 0;
}

void attempt_leave(struct attempt *attempt) {
    attempt->session = NULL;
    attempt->is_committed = false;
    if (conn_is_open(&attempt->conn) && !attempt->conn.send_armed && !attempt->conn.recv_armed &&
        !attempt->has_buffer && !attempt->worker->is_stopping) {
        join_orphans(attempt);
        say_quit(attempt);
    } else {
        attempt_close(attempt);
    }
}

void attempt_close(struct attempt *attempt) {
    if (attempt == NULL)
        return;
    attempt->session = NULL;
    leave_orphans(attempt);
    timer_cancel(&attempt->deadline);
    conn_close(&attempt->conn);
}

void attempt_give_up(struct attempt *attempt) {
    if (attempt == NULL)
        return;
    attempt->session = NULL;
    bool awaits_greeting = attempt->has_connected && !attempt->is_committed &&
                           (attempt->conn.recv_armed || attempt->awaits_sending || attempt->is_held);
    if (!awaits_greeting || attempt->worker->is_stopping)
        attempt_close(attempt);
    else
        join_orphans(attempt);
}
