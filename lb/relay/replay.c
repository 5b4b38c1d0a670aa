/* A backend is lost in mid-dialog, and nothing that it was told is beyond recall: another one is told the same, and the
 * client notices nothing but time (DESIGN §5). Replies that the client has already are compared and dropped; from the
 * first one on that it still waits for, the session is in relay again.
 *
 *   RELAY → PARKED (nothing is owed: no hurry) → the search, as for a new session → REPLAY → RELAY */
#include "lb/engine/log.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <string.h>
#include <strings.h>

bool replay_is_possible(const struct session *session) {
    const struct dialog *dialog = &session->dialog;
    bool has_greeted = session->offer != OFFER_NONE;
    return dialog_is_repeatable(dialog) && replay_log_is_complete(&session->log, has_greeted) &&
           session->offer != OFFER_UNKNOWN && session->replays < REPLAYS_MAX && !session->is_mid_reply &&
           !session->is_shutting_down && !session->worker->is_stopping;
}

/* --- the old backend goes --- */

/* The rest of the client's octets, which the old backend was not sent yet, stays; what is being sent belongs to the
 * attempt until that has ended. Returns false when there is no buffer, or none large enough, to part them. */
static bool part_client_flow(struct session *session) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct attempt *attempt = session->attempt;
    struct io *io = session->worker->io;
    unsigned id, rest = flow->length - flow->shown;
    if (!flow->has_buffer)
        return true;
    if (!attempt->conn.send_armed || attempt->has_buffer) {
        flow->offset = flow->cleared = flow->shown;
        if (rest == 0)
            flow_release(session, flow);
        return true;
    }
    if (rest > IO_BUFFER_SIZE || (rest > 0 && !io_buffer_take(io, &id)))
        return false;
    if (rest > 0)
        memcpy(io_buffer(io, id), io_buffer(io, flow->buffer) + flow->shown, rest);
    attempt->buffer = flow->buffer;
    attempt->has_buffer = true;
    flow->has_buffer = false;
    if (rest > 0)
        flow_fill(flow, (uint16_t)id, 0, rest);
    else
        flow_release(session, flow);
    return true;
}

/* Of an unfinished reply the client has seen nothing. What is on its way to it goes on. */
static void drop_unfinished_reply(struct session *session) {
    struct flow *flow = &session->flows[TO_CLIENT];
    dialog_forget_partial_reply(&session->dialog);
    flow->length = flow->shown = flow->cleared;
    if (flow->has_buffer && !session->client_conn.send_armed)
        flow_release(session, flow);
}

static void search(struct session *session) {
    session->search_ms = io_now_ms(session->worker->io);
    session_choose(session);
}

/* What the client says next is heard, be it the rest of a command whose beginning the old backend was sent. */
static void listen_to_client(struct session *session) {
    const struct flow *flow = &session->flows[TO_BACKEND];
    if (!flow->has_buffer && !flow->at_end && !session->client_conn.recv_armed)
        conn_recv(&session->client_conn, false);
}

static void go_on_without_backend(struct session *session) {
    const struct flow *flow = &session->flows[TO_BACKEND];
    listen_to_client(session);
    if (dialog_only_quit_is_open(&session->dialog))
        session_close(session, CLOSE_QUIT_ANSWERED);
    else if (dialog_owes_reply(&session->dialog) || flow->has_buffer)
        search(session);
    else if (flow->at_end) /* nothing is owed to it, and it can't say any more */
        session_close(session, CLOSE_CLIENT_CLOSED);
    else
        session_enter(session, SESSION_PARKED);
}

void replay_begin(struct session *session, const char *why) {
    struct attempt *lost = session->attempt;
    log_info("session id=%llu server=%s lost in phase=%s: %s; it is replayed", (unsigned long long)session->id,
             lost->backend->name, dialog_phase_name(dialog_phase(&session->dialog)), why);
    session->backend_is_lost = false;
    drop_unfinished_reply(session);
    if (!part_client_flow(session)) {
        session_close(session, CLOSE_NO_ROOM);
        return;
    }
    if (session->lost_in_silence)
        memset(&session->tried, 0, sizeof session->tried);
    session->lost_in_silence = false;
    session->attempt = NULL;
    attempt_close(lost);
    go_on_without_backend(session);
}

