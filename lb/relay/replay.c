/* The stage replay. A new backend is told what the lost one was told, or what the gate has answered for. Replies that
 * the client has already are compared and dropped; from the first one on that it still waits for, the session is in
 * relay again. Owns session->replay_at, and how far the replay has come. */
#include "lb/relay/replay.h"

#include "lb/engine/log.h"
#include "lb/relay/early.h"
#include "lb/relay/flow.h"
#include "lb/relay/gate_session.h"
#include "lb/relay/offers.h"
#include "lb/relay/outcome.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* --- the new backend is told --- */

static enum stage_id fail(struct session *session, enum failure failure, const char *why) {
    return tries_failed(session->search.attempt, failure, why);
}

static bool is_for_gate(const struct session *session) {
    return session->search.purpose == SEARCH_FOR_GATE;
}

static void send_octets(struct session *session, uint16_t buffer, size_t length) {
    struct attempt *attempt = session->search.attempt;
    attempt->buffer = buffer;
    attempt->has_buffer = true;
    conn_send(&attempt->conn, io_buffer(session->worker->io, buffer), length);
}

/* Writes records into `data`, from the one at *position: with PIPELINING all of them, else up to the first that has a
 * reply to be compared. Returns their length, and how many replies are to be compared. */
static size_t gather_records(struct session *session, uint8_t *data, unsigned *ret_compared) {
    bool is_grouped = offers_get(&session->worker->offers, session->replay.new_offer)->has_pipelining;
    size_t length = 0, line;
    unsigned code;
    *ret_compared = 0;
    while ((is_grouped || *ret_compared == 0) &&
           (line = replay_log_next(&session->replay.log, &session->replay_at.next, data + length, &code)) > 0) {
        if (code == REPLAY_REFUSED) /* and the client knows */
            continue;
        length += line;
        *ret_compared += code != REPLAY_OPEN;
    }
    return length;
}

