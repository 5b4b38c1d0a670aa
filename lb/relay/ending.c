/* How a session ends, the same way for every reason. It says the reason's reply where SMTP allows one, behind what is
 * still being sent and not before the end of the client's content; then half-closes and throws unread input away, so
 * that the close is no RST that eats those words; then waits for the last operation and gives the memory back.
 *
 *   ENDING → (SWALLOWING) → REFUSING → LINGERING → CLOSING → FREE; at once CLOSING where nobody is there to hear more
 */
#include "lb/relay/ending.h"

#include "lb/relay/attempt.h"
#include "lb/relay/close_reasons.h"
#include "lb/relay/flow.h"
#include "lb/relay/gate_session.h"
#include "lb/relay/lingerers.h"
#include "lb/relay/listener.h"
#include "lb/relay/moment.h"
#include "lb/relay/outcome.h"
#include "lb/relay/session_line.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* --- ENDING --- */

static bool closes_plainly(const struct session *session) {
    if (!conn_is_open(&session->client_conn))
        return true;
    switch (close_reasons[session->reason].manner) {
    case CLOSES_POLITELY:
        break;
    case CLOSES_PLAINLY:
        return true;
    case CLOSES_UNHEARD:
        return !session->has_greeted;
    case CLOSES_BY_CLIENT:
        return session->flows[TO_BACKEND].at_end;
    }
    return false;
}

/* Where line ends can't be trusted: the octets end with what somebody may take for the end of content. A client that
 * ends it otherwise is quiet then. */
static bool looks_like_end(const uint8_t *data, size_t length) {
    static const char *const ends[] = {"\n.\r\n", "\n.\n", "\r.\r", "\r.\r\n"};
    static const char quit[] = "QUIT\r\n";
    size_t quit_length = sizeof quit - 1;
    if (length > quit_length && memcmp(data + length - quit_length, quit, quit_length) == 0)
        length -= quit_length; /* said in the same breath */
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end_length = strlen(ends[i]);
        if (length >= end_length && memcmp(data + length - end_length, ends[i], end_length) == 0)
            return true;
    }
    return false;
}

/* Shows the client's octets in its content to the observer. Returns true at the end of it. */
static bool ends_content(struct session *session, const uint8_t *data, size_t shown, size_t length) {
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (shown < length)
        dialog_feed_client(&session->dialog, data + shown, length - shown, &event);
    session->has_bare_content |= event.kind == DIALOG_UNTRUSTED;
    return event.kind == DIALOG_CONTENT_END || (session->has_bare_content && looks_like_end(data, length));
}

/* The client reads no reply before it has sent all of its content, so that is read and thrown away first: here what
 * has waited for a backend. */
static enum stage_id begin_with_content(struct session *session) {
    const struct flow *flow = &session->flows[TO_BACKEND];
    bool has_ended = flow->has_buffer &&
                     ends_content(session, io_buffer(session_io(session), flow->buffer), flow->shown, flow->length);
    return has_ended ? STAGE_REFUSING : STAGE_SWALLOWING;
}

/* What the attempt is still sending belongs to it from now on. */
static void part_from_attempt(struct session *session) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct attempt *attempt = session->attempt;
    if (attempt != NULL && attempt->conn.send_armed && flow->has_buffer && !attempt->has_buffer) {
        attempt->buffer = flow->buffer;
        attempt->has_buffer = true;
        flow->has_buffer = false;
    }
    session->attempt = NULL;
    attempt_give_up(attempt);
    attempt_give_up(session->hedge);
    session->hedge = NULL;
    flow_release(session, flow);
}

static enum stage_id begin_ending(struct session *session) {
    enum stage_id next = STAGE_REFUSING;
    moment_forget(session);
    session->discarded_bytes = 0;
    session_line_keep(session);
    outcome_of_client(session);
    if (closes_plainly(session))
        next = STAGE_CLOSING;
    else if (session->has_greeted && (dialog_is_in_content(&session->dialog) || session->has_bare_content))
        next = begin_with_content(session);
    part_from_attempt(session);
    return next;
}

const struct stage stage_ending = {
    .name = "ending",
    .moves = TO(SWALLOWING) | TO(REFUSING) | TO(CLOSING),
    .is_transient = true,
    .is_end = true,
    .begin = begin_ending,
};

/* --- SWALLOWING --- */

