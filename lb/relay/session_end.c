/* How a session ends: session_close() is the only exit. It says the reason's reply where SMTP allows one, behind what
 * is still being sent and not before the end of the client's content; then half-closes and throws unread input away, so
 * that the close is no RST that eats those words; then waits for the last operation and gives the memory back. */
#include "lb/engine/log.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *code;
    const char *reply;
    const char *text;
} reasons[] = {
#define REASON(name, code, reply, text) [CLOSE_##name] = {#name, code, reply, text},
#include "lb/relay/close_reasons.def"
#undef REASON
};

static const char *last_tier_name(const struct session *session) {
    return session->last_tier == UINT8_MAX ? "-" : session->worker->shared->config->tiers[session->last_tier].name;
}

/* Every few seconds one, and of each there is nothing to tell. */
static bool is_routine(const struct session *session) {
    bool is_end = session->reason == CLOSE_CHECKED || session->reason == CLOSE_CLIENT_CLOSED ||
                  session->reason == CLOSE_CLIENT_RESET;
    return session->is_check && is_end && session->last_code != 421;
}

static void write_line(const struct session *session, const char *server, const char *tier) {
    char client[ADDRESS_TEXT_MAX];
    /* What was seen; where nothing more could be read, of that nothing is said. */
    char mails[12] = "-", code[8] = "-";
    bool is_clear = dialog_is_clear(&session->dialog);
    if (is_clear || dialog_mails_accepted(&session->dialog) > 0)
        snprintf(mails, sizeof mails, "%u", dialog_mails_accepted(&session->dialog));
    if (is_clear || session->last_words_are_sent)
        snprintf(code, sizeof code, "%u", session->last_code);
    if (is_routine(session) && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    log_info(
        "session id=%llu client=%s listen=%s server=%s tier=%s tries=%u wait_ms=%lld time_ms=%llu in=%llu out=%llu "
        "mails=%s code=%s phase=%s vetted=%s replays=%u end=%s reason=\"%s\"",
        (unsigned long long)session->id, address_format(&session->client, client), session->listener->config->name,
        server, tier, session->tries,
        session->relay_ms != 0 ? (long long)(session->relay_ms - session->accepted_ms) : -1,
        (unsigned long long)(session->closed_ms - session->accepted_ms),
        (unsigned long long)session->flows[TO_BACKEND].bytes, (unsigned long long)session->flows[TO_CLIENT].bytes,
        mails, code, session->relay_ms != 0 ? dialog_phase_name((enum dialog_phase)session->last_phase) : "-",
        session->is_vetted ? "yes" : "no", session->replays, reasons[session->reason].code,
        reasons[session->reason].text);
}

_Static_assert(sizeof(struct replay_chunk) >= BACKEND_NAME_MAX, "a chunk holds a backend's name");

/* What the line tells of this moment, of which nothing is left when the client has heard the last. */
static void keep_for_log(struct session *session) {
    const struct attempt *attempt = session->attempt;
    session->closed_ms = io_now_ms(session->worker->io);
    session->last_tier = attempt != NULL ? (uint8_t)attempt->backend->tier : UINT8_MAX;
    session->last_phase = (uint8_t)dialog_phase(&session->dialog);
    session->last_server = pool_get(&session->worker->replay_chunks);
    if (session->last_server != NULL)
        snprintf(session->last_server, BACKEND_NAME_MAX, "%s", attempt != NULL ? attempt->backend->name : "-");
    else /* the line is written now, without what is still to be said */
        write_line(session, attempt != NULL ? attempt->backend->name : "-", last_tier_name(session));
}

void session_log_end(struct session *session) {
    if (session->last_server == NULL)
        return;
    write_line(session, session->last_server, last_tier_name(session));
    pool_put(&session->worker->replay_chunks, session->last_server);
    session->last_server = NULL;
}

void session_note_late_sent(struct session *session, int result) {
    struct flow *flow = &session->flows[TO_CLIENT];
    if (result == 0)
        flow->bytes += flow->sending;
}

void session_linger(struct session *session) {
    session_log_end(session);
    session_enter(session, SESSION_LINGERING);
    lingerers_add(session);
    conn_shutdown_write(&session->client_conn);
}

void session_end_lingering(struct session *session) {
    session_enter(session, SESSION_CLOSING);
    conn_close(&session->client_conn);
}

/* A client that has heard nothing before, and said nothing, has left nothing unread: it is closed at once, and its
 * place is free for the next one. */
void session_on_last_words_sent(struct session *session, int result) {
    if (result < 0) { /* nobody is there to hear more */
        session_end_lingering(session);
        return;
    }
    session->flows[TO_CLIENT].bytes += session->last_words_length;
    bool was_silent = !session->is_early_talker && session->discarded_bytes == 0 && session->client_conn.recv_armed &&
                      !conn_waits_for_buffer(&session->client_conn);
    bool has_heard_nothing = session->relay_ms == 0 && session->gate == NULL && !session->is_gated &&
                             session->flows[TO_CLIENT].bytes == session->last_words_length;
    if (was_silent && has_heard_nothing)
        session_end_lingering(session);
    else
        session_linger(session);
}

/* In the middle of a reply, behind the client's unfinished content or inside its TLS nothing of ours would be
 * understood (DESIGN §5); behind the 221, or a 421 of the backend's, nothing is to be said. */
static bool may_speak(const struct session *session) {
    bool has_said_221 = dialog_has_quit(&session->dialog) && !dialog_owes_reply(&session->dialog);
    if (session->has_last_words)
        return true;
    if (has_said_221 || session->dialog.has_heard_421)
        return false;
    if (reasons[session->reason].reply[0] == '\0')
        return false;
    bool is_clear = dialog_is_clear(&session->dialog) || session->reason == CLOSE_BARE_LINE_END ||
                    session->reason == CLOSE_UNCLEAR_REPLY || session->has_bare_content;
    return session->relay_ms == 0 || (is_clear && !session->is_mid_reply);
}

size_t close_reason_reply(enum close_reason reason, const char *hostname, char *text, size_t size) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int length = snprintf(text, size, reasons[reason].reply, hostname);
#pragma GCC diagnostic pop
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

int own_replies_init(struct worker *worker) {
    worker->own_replies = calloc(CLOSE_REASONS_COUNT, sizeof *worker->own_replies);
    if (worker->own_replies == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < CLOSE_REASONS_COUNT; i++) {
        struct own_reply *reply = &worker->own_replies[i];
        reply->length = (uint16_t)close_reason_reply((enum close_reason)i, worker->shared->config->global.hostname,
                                                     reply->text, sizeof reply->text);
        reply->code = (uint16_t)strtoul(reply->text, NULL, 10);
    }
    return 0;
}

void session_count_refusal(struct session *session) {
    counter_add(&session->worker->counters.refused_total, !session->is_refused);
    session->is_refused = true;
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

void session_send_last_words(struct session *session) {
    struct conn *conn = &session->client_conn;
    if (!may_speak(session)) {
        session_linger(session);
        return;
    }
    session->last_words_are_sent = true;
    if (session->has_last_words)
        conn_send(conn, io_buffer(conn->io, session->last_words), session->last_words_length);
    else
        send_own_reply(session);
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

/* After a client that has nothing more to say, or that we do not talk to, a plain close is enough. In all other cases
 * unread input would turn the close into a RST that can eat the backend's last words. */
static bool closes_plainly(const struct session *session) {
    switch (session->reason) {
    case CLOSE_DONE:
    case CLOSE_CLIENT_CLOSED:
    case CLOSE_CLIENT_RESET:
    case CLOSE_CLIENT_LEFT:
    case CLOSE_PROXY_MALFORMED:
    case CLOSE_PROXY_TOO_LONG:
    case CLOSE_PROXY_MISSING:
    case CLOSE_PROXY_CLOSED:
        return true;
    case CLOSE_PROXY_UNLISTED: /* behind the greeting it is told as any client is */
        return session->relay_ms == 0;
    case CLOSE_OPAQUE_ENDED:
        return session->flows[TO_BACKEND].at_end || !conn_is_open(&session->client_conn);
    default:
        return !conn_is_open(&session->client_conn);
    }
}

/* Our last words, behind what is still being sent; where SMTP allows none, only the half-close. */
void session_refuse(struct session *session) {
    session_enter(session, SESSION_REFUSING);
    if (!session->client_conn.send_armed)
        session_send_last_words(session);
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

/* The client reads no reply before it has sent all of its content, so that is read and thrown away first. */
static void swallow_content(struct session *session) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (flow->has_buffer && flow->shown < flow->length) /* what waited for a new backend */
        dialog_feed_client(&session->dialog, io_buffer(session->worker->io, flow->buffer) + flow->shown,
                           (size_t)(flow->length - flow->shown), &event);
    session->has_bare_content |= event.kind == DIALOG_UNTRUSTED;
    if (session->has_bare_content && flow->has_buffer &&
        looks_like_end(io_buffer(session->worker->io, flow->buffer), flow->length))
        event.kind = DIALOG_CONTENT_END;
    if (event.kind == DIALOG_CONTENT_END) {
        session_refuse(session);
        return;
    }
    session_enter(session, SESSION_SWALLOWING);
    if (!session->client_conn.recv_armed)
        conn_recv(&session->client_conn, true);
}

/* Nobody ends content that goes on, but it has to go on. */
static bool drips(const struct session *session) {
    uint64_t minutes = (io_now_ms(session->worker->io) - session->closed_ms) / 60000;
    return minutes > CONTENT_GRACE_MINUTES &&
           session->discarded_bytes < (minutes - CONTENT_GRACE_MINUTES) * CONTENT_BYTES_PER_MINUTE;
}

void session_on_swallowed(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (result <= 0) {
        session_enter(session, SESSION_CLOSING);
        conn_close(conn);
        return;
    }
    const uint8_t *data = io_buffer(conn->io, conn->received_buffer);
    dialog_feed_client(&session->dialog, data, (size_t)result, &event);
    session->has_bare_content |= event.kind == DIALOG_UNTRUSTED;
    if (session->has_bare_content && looks_like_end(data, (size_t)result))
        event.kind = DIALOG_CONTENT_END;
    io_buffer_release(conn->io, conn->received_buffer);
    session->discarded_bytes += (uint64_t)result;
    uint64_t limit = session->worker->shared->config->gate.message_bytes_max + SWALLOW_EXTRA_BYTES;
    if (event.kind == DIALOG_CONTENT_END || session->discarded_bytes > limit || drips(session)) {
        session->discarded_bytes = 0;
        session_refuse(session);
    } else {
        timer_set(io_timers(conn->io), &session->deadline, io_now_ms(conn->io) + SWALLOW_QUIET_MS);
        conn_recv(conn, true);
    }
}

enum close_reason close_reason_of_client_error(int error) {
    return is_shortage(error) ? CLOSE_CLIENT_STARVED : CLOSE_CLIENT_RESET;
}

/* A session that has ended by QUIT has passed what its backend answered well before that, whoever answers QUIT. */
static void note_passed(const struct session *session, enum close_reason reason) {
    bool is_good_end = reason == CLOSE_DONE || reason == CLOSE_QUIT_ANSWERED;
    if (is_good_end && session->state == SESSION_RELAY && session->attempt != NULL)
        counter_add(&attempt_share(session->attempt)->passed[session->passed_step], 1);
}

void session_close(struct session *session, enum close_reason reason) {
    if (session->state >= SESSION_SWALLOWING)
        return;
    session->reason = reason;
    session->worker->shut_down.told -= session->is_shutting_down;
    session->is_shutting_down = false;
    queue_leave(session);
    session->discarded_bytes = 0;
    note_passed(session, reason);
    keep_for_log(session);
    outcome_of_client(session);
    if (closes_plainly(session)) {
        session_log_end(session);
        session_enter(session, SESSION_CLOSING);
        conn_close(&session->client_conn);
    } else if (session->relay_ms != 0 && (dialog_is_in_content(&session->dialog) || session->has_bare_content)) {
        swallow_content(session);
    } else {
        session_refuse(session);
    }
    part_from_attempt(session);
}

void session_finish(struct session *session) {
    struct worker *worker = session->worker;
    session_log_end(session);
    flow_release(session, &session->flows[TO_BACKEND]);
    flow_release(session, &session->flows[TO_CLIENT]);
    if (session->has_last_words)
        io_buffer_release(worker->io, session->last_words);
    replay_log_finish(&session->log);
    gate_dialog_end(session);
    outcome_forget_blame(session);
    timer_cancel(&session->deadline);
    session_enter(session, SESSION_FREE);
    worker_release_session(session);
}

void session_on_discarded(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    if (result > 0) {
        io_buffer_release(conn->io, conn->received_buffer);
        session->discarded_bytes += (uint64_t)result;
    }
    if (result > 0 && session->discarded_bytes <= LINGER_BYTES_MAX) {
        conn_recv(conn, false);
    } else if (session->state == SESSION_LINGERING) {
        session_end_lingering(session);
    }
}