/* --- the client, while it has no backend --- */

static bool is_quit(const struct session *session) {
    const struct flow *flow = &session->flows[TO_BACKEND];
    const char *data = (const char *)io_buffer(session->worker->io, flow->buffer);
    return dialog_takes_commands(&session->dialog) && session->dialog.line_octets == 0 && flow->length == 6 &&
           strncasecmp(data, "QUIT\r\n", 6) == 0;
}

void replay_on_client(struct session *session, int result) {
    if (result > 0) { /* behind what it has said too early, where that is still there */
        flow_take(session, &session->flows[TO_BACKEND], session->client_conn.received_buffer, (unsigned)result);
        if (session->state == SESSION_PARKED && is_quit(session))
            session_close(session, CLOSE_QUIT_ANSWERED);
        else if (session->state == SESSION_PARKED)
            search(session);
    } else if (result == 0 && session->state != SESSION_PARKED) {
        session->flows[TO_BACKEND].at_end = true; /* it waits for the answers to what it has said */
    } else {
        session_close(session, result == 0 ? CLOSE_CLIENT_CLOSED : close_reason_of_client_error(result));
    }
}

void replay_on_client_sent(struct session *session, int result) {
    struct flow *flow = &session->flows[TO_CLIENT];
    if (result < 0) {
        session_close(session, close_reason_of_client_error(result));
        return;
    }
    flow->bytes += flow->sending;
    flow_release(session, flow); /* all of it was sent: what was not to go on was dropped */
    if (session->state == SESSION_REPLAY)
        replay_on_sent(session);
}

/* --- the new backend is told --- */

static void fail(struct session *session, enum failure failure, const char *why) {
    session_on_attempt_failed(session->attempt, failure, why);
}

static void send_octets(struct session *session, uint16_t buffer, size_t length) {
    struct attempt *attempt = session->attempt;
    attempt->buffer = buffer;
    attempt->has_buffer = true;
    conn_send(&attempt->conn, io_buffer(session->worker->io, buffer), length);
}

/* Writes records into `data`, from the one at *position: with PIPELINING all of them, else up to the first that has a
 * reply to be compared. Returns their length, and how many replies are to be compared. */
static size_t gather_records(struct session *session, uint8_t *data, unsigned *ret_compared) {
    bool is_grouped = worker_offer(session->worker, session->new_offer)->has_pipelining;
    size_t length = 0, line;
    unsigned code;
    *ret_compared = 0;
    while ((is_grouped || *ret_compared == 0) &&
           (line = replay_log_next(&session->log, &session->replay_at, data + length, &code)) > 0) {
        if (code == REPLAY_REFUSED) /* and the client knows */
            continue;
        length += line;
        *ret_compared += code != REPLAY_OPEN;
    }
    return length;
}

static void finish(struct session *session) {
    struct attempt *attempt = session->attempt;
    struct flow *flow = &session->flows[TO_CLIENT];
    log_info("session id=%llu server=%s %s", (unsigned long long)session->id, attempt->backend->name,
             session->gate != NULL ? "takes over from the gate" : "replayed");
    counter_add(&session->worker->counters.relayed_total, session->gate != NULL);
    gate_dialog_end(session);
    if (attempt->has_greeting) {
        flow_fill(flow, attempt->greeting, attempt->greeting_offset, attempt->greeting_length);
        attempt->has_greeting = false;
        if (attempt->greeting_offset == attempt->greeting_length)
            flow_release(session, flow);
    }
    relay_begin(session);
}

/* It has said more than it was asked for: who knows what that answers. A 421, mostly. */
static bool has_talked_unasked(const struct attempt *attempt) {
    return attempt->has_greeting && attempt->parsed < attempt->greeting_length;
}

/* `reply` from now on: only a whole reply, or a question, begins it anew. */
static void await_reply(struct session *session) {
    struct io *io = session->worker->io;
    timer_set(io_timers(io), &session->deadline, io_now_ms(io) + session->worker->shared->config->timeouts.reply_ms);
}