static enum stage_id begin_swallowing(struct session *session) {
    if (!session->client_conn.recv_armed)
        conn_recv(&session->client_conn, true);
    return STAGE_SAME;
}

static uint64_t swallowing_deadline_ms(const struct session *session, uint64_t now_ms) {
    (void)session;
    return now_ms + SWALLOW_QUIET_MS;
}

static enum stage_id refuse(struct session *session) {
    (void)session;
    return STAGE_REFUSING;
}

/* Nobody ends content that goes on, but it has to go on. */
static bool drips(const struct session *session) {
    uint64_t minutes = (io_now_ms(session->worker->io) - session->closed_ms) / 60000;
    return minutes > CONTENT_GRACE_MINUTES &&
           session->discarded_bytes < (minutes - CONTENT_GRACE_MINUTES) * CONTENT_BYTES_PER_MINUTE;
}

static enum stage_id on_swallowed(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    if (result <= 0)
        return STAGE_CLOSING;
    bool has_ended = ends_content(session, io_buffer(conn->io, conn->received_buffer), 0, (size_t)result);
    io_buffer_release(conn->io, conn->received_buffer);
    session->discarded_bytes += (uint64_t)result;
    uint64_t limit = session->worker->shared->config->gate.message_bytes_max + SWALLOW_EXTRA_BYTES;
    if (has_ended || session->discarded_bytes > limit || drips(session)) {
        session->discarded_bytes = 0;
        return STAGE_REFUSING;
    }
    timer_set(io_timers(conn->io), &session->deadline, swallowing_deadline_ms(session, io_now_ms(conn->io)));
    conn_recv(conn, true);
    return STAGE_SAME;
}

/* What was on its way when the end began. */
static enum stage_id on_late_sent(struct session *session, int result) {
    struct flow *flow = &session->flows[TO_CLIENT];
    if (result == 0)
        flow->bytes += flow->sending;
    return STAGE_SAME;
}

static enum moment may_end_swallowing(const struct session *session) {
    (void)session;
    return MOMENT_CONTENT_READ;
}

const struct stage stage_swallowing = {
    .name = "swallowing",
    .moves = TO(REFUSING) | TO(CLOSING),
    .is_end = true,
    .begin = begin_swallowing,
    .deadline_ms = swallowing_deadline_ms,
    .on_timeout = refuse,
    .on_received = on_swallowed,
    .on_sent = on_late_sent,
    .moment = may_end_swallowing,
};

/* --- REFUSING --- */

/* In the middle of a reply, behind the client's unfinished content or inside its TLS nothing of ours would be
 * understood (DESIGN §5); behind the 221, or a 421 of the backend's, nothing is to be said. */
static bool may_speak(const struct session *session) {
    bool has_said_221 = dialog_has_quit(&session->dialog) && !dialog_owes_reply(&session->dialog);
    if (session->has_last_words)
        return true;
    if (has_said_221 || session->dialog.has_heard_421)
        return false;
    if (close_reasons[session->reason].reply[0] == '\0')
        return false;
    bool is_clear = dialog_is_clear(&session->dialog) || session->reason == CLOSE_BARE_LINE_END ||
                    session->reason == CLOSE_UNCLEAR_REPLY || session->has_bare_content;
    return !session->has_greeted || (is_clear && !session->is_mid_reply);
}

/* Stands ready in the worker, so that it can be said when there is no buffer, too. */
static void send_own_reply(struct session *session) {
    const struct own_reply *reply = &session->worker->own_replies[session->reason];
    session->last_code = reply->code;
    if (reply->code / 100 != 2)
        session_count_refusal(session);
    session->last_words_length = reply->length;
    conn_send(&session->client_conn, reply->text, reply->length);
}

static enum stage_id send_last_words(struct session *session) {
    struct conn *conn = &session->client_conn;
    if (!may_speak(session))
        return STAGE_LINGERING;
    session->last_words_are_sent = true;
    if (session->has_last_words)
        conn_send(conn, io_buffer(conn->io, session->last_words), session->last_words_length);
    else
        send_own_reply(session);
    return STAGE_SAME;
}

/* Behind what is still being sent; where SMTP allows no last words, only the half-close. */
static enum stage_id begin_refusing(struct session *session) {
    return session->client_conn.send_armed ? STAGE_SAME : send_last_words(session);
}

static uint64_t linger_deadline_ms(const struct session *session, uint64_t now_ms) {
    (void)session;
    return now_ms + LINGER_TIME_MS;
}