static enum stage_id finish(struct session *session) {
    struct attempt *attempt = session->search.attempt;
    struct flow *flow = &session->client.flows[TO_CLIENT];
    log_info("session id=%llu server=%s %s", (unsigned long long)session->id, attempt->backend->name,
             is_for_gate(session) ? "takes over from the gate" : "replayed");
    counter_add(&session->worker->counters.relayed_total, is_for_gate(session));
    gate_forget(session);
    if (attempt->has_greeting) {
        flow_fill(flow, attempt->greeting, attempt->greeting_offset, attempt->greeting_length);
        attempt->has_greeting = false;
        if (attempt->greeting_offset == attempt->greeting_length)
            flow_release(session, flow);
    }
    return STAGE_RELAY;
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
static enum stage_id step(struct session *session) {
    struct attempt *attempt = session->search.attempt;
    unsigned id, compared;
    if (session->replay.replies_to_compare > 0 || attempt->conn.send_armed || session->client.conn.send_armed)
        return STAGE_SAME;
    if (session->replay.has_ended)
        return finish(session);
    if (has_talked_unasked(attempt))
        return fail(session, FAILURE_OF_PEER, "replay: it talks before it is asked");
    if (!io_buffer_take(session_io(session), &id))
        return fail(session, FAILURE_SHORTAGE, "no buffer for the replay");
    size_t length = gather_records(session, io_buffer(session_io(session), id), &compared);
    session->replay.replies_to_compare = (uint16_t)compared;
    session->replay.has_ended =
        compared == 0 || offers_get(&session->worker->offers, session->replay.new_offer)->has_pipelining;
    if (length == 0) {
        io_buffer_release(session_io(session), (uint16_t)id);
        return finish(session);
    }
    send_octets(session, (uint16_t)id, length);
    await_reply(session);
    if (compared > 0)
        attempt_listen(attempt);
    return STAGE_SAME;
}

/* What the next reply answers, of those that are compared. */
static enum backend_step compared_step(const struct session *session) {
    uint8_t line[REPLAY_LINE_MAX];
    unsigned code;
    size_t length;
    struct replay_position position = session->replay_at.compared;
    while ((length = replay_log_next(&session->replay.log, &position, line, &code)) > 0) {
        enum smtp_verb verb = command_verb(line, length);
        if (code != REPLAY_OPEN && code != REPLAY_REFUSED)
            return verb == VERB_MAIL ? STEP_MAIL : verb == VERB_RCPT ? STEP_RCPT : STEP_DATA;
    }
    return STEP_HELLO;
}

static enum stage_id begin_records(struct session *session) {
    session->replay_at.next = replay_log_first(&session->replay.log);
    session->replay_at.compared = session->replay_at.next;
    session->search.attempt->step = (uint8_t)compared_step(session);
    return step(session);
}

/* The new backend has greeted, and the client has a greeting. */
static enum stage_id begin(struct session *session) {
    struct attempt *attempt = session->search.attempt;
    unsigned id;
    session->replay.count += !is_for_gate(session); /* the handover is none */
    session->replay.has_ended = false;
    session->replay.replies_to_compare = 0;
    session->replay.new_offer = session->replay.offer;
    attempt->step = STEP_HELLO;
    attempt->greeting_offset = attempt->parsed = attempt->parser.total_octets;
    reply_parser_init(&attempt->parser, REPLAY_LINE_MAX, REPLY_HELD_MAX);
    if (session->replay.offer == OFFER_NONE)
        return begin_records(session);
    if (has_talked_unasked(attempt))
        return fail(session, FAILURE_OF_PEER, "replay: it talks before it is asked");
    if (!io_buffer_take(session_io(session), &id))
        return fail(session, FAILURE_SHORTAGE, "no buffer for the replay");
    session->replay.awaits_hello = true;
    send_octets(session, (uint16_t)id, replay_log_hello(&session->replay.log, io_buffer(session_io(session), id)));
    attempt_listen(attempt);
    return STAGE_SAME;
}

/* --- what it answers --- */

/* The next code that the client has seen. */
static unsigned expected_code(struct session *session) {
    uint8_t line[REPLAY_LINE_MAX];
    unsigned code = 0;
    while (replay_log_next(&session->replay.log, &session->replay_at.compared, line, &code) > 0)
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
    unsigned code = session->search.attempt->parser.code;
    if (session->replay.awaits_hello) {
        session->replay.awaits_hello = false;
        session->replay.new_offer = offers_intern(&session->worker->offers, reply, length);
        if (code / 100 != 2)
            return "replay: it refuses EHLO";
        if (session->replay.new_offer == OFFER_UNKNOWN ||
            !ehlo_offer_covers(offers_get(&session->worker->offers, session->replay.new_offer),
                               offers_get(&session->worker->offers, session->replay.offer)))
            return "replay: it lacks an EHLO keyword that the client was offered";
        return NULL;
    }
    session->replay.replies_to_compare--;
    return code == expected_code(session) ? NULL : "replay: it answers otherwise";
}

/* What the gate has answered for, the host may see otherwise: its word counts. Any other refusal of EHLO, and a 421,
 * only says that it is not there. */
static bool refuses_what_gate_took(const struct session *session) {
    const struct reply_parser *reply = &session->search.attempt->parser;
    bool is_refusal = reply->code / 100 >= 4 && reply->code != 421 && !session->replay.awaits_hello;
    return is_for_gate(session) && (is_refusal || reply_is_verdict_on_client(reply));
}

/* A reply is whole, or invalid for ever. */
static enum stage_id take_reply(struct session *session, bool is_invalid) {
    struct attempt *attempt = session->search.attempt;
    const uint8_t *reply = io_buffer(session_io(session), attempt->greeting) + attempt->greeting_offset;
    size_t length = (size_t)(attempt->parsed - attempt->greeting_offset);
    bool is_hello = session->replay.awaits_hello;
    enum failure failure = failure_of(&attempt->parser, is_invalid);
    if (is_invalid)
        return fail(session, failure, "replay: its reply is not SMTP");
    if (refuses_what_gate_took(session)) {
        tries_take_words(attempt, attempt->greeting_offset, length);
        tries_leave(attempt);
        return STAGE_GATE_OVERRULED;
    }
    const char *wrong = compare(session, reply, length);
    if (wrong != NULL)
        return fail(session, failure, wrong);
    outcome_note_passed(session, is_hello ? STEP_HELLO : (enum backend_step)attempt->step);
    attempt->greeting_offset = attempt->parsed;
    if (!is_hello)
        attempt->step = (uint8_t)compared_step(session);
    reply_parser_init(&attempt->parser, REPLAY_LINE_MAX, REPLY_HELD_MAX);
    await_reply(session);
    return is_hello ? begin_records(session) : STAGE_SAME;
}

/* Looks at the replies gathered so far. */
static enum stage_id look(struct session *session) {
    struct attempt *attempt = session->search.attempt;
    const uint8_t *data = io_buffer(session_io(session), attempt->greeting);
    enum stage_id next = STAGE_SAME;
    while (next == STAGE_SAME && (session->replay.awaits_hello || session->replay.replies_to_compare > 0) &&
           attempt->parsed < attempt->greeting_length) {
        enum reply_status status;
        attempt->parsed += (uint16_t)reply_parser_feed(&attempt->parser, data + attempt->parsed,
                                                       (size_t)(attempt->greeting_length - attempt->parsed), &status);
        if (status == REPLY_COMPLETE || status == REPLY_INVALID)
            next = take_reply(session, status == REPLY_INVALID);
    }
    return next;
}

/* --- the stage --- */

static uint64_t deadline_ms(const struct session *session, uint64_t now_ms) {
    return now_ms + session->worker->shared->config->timeouts.reply_ms;
}

static enum stage_id on_timeout(struct session *session) {
    bool owes_reply = session->replay.awaits_hello || session->replay.replies_to_compare > 0 ||
                      session->search.attempt->conn.send_armed;
    if (owes_reply || !session->client.conn.send_armed)
        return fail(session, conn_waits_for_buffer(&session->search.attempt->conn) ? FAILURE_SHORTAGE : FAILURE_OF_PEER,
                    "replay: no reply in time");
    /* The client does not take what it was told before: not the backend's fault. */
    return session_end(session, CLOSE_CLIENT_TIMEOUT);
}

static enum stage_id on_sent(struct session *session, int result) {
    enum stage_id next = early_on_sent(session, result);
    return next == STAGE_SAME && !session->replay.awaits_hello ? step(session) : next;
}

static enum stage_id on_backend_received(struct session *session, int result) {
    struct attempt *attempt = session->search.attempt;
    if (result <= 0)
        return fail(session, failure_of_error(result), result == 0 ? "replay: closed" : socket_error(result));
    attempt_gather(attempt, attempt->conn.received_buffer, (unsigned)result);
    enum stage_id next = look(session);
    if (next != STAGE_SAME)
        return next;
    if (!session->replay.awaits_hello && session->replay.replies_to_compare == 0)
        return step(session);
    if (!attempt->conn.recv_armed)
        attempt_listen(attempt);
    return STAGE_SAME;
}

static enum stage_id on_backend_sent(struct session *session, int result) {
    if (result < 0)
        return fail(session, failure_of_error(result), socket_error(result));
    return session->replay.awaits_hello ? STAGE_SAME : step(session);
}

const struct stage stage_replay = {
    .name = "replay",
    .moves = TO(RELAY) | TO(SEARCH) | TO(GATE_UNREACHED) | TO(GATE_OVERRULED) | TO(ENDING),
    .begin = begin,
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = early_on_received,
    .on_sent = on_sent,
    .on_backend_received = on_backend_received,
    .on_backend_sent = on_backend_sent,
    .moment = session_may_end_now,
};