/* Sends the next records, or, when all are sent and compared, and nothing is on its way any more, goes back to relay.
 */
static void step(struct session *session) {
    struct attempt *attempt = session->attempt;
    unsigned id, compared;
    if (session->replies_to_compare > 0 || attempt->conn.send_armed || session->client_conn.send_armed)
        return;
    if (!session->replay_has_ended && has_talked_unasked(attempt)) {
        fail(session, FAILURE_OF_PEER, "replay: it talks before it is asked");
        return;
    }
    if (!session->replay_has_ended) {
        if (!io_buffer_take(session->worker->io, &id)) {
            fail(session, FAILURE_SHORTAGE, "no buffer for the replay");
            return;
        }
        size_t length = gather_records(session, io_buffer(session->worker->io, id), &compared);
        session->replies_to_compare = (uint16_t)compared;
        session->replay_has_ended = compared == 0 || worker_offer(session->worker, session->new_offer)->has_pipelining;
        if (length > 0) {
            send_octets(session, (uint16_t)id, length);
            await_reply(session);
            if (compared > 0)
                attempt_listen(attempt);
            return;
        }
        io_buffer_release(session->worker->io, (uint16_t)id);
    }
    finish(session);
}

/* What the next reply answers, of those that are compared. */
static enum backend_step compared_step(const struct session *session) {
    uint8_t line[REPLAY_LINE_MAX];
    unsigned code;
    size_t length;
    struct replay_position position = session->compare_at;
    while ((length = replay_log_next(&session->log, &position, line, &code)) > 0) {
        enum smtp_verb verb = command_verb(line, length);
        if (code != REPLAY_OPEN && code != REPLAY_REFUSED)
            return verb == VERB_MAIL ? STEP_MAIL : verb == VERB_RCPT ? STEP_RCPT : STEP_DATA;
    }
    return STEP_HELLO;
}

static void begin_records(struct session *session) {
    session->replay_at = replay_log_first(&session->log);
    session->compare_at = session->replay_at;
    session->attempt->step = (uint8_t)compared_step(session);
    step(session);
}

void replay_on_greeting(struct session *session) {
    struct attempt *attempt = session->attempt;
    unsigned id;
    session->replays += session->gate == NULL; /* the handover is none */
    session->replay_has_ended = false;
    session->replies_to_compare = 0;
    session->new_offer = session->offer;
    attempt->step = STEP_HELLO;
    attempt->greeting_offset = attempt->parsed = attempt->parser.total_octets; /* the client has a greeting */
    reply_parser_init(&attempt->parser, REPLAY_LINE_MAX, REPLY_HELD_MAX);
    session_enter(session, SESSION_REPLAY);
    if (session->offer == OFFER_NONE) {
        begin_records(session);
        return;
    }
    if (has_talked_unasked(attempt)) {
        fail(session, FAILURE_OF_PEER, "replay: it talks before it is asked");
        return;
    }
    if (!io_buffer_take(session->worker->io, &id)) {
        fail(session, FAILURE_SHORTAGE, "no buffer for the replay");
        return;
    }
    session->awaits_hello = true;
    send_octets(session, (uint16_t)id, replay_log_hello(&session->log, io_buffer(session->worker->io, id)));
    attempt_listen(attempt);
}

void replay_on_sent(struct session *session) {
    if (!session->awaits_hello)
        step(session);
}

/* --- what it answers --- */

/* The next code that the client has seen. */
static unsigned expected_code(struct session *session) {
    uint8_t line[REPLAY_LINE_MAX];
    unsigned code = 0;
    while (replay_log_next(&session->log, &session->compare_at, line, &code) > 0)
        if (code != REPLAY_OPEN && code != REPLAY_REFUSED)
            return code;
    return 0;
}

/* A 421 says that it is going down, in whatever place; any other reply than the first backend's may be right. */
static enum failure failure_of(const struct reply_parser *reply, bool is_invalid) {
    bool is_going_down = reply->code == 421 && !reply_is_verdict_on_client(reply);
    return is_invalid || is_going_down ? FAILURE_OF_PEER : FAILURE_OF_NOBODY;
}

