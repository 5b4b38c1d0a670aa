/* The stages of the end, the same way for every reason. The reason's reply is said where SMTP allows one, behind what
 * is still being sent and not before the end of the client's content; then the connection is half-closed and unread
 * input thrown away, so that the close is no RST that eats those words; then the last operation is awaited and the
 * memory given back.
 *
 *   ENDING → (SWALLOWING) → REFUSING → LINGERING → CLOSING → FREE; at once CLOSING where nobody is there to hear more
 *
 * A handler comes here by session_end(). Owns session->ending and session->end, of which session.c, swallowing.c and
 * session_line.c write parts. */
#include "lb/relay/ending.h"

#include "lb/relay/client_limits.h"
#include "lb/relay/close_reasons.h"
#include "lb/relay/flow.h"
#include "lb/relay/gate_session.h"
#include "lb/relay/lingerers.h"
#include "lb/relay/listener.h"
#include "lb/relay/moment.h"
#include "lb/relay/outcome.h"
#include "lb/relay/session_line.h"
#include "lb/relay/swallowing.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

/* --- ENDING --- */

static bool closes_plainly(const struct session *session) {
    if (!conn_is_open(&session->client.conn))
        return true;
    switch (close_reasons[session->ending.reason].manner) {
    case CLOSES_POLITELY:
        break;
    case CLOSES_WHEN_TOLD: /* a stop may find a 250 and the 221 being sent */
        return !session->client.conn.send_armed;
    case CLOSES_PLAINLY:
        return true;
    case CLOSES_UNHEARD:
        return !session->client.has_greeted && session->gate == NULL;
    case CLOSES_BY_CLIENT:
        return session->client.flows[TO_BACKEND].at_end;
    }
    return false;
}

/* What the attempt is still sending belongs to it from now on. */
static void part_from_attempt(struct session *session) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    struct attempt *attempt = session->search.attempt;
    if (attempt != NULL && attempt->conn.send_armed && flow->has_buffer && !attempt->has_buffer) {
        attempt->buffer = flow->buffer;
        attempt->has_buffer = true;
        flow->has_buffer = false;
    }
    tries_give_up(session);
    flow_release(session, flow);
}

static enum stage_id begin_ending(struct session *session) {
    enum stage_id next = STAGE_REFUSING;
    moment_forget(session);
    session->end.discarded_bytes = 0;
    session_line_keep(session);
    outcome_of_client(session);
    if (closes_plainly(session))
        next = STAGE_CLOSING;
    else if (session->client.has_greeted &&
             (dialog_is_in_content(&session->client.dialog) || session->client.has_bare_content))
        next = swallowing_begin(session);
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

/* --- REFUSING --- */

/* In the middle of a reply, behind the client's unfinished content or inside its TLS nothing of ours would be
 * understood (DESIGN §5); behind the 221, or a 421 of the backend's, nothing is to be said. */
static bool may_speak(const struct session *session) {
    bool has_said_221 = dialog_has_quit(&session->client.dialog) && !dialog_owes_reply(&session->client.dialog);
    if (session->ending.has_words)
        return true;
    if (has_said_221 || session->client.dialog.has_heard_421)
        return false;
    if (close_reasons[session->ending.reason].reply[0] == '\0')
        return false;
    bool is_clear = dialog_is_clear(&session->client.dialog) || session->ending.reason == CLOSE_BARE_LINE_END ||
                    session->ending.reason == CLOSE_UNCLEAR_REPLY || session->client.has_bare_content;
    return !session->client.has_greeted || (is_clear && !session->relay.is_mid_reply);
}

/* Stands ready in the worker, so that it can be said when there is no buffer, too. */
static void send_own_reply(struct session *session) {
    const struct own_reply *reply = &session->worker->own_replies[session->ending.reason];
    session->client.last_code = reply->code;
    if (reply->code / 100 != 2)
        session_count_refusal(session);
    session->ending.words_length = reply->length;
    conn_send(&session->client.conn, reply->text, reply->length);
}

static enum stage_id send_last_words(struct session *session) {
    struct conn *conn = &session->client.conn;
    if (!may_speak(session))
        return STAGE_LINGERING;
    session->ending.words_are_sent = true;
    if (session->ending.has_words)
        conn_send(conn, io_buffer(conn->io, session->ending.words), session->ending.words_length);
    else
        send_own_reply(session);
    return STAGE_SAME;
}

/* Behind what is still being sent; where SMTP allows no last words, only the half-close. */
static enum stage_id begin_refusing(struct session *session) {
    return session->client.conn.send_armed ? STAGE_SAME : send_last_words(session);
}

static uint64_t linger_deadline_ms(const struct session *session, uint64_t now_ms) {
    (void)session;
    return now_ms + LINGER_TIME_MS;
}

/* A peer that sends a PROXY header before anything else: it is on its way, read or not. */
static bool peer_sends_header(const struct session *session) {
    return cidr_list_contains(&session->client.listener->config->proxy_from, &session->client.address);
}

/* A client that has heard nothing before, and said nothing, has left nothing unread: it is closed at once, and its
 * place is free for the next one. */
static enum stage_id on_last_words_sent(struct session *session, int result) {
    const struct conn *conn = &session->client.conn;
    if (result < 0) /* nobody is there to hear more */
        return STAGE_CLOSING;
    session->client.flows[TO_CLIENT].bytes += session->ending.words_length;
    bool was_silent = !session->client.is_early_talker && session->end.discarded_bytes == 0 && conn->recv_armed &&
                      !conn_waits_for_buffer(conn);
    bool has_heard_nothing =
        !session->client.has_greeted && session->client.flows[TO_CLIENT].bytes == session->ending.words_length;
    return was_silent && has_heard_nothing && !peer_sends_header(session) ? STAGE_CLOSING : STAGE_LINGERING;
}

static enum stage_id on_refusing_sent(struct session *session, int result) {
    if (session->ending.words_are_sent)
        return on_last_words_sent(session, result);
    swallowing_on_late_sent(session, result);
    return send_last_words(session);
}

/* What unread input is left makes the close a RST. */
static enum stage_id close_now(struct session *session) {
    (void)session;
    return STAGE_CLOSING;
}

/* Returns true when that was enough. */
static bool discard(struct session *session, int result) {
    struct conn *conn = &session->client.conn;
    if (result <= 0)
        return true;
    io_buffer_release(conn->io, conn->received_buffer);
    session->end.discarded_bytes += (uint64_t)result;
    if (session->end.discarded_bytes > LINGER_BYTES_MAX)
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
    conn_shutdown_write(&session->client.conn);
    return STAGE_SAME;
}

static enum stage_id on_lingering_received(struct session *session, int result) {
    return discard(session, result) ? STAGE_CLOSING : STAGE_SAME;
}

static enum stage_id on_shut(struct session *session) {
    if (!session->client.conn.recv_armed)
        conn_recv(&session->client.conn, true);
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
    conn_close(&session->client.conn);
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
    flow_release(session, &session->client.flows[TO_BACKEND]);
    flow_release(session, &session->client.flows[TO_CLIENT]);
    session_drop_last_words(session);
    replay_log_finish(&session->replay.log);
    gate_forget(session);
    outcome_forget_blame(session);
    if (session->client.local != NULL)
        pool_put(&worker->locals, session->client.local);
    client_limits_leave(session);
    session_leave_count(session);
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