/* A client that has heard nothing before, and said nothing, has left nothing unread: it is closed at once, and its
 * place is free for the next one. */
static enum stage_id on_last_words_sent(struct session *session, int result) {
    const struct conn *conn = &session->client_conn;
    if (result < 0) /* nobody is there to hear more */
        return STAGE_CLOSING;
    session->flows[TO_CLIENT].bytes += session->last_words_length;
    bool was_silent =
        !session->is_early_talker && session->discarded_bytes == 0 && conn->recv_armed && !conn_waits_for_buffer(conn);
    bool has_heard_nothing = !session->has_greeted && session->flows[TO_CLIENT].bytes == session->last_words_length;
    return was_silent && has_heard_nothing ? STAGE_CLOSING : STAGE_LINGERING;
}

static enum stage_id on_refusing_sent(struct session *session, int result) {
    if (session->last_words_are_sent)
        return on_last_words_sent(session, result);
    on_late_sent(session, result);
    return send_last_words(session);
}

/* What unread input is left makes the close a RST. */
static enum stage_id close_now(struct session *session) {
    (void)session;
    return STAGE_CLOSING;
}

/* Returns true when that was enough. */
static bool discard(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    if (result <= 0)
        return true;
    io_buffer_release(conn->io, conn->received_buffer);
    session->discarded_bytes += (uint64_t)result;
    if (session->discarded_bytes > LINGER_BYTES_MAX)
        return true;
    conn_recv(conn, false);
    return false;
}

static enum stage_id on_refusing_received(struct session *session, int result) {
    discard(session, result);
    return STAGE_SAME;
}

const struct stage stage_refusing = {
    .name = "refusing",
    .moves = TO(LINGERING) | TO(CLOSING),
    .is_end = true,
    .begin = begin_refusing,
    .deadline_ms = linger_deadline_ms,
    .on_timeout = close_now,
    .on_received = on_refusing_received,
    .on_sent = on_refusing_sent,
};

/* --- LINGERING --- */

static enum stage_id begin_lingering(struct session *session) {
    session_line_write(session);
    lingerers_add(session);
    conn_shutdown_write(&session->client_conn);
    return STAGE_SAME;
}

static enum stage_id on_lingering_received(struct session *session, int result) {
    return discard(session, result) ? STAGE_CLOSING : STAGE_SAME;
}

static enum stage_id on_shut(struct session *session) {
    if (!session->client_conn.recv_armed)
        conn_recv(&session->client_conn, true);
    return STAGE_SAME;
}

const struct stage stage_lingering = {
    .name = "lingering",
    .moves = TO(CLOSING),
    .is_end = true,
    .begin = begin_lingering,
    .deadline_ms = linger_deadline_ms,
    .on_timeout = close_now,
    .on_received = on_lingering_received,
    .on_shut = on_shut,
};

/* --- CLOSING --- */

static enum stage_id begin_closing(struct session *session) {
    session_line_write(session);
    conn_close(&session->client_conn);
    return STAGE_SAME;
}

static enum stage_id on_closed(struct session *session) {
    (void)session;
    return STAGE_FREE;
}

const struct stage stage_closing = {
    .name = "closing",
    .moves = TO(FREE),
    .is_end = true,
    .begin = begin_closing,
    .on_closed = on_closed,
};

/* --- FREE --- */

/* No operation is in flight any more: the memory goes back to the pools, and may be another session's at once. */
static enum stage_id begin_free(struct session *session) {
    struct worker *worker = session->worker;
    flow_release(session, &session->flows[TO_BACKEND]);
    flow_release(session, &session->flows[TO_CLIENT]);
    if (session->has_last_words)
        io_buffer_release(worker->io, session->last_words);
    replay_log_finish(&session->log);
    gate_forget(session);
    outcome_forget_blame(session);
    if (session->local != NULL)
        pool_put(&worker->locals, session->local);
    if (session->counts)
        atomic_fetch_sub(&worker->shared->sessions, 1);
    counter_add(&worker->counters.sessions, (unsigned long)-1);
    pool_put(&worker->sessions, session);
    for (unsigned i = 0; i < worker->listeners_count; i++)
        listener_resume(&worker->listeners[i]);
    return STAGE_SAME;
}

const struct stage stage_free = {
    .name = "free",
    .moves = TO(ACCEPTED),
    .begin = begin_free,
};