/* Returns what is wrong with it, NULL if nothing is. */
static const char *compare(struct session *session, const uint8_t *reply, size_t length) {
    unsigned code = session->attempt->parser.code;
    if (session->awaits_hello) {
        session->awaits_hello = false;
        session->new_offer = worker_intern_offer(session->worker, reply, length);
        if (code / 100 != 2)
            return "replay: it refuses EHLO";
        if (session->new_offer == OFFER_UNKNOWN || !ehlo_offer_covers(worker_offer(session->worker, session->new_offer),
                                                                      worker_offer(session->worker, session->offer)))
            return "replay: it lacks an EHLO keyword that the client was offered";
        return NULL;
    }
    session->replies_to_compare--;
    return code == expected_code(session) ? NULL : "replay: it answers otherwise";
}

/* What the gate has answered for, the host may see otherwise: its word counts. Any other refusal of EHLO, and a 421,
 * only says that it is not there. */
static bool refuses_what_gate_took(const struct session *session) {
    const struct reply_parser *reply = &session->attempt->parser;
    bool is_refusal = reply->code / 100 >= 4 && reply->code != 421 && !session->awaits_hello;
    return session->gate != NULL && (is_refusal || reply_is_verdict_on_client(reply));
}

/* Looks at the replies gathered so far. Returns false when the attempt has failed. */
static bool look(struct session *session) {
    struct attempt *attempt = session->attempt;
    const uint8_t *data = io_buffer(session->worker->io, attempt->greeting);
    while ((session->awaits_hello || session->replies_to_compare > 0) && attempt->parsed < attempt->greeting_length) {
        enum reply_status status;
        attempt->parsed += (uint16_t)reply_parser_feed(&attempt->parser, data + attempt->parsed,
                                                       (size_t)(attempt->greeting_length - attempt->parsed), &status);
        const char *wrong = NULL;
        if (status == REPLY_COMPLETE && refuses_what_gate_took(session)) {
            session_take_host_refusal(attempt, attempt->greeting_offset,
                                      (size_t)(attempt->parsed - attempt->greeting_offset));
            return false;
        }
        bool was_hello = session->awaits_hello;
        bool is_invalid = status == REPLY_INVALID;
        enum failure failure = failure_of(&attempt->parser, is_invalid);
        if (status == REPLY_COMPLETE) {
            wrong = compare(session, data + attempt->greeting_offset, attempt->parsed - attempt->greeting_offset);
            attempt->greeting_offset = attempt->parsed;
            if (wrong == NULL && !was_hello)
                attempt->step = (uint8_t)compared_step(session);
            reply_parser_init(&attempt->parser, REPLAY_LINE_MAX, REPLY_HELD_MAX);
            await_reply(session);
        } else if (is_invalid) {
            wrong = "replay: its reply is not SMTP";
        }
        if (wrong != NULL) {
            fail(session, failure, wrong);
            return false;
        }
        if (was_hello && !session->awaits_hello)
            begin_records(session);
        if (session->state != SESSION_REPLAY)
            return false;
    }
    return true;
}

void replay_on_received(struct session *session, int result) {
    struct attempt *attempt = session->attempt;
    if (result <= 0) {
        fail(session, failure_of_error(result), result == 0 ? "replay: closed" : socket_error(result));
        return;
    }
    attempt_gather(attempt, attempt->conn.received_buffer, (unsigned)result);
    if (!look(session))
        return;
    if (!session->awaits_hello && session->replies_to_compare == 0)
        step(session);
    else if (!attempt->conn.recv_armed)
        attempt_listen(attempt);
}

void replay_on_timeout(struct session *session) {
    bool owes_reply = session->awaits_hello || session->replies_to_compare > 0 || session->attempt->conn.send_armed;
    if (owes_reply || !session->client_conn.send_armed)
        fail(session, conn_waits_for_buffer(&session->attempt->conn) ? FAILURE_SHORTAGE : FAILURE_OF_PEER,
             "replay: no reply in time");
    else /* the client does not take what it was told before: not the backend's fault */
        session_close(session, CLOSE_CLIENT_TIMEOUT);
}
