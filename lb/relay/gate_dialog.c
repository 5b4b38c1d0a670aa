/* The stages of a session in the gate. To the rest of the relay such a session looks like one that was greeted by a
 * backend which is lost now: the observer and the replay log are shown each command and each reply of ours, and the
 * handover is a replay (replay.c). What the host behind must still answer is the one command that is open then.
 *
 *   GATE_OPENS → GATE → the search → REPLAY → RELAY; back to GATE by way of GATE_UNREACHED when nobody can be reached,
 *   of GATE_OVERRULED when the host refuses what the gate has let pass. GATE_REFUSES → GATE for those who are not
 *   admitted, and for a balancer's health check.
 *
 * The replies come from lb/gate, which is pure; octets, deadlines and moves are done here. The gate's part of a session
 * is owned by gate_session.c. */
#include "lb/relay/gate_dialog.h"

#include "lb/relay/early.h"
#include "lb/relay/flow.h"
#include "lb/relay/gate_greeting.h"
#include "lb/relay/gate_questions.h"
#include "lb/relay/gate_session.h"
#include "lb/relay/observe.h"
#include "lb/relay/offers.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* Replies to a group of commands go out together; this much room is kept for one more. */
#define OUTPUT_MAX (IO_BUFFER_SIZE - GATE_REPLY_MAX)

static bool is_admitted(const struct session *session) {
    return session->gate->standing == STANDING_ADMITTED;
}

/* --- the handover --- */

/* What the client has said behind the open command stays in its flow, as what it says from now on. */
static enum stage_id hand_over(struct session *session) {
    struct flow *input = &session->client.flows[TO_BACKEND], *output = &session->client.flows[TO_CLIENT];
    if (!replay_log_is_complete(&session->replay.log,
                                session->replay.offer != OFFER_NONE)) /* no room: it can't be told all */
        return gate_end(session, CLOSE_NO_MEMORY);
    if (input->has_buffer && input->offset == input->length)
        flow_release(session, input);
    if (output->length > output->offset && !session->client.conn.send_armed)
        gate_send_output(session);
    else if (!session->client.conn.send_armed)
        flow_release(session, output);
    early_hear_on(session);
    tries_forget_all(session);
    return tries_search(session, SEARCH_FOR_GATE);
}

static enum stage_id go_back(struct session *session, const struct gate_answer *said) {
    if (!gate_has_output(session))
        return session_end(session, CLOSE_NO_MEMORY);
    session->gate->is_waiting = false;
    enum stage_id next = gate_say(session, said);
    return next == STAGE_SAME ? STAGE_GATE : next;
}

/* For session->ending.reason. */
static enum stage_id begin_unreached(struct session *session) {
    struct gate_answer said;
    tries_give_up(session);
    bool may_say = gate_on_unreachable(&session->gate->gate, &said);
    return may_say ? go_back(session, &said) : session_end(session, session->ending.reason);
}

/* By the words of the host. */
static enum stage_id begin_overruled(struct session *session) {
    struct io *io = session_io(session);
    struct gate_answer said;
    bool may_say = gate_on_refusal(&session->gate->gate, io_buffer(io, session->ending.words),
                                   session->ending.words_length, &said);
    session_drop_last_words(session);
    return may_say ? go_back(session, &said) : session_end(session, CLOSE_NO_BACKEND);
}

/* --- what the client says --- */

/* Acts on what the gate wants. */
static enum stage_id act(struct session *session, enum gate_next next, const struct gate_answer *said) {
    switch (next) {
    case GATE_REPLIES:
        if (said->closes && !session->client.is_check)
            session_count_refusal(session);
        return gate_say(session, said);
    case GATE_SKIPS:
        break;
    case GATE_WAITS:
        session->gate->is_waiting = true;
        gate_set_limit(session, GATE_FACT_MS);
        if (session->client.flows[TO_CLIENT].length > 0 && !session->client.conn.send_armed)
            gate_send_output(session);
        break;
    case GATE_HANDS_OVER:
        return hand_over(session);
    case GATE_QUITS:
        return gate_end(session, CLOSE_QUIT_ANSWERED);
    case GATE_CUTS_BARE:
        return gate_end(session, CLOSE_BARE_LINE_END);
    case GATE_CUTS_LINE:
        return gate_end(session, CLOSE_LINE_TOO_LONG);
    case GATE_CUTS_FOREIGN:
        return gate_end(session, CLOSE_NOT_SMTP);
    case GATE_CUTS_TALKER:
        return gate_end(session, CLOSE_TOO_MANY_ERRORS);
    }
    return STAGE_SAME;
}

/* The observer is shown what an admitted client says: it knows of more that servers read differently. */
static enum gate_piece show(struct session *session, enum gate_piece piece, const uint8_t *data, size_t length) {
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (!is_admitted(session) || length == 0)
        return piece;
    size_t shown = observe_command(session, data, length, &event);
    bool is_clear = shown == length && (piece != PIECE_LINE || event.kind == DIALOG_COMMAND);
    return is_clear ? piece : PIECE_BARE;
}

static enum stage_id take_piece(struct session *session, enum gate_piece piece, const uint8_t *data, size_t length,
                                bool is_last) {
    const struct gate_policy policy = gate_policy_of(session);
    struct gate *gate = &session->gate->gate;
    struct gate_answer said = {.length = 0};
    piece = show(session, piece, data, length);
    if (piece == PIECE_LINE && !is_last && gate_comes_early(&policy, data, length)) {
        session->client.dialog.has_pipelined = true;
        return gate_end(session, CLOSE_PIPELINING);
    }
    enum gate_next next = gate_take_piece(gate, &policy, piece, data, length, &said);
    session->client.dialog.is_not_smtp |= gate->is_foreign;
    gate_questions_ask(session);
    if (next == GATE_WAITS) /* it may have been answered just now */
        next = gate_resume(gate, &policy, &said);
    return act(session, next, &said);
}

/* Something else than octets of the client comes first. */
static bool is_held_up(const struct session *session) {
    const struct gate_dialog *dialog = session->gate;
    return dialog->is_teasing || dialog->is_waiting || dialog->is_ending;
}

static bool has_input(const struct session *session) {
    const struct flow *input = &session->client.flows[TO_BACKEND];
    return input->has_buffer && input->offset < input->length && session->client.flows[TO_CLIENT].length < OUTPUT_MAX;
}

/* Takes what the input holds, as far as that goes. */
static enum stage_id take_input(struct session *session) {
    struct flow *input = &session->client.flows[TO_BACKEND];
    enum stage_id next = STAGE_SAME;
    while (next == STAGE_SAME && !is_held_up(session) && has_input(session)) {
        const uint8_t *data = io_buffer(session_io(session), input->buffer) + input->offset;
        size_t left = (size_t)(input->length - input->offset), length;
        if (input->bytes == 0 && early_is_proxy_header(data, left)) /* of a balancer that is not listed */
            return gate_end(session, CLOSE_PROXY_UNLISTED);
        enum gate_piece piece = gate_next_piece(session->gate->gate.chunk_left, data, left, &length);
        if (piece == PIECE_UNFINISHED)
            break;
        input->offset = input->shown = input->cleared = (uint16_t)(input->offset + length);
        input->bytes += length;
        next = take_piece(session, piece, data, length, input->offset == input->length);
    }
    bool is_worked_off = next == STAGE_SAME && input->has_buffer && input->offset == input->length;
    if (is_worked_off && !is_held_up(session))
        flow_release(session, input);
    return next;
}

static enum stage_id go_on(struct session *session) {
    struct conn *conn = &session->client.conn;
    if (is_held_up(session) || conn->send_armed)
        return STAGE_SAME;
    if (!gate_has_output(session))
        return session_end(session, CLOSE_NO_MEMORY);
    enum stage_id next = take_input(session);
    if (next != STAGE_SAME || is_held_up(session) || conn->send_armed)
        return next;
    if (session->client.flows[TO_CLIENT].length > 0) {
        gate_send_output(session);
        return STAGE_SAME;
    }
    flow_release(session, &session->client.flows[TO_CLIENT]); /* none is held while the client is silent */
    if (session->client.flows[TO_BACKEND].at_end)
        return session_end(session, CLOSE_CLIENT_CLOSED);
    if (!conn->recv_armed)
        conn_recv_at_most(conn, flow_room(&session->client.flows[TO_BACKEND]));
    return STAGE_SAME;
}

/* A fact is known. */
static enum stage_id resume(struct session *session) {
    const struct gate_policy policy = gate_policy_of(session);
    struct gate_answer said;
    if (!gate_has_output(session))
        return session_end(session, CLOSE_NO_MEMORY);
    enum gate_next next = gate_resume(&session->gate->gate, &policy, &said);
    if (next == GATE_WAITS)
        return STAGE_SAME;
    session->gate->is_waiting = false;
    enum stage_id stage = act(session, next, &said);
    return stage == STAGE_SAME ? go_on(session) : stage;
}

/* --- events --- */

static enum stage_id on_received(struct session *session, int result) {
    if (session->gate->is_teasing)
        return gate_on_early_talk(session, result);
    if (result < 0)
        return session_end(session, close_reason_of_client_error(result));
    if (result > 0) /* behind the beginning of a line that is held already */
        flow_take(session, &session->client.flows[TO_BACKEND], session->client.conn.received_buffer, (unsigned)result);
    session->client.flows[TO_BACKEND].at_end |= result == 0;
    return go_on(session);
}

static enum stage_id on_sent(struct session *session, int result) {
    struct flow *output = &session->client.flows[TO_CLIENT];
    if (result < 0)
        return session_end(session, close_reason_of_client_error(result));
    output->bytes += output->sending;
    output->offset += output->sending;
    output->sending = 0;
    if (output->offset < output->length) {
        gate_send_output(session);
        return STAGE_SAME;
    }
    flow_release(session, output);
    return session->gate->is_ending ? session_end(session, session->ending.reason) : go_on(session);
}

static enum stage_id on_timeout(struct session *session) {
    struct gate_dialog *dialog = session->gate;
    if (dialog->is_teasing)
        return gate_on_teased(session);
    if (dialog->is_waiting) {
        gate_on_no_answer(&dialog->gate);
        return resume(session);
    }
    return session_end(session, CLOSE_CLIENT_TIMEOUT);
}

static enum stage_id on_fact(struct session *session) {
    return session->gate->is_waiting ? resume(session) : STAGE_SAME;
}

static enum moment moment(const struct session *session) {
    return session->gate->is_ending ? MOMENT_LAST_WORDS : MOMENT_NOW;
}

/* --- the stages --- */

/* Whoever leads here has set it. */
static uint64_t deadline_ms(const struct session *session, uint64_t now_ms) {
    (void)now_ms;
    return session->deadline.deadline_ms;
}

const struct stage stage_gate = {
    .name = "gate",
    .moves = TO(SEARCH) | TO(ENDING),
    .begin = go_on,
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = on_received,
    .on_sent = on_sent,
    .on_fact = on_fact,
    .moment = moment,
};

const struct stage stage_gate_unreached = {
    .name = "gate-unreached",
    .moves = TO(GATE) | TO(ENDING),
    .is_transient = true,
    .begin = begin_unreached,
};

const struct stage stage_gate_overruled = {
    .name = "gate-overruled",
    .moves = TO(GATE) | TO(ENDING),
    .is_transient = true,
    .begin = begin_overruled,
};
