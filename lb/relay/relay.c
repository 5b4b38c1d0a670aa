/* The stage relay: octets between a client and the backend it is committed to. Each direction has one buffer at most:
 * received, looked at by the observer (show.c), sent on, and only then is the next receive armed; so a slow reader
 * slows its writer and memory stays bounded whatever the two do. Octets are never rewritten. It comes from the search
 * or a replay; loss.c and moment.c say when it is left. Owns both flows while it lasts. */
#include "lb/relay/relay.h"

#include "lb/relay/attempt.h"
#include "lb/relay/carry_over.h"
#include "lb/relay/doubled.h"
#include "lb/relay/flow.h"
#include "lb/relay/loss.h"
#include "lb/relay/moment.h"
#include "lb/relay/relay_wait.h"
#include "lb/relay/show.h"
#include "lb/relay/worker_private.h"

#include <assert.h>

static struct conn *source_of(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? &session->client.conn : &session->search.attempt->conn;
}

static struct conn *target_of(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? &session->search.attempt->conn : &session->client.conn;
}

/* --- moving octets --- */

/* Large buffers are few, so they are for what is only passed through. */
static bool takes_bulk(const struct session *session, enum direction direction) {
    return session->client.flows[direction].is_bulk &&
           (dialog_is_in_content(&session->client.dialog) || !dialog_is_clear(&session->client.dialog));
}

static void rearm(struct session *session, enum direction direction) {
    struct conn *source = source_of(session, direction);
    const struct flow *flow = &session->client.flows[direction];
    if (source->recv_armed)
        return;
    if (flow->has_buffer)
        conn_recv_at_most(source, flow_room(flow));
    else if (takes_bulk(session, direction))
        conn_recv_bulk(source);
    else
        conn_recv(source, false);
}

/* The client has said QUIT and half-closed, and all before it was answered and has been sent on. Some hosts await the
 * client's end before their 221 (Exim for 200 ms), so the host's side is closed, and the 221, if it has not come yet,
 * is ours. That spares us the shutdown, which io_uring hands to a kernel thread. */
static enum stage_id end_behind_quit(struct session *session) {
    const struct dialog *dialog = &session->client.dialog;
    const struct flow *from_client = &session->client.flows[TO_BACKEND];
    bool has_said_all = from_client->at_end && !from_client->has_buffer && dialog_has_quit(dialog);
    if (!has_said_all || session->client.flows[TO_CLIENT].has_buffer || !dialog_is_clear(dialog))
        return STAGE_SAME;
    if (!dialog_owes_reply(dialog))
        return loss_of_client(session);
    return dialog_only_quit_is_open(dialog) ? session_end(session, CLOSE_QUIT_ANSWERED) : STAGE_SAME;
}

/* The client has half-closed, and what it said has been sent. The backend must learn that no more will come. */
static enum stage_id pass_end_on(struct session *session) {
    bool is_behind_quit = dialog_has_quit(&session->client.dialog) && dialog_is_clear(&session->client.dialog);
    enum stage_id next = session->relay.backend_is_lost ? STAGE_SAME : end_behind_quit(session);
    if (next == STAGE_SAME && !session->relay.backend_is_lost && !is_behind_quit)
        conn_shutdown_write(&session->search.attempt->conn);
    return next;
}

/* The host may have taken a mail whose client hears a refusal, and will say it again. */
static enum stage_id end_in_doubt(struct session *session, enum close_reason reason) {
    if (dialog_may_hide_acceptance(&session->client.dialog))
        doubled_log(session);
    return session_end(session, reason);
}

/* What becomes of the session, behind what came before it. */
static enum stage_id go_on_behind(struct session *session, enum shown shown) {
    switch (shown) {
    case SHOWN:
        break;
    case SHOWN_421:
        return carry_over(session, "said 421");
    case SHOWN_JUNK:
        return loss_on_junk(session);
    case SHOWN_UNASKED:
        return loss_on_unasked(session);
    case SHOWN_UNCLEAR:
        return end_in_doubt(session, CLOSE_UNCLEAR_REPLY);
    case SHOWN_BARE_LINE_END:
        return end_in_doubt(session, CLOSE_BARE_LINE_END);
    case SHOWN_STARTTLS_BEHIND:
        return end_in_doubt(session, CLOSE_STARTTLS_BEHIND);
    case SHOWN_PROXY_HEADER:
        return session_end(session, CLOSE_PROXY_UNLISTED);
    }
    return STAGE_SAME;
}

/* Sends on what the flow's buffer holds, as far as it may go; not while some of it is being sent. */
static enum stage_id forward(struct session *session, enum direction direction) {
    struct flow *flow = &session->client.flows[direction];
    enum shown shown = show_octets(session, direction);
    bool may_go_on = direction == TO_CLIENT || shown == SHOWN;
    flow_check(flow);
    flow->blocked = flow->offset == flow->cleared;
    if (may_go_on && !flow->blocked) {
        struct conn *target = target_of(session, direction);
        flow->sending = flow->cleared - flow->offset;
        conn_send(target, io_buffer(target->io, flow->buffer) + flow->offset, flow->sending);
    } else if (direction == TO_CLIENT && shown == SHOWN) {
        rearm(session, TO_CLIENT); /* for the rest of the reply */
    }
    return go_on_behind(session, shown);
}

/* What was received goes on at once, unless the octets before it are still on their way, or nobody takes it. */
static enum stage_id take(struct session *session, enum direction direction, uint16_t received, unsigned length) {
    struct flow *flow = &session->client.flows[direction];
    flow_take(session, flow, received, length);
    bool must_wait = flow->sending > 0 || (direction == TO_BACKEND && session->relay.backend_is_lost);
    return must_wait ? STAGE_SAME : forward(session, direction);
}

/* A reply may have made room for what the client says. */
static enum stage_id unblock_client(struct session *session) {
    const struct flow *flow = &session->client.flows[TO_BACKEND];
    bool is_blocked = flow->has_buffer && flow->blocked && !session->relay.backend_is_lost;
    return is_blocked ? forward(session, TO_BACKEND) : STAGE_SAME;
}

/* --- ends --- */

/* A client that closes inside TLS with its server's close_notify unread resets, be it behind its own; it has heard all
 * that it wanted. */
static bool has_finished_opaque(const struct session *session) {
    uint64_t age_ms = io_now_ms(session->worker->io) - session->relay.active_ms;
    return session->relay.client_spoke_last ? turn_is_farewell(&session->relay.client_turn) : age_ms <= LAST_WORD_MS;
}

static enum stage_id end_with_clients_error(struct session *session, int error) {
    enum close_reason reason = close_reason_of_client_error(error);
    if (dialog_is_clear(&session->client.dialog))
        return session_end(session, dialog_has_quit(&session->client.dialog) ? CLOSE_DONE : reason);
    bool is_finished = reason == CLOSE_CLIENT_RESET && has_finished_opaque(session);
    return session_end(session, is_finished ? CLOSE_OPAQUE_ENDED : reason);
}

static enum stage_id on_client_end(struct session *session, int result) {
    if (result < 0)
        return end_with_clients_error(session, result);
    session->client.flows[TO_BACKEND].at_end = true;
    return session->client.flows[TO_BACKEND].has_buffer ? STAGE_SAME : pass_end_on(session);
}

/* --- received --- */

/* What the client has said since the backend's last word: inside TLS nothing else tells what it may have been. */
static void note_turn(struct session *session, enum direction direction, unsigned octets) {
    const struct conn *conn = &session->client.conn;
    bool is_clients = direction == TO_BACKEND;
    if (is_clients && !session->relay.client_spoke_last)
        turn_begin(&session->relay.client_turn, io_buffer(conn->io, conn->received_buffer)[0],
                   dialog_phase(&session->client.dialog) == PHASE_TLS);
    if (is_clients)
        turn_add(&session->relay.client_turn, octets);
    session->relay.client_spoke_last = is_clients;
}

static enum stage_id take_received(struct session *session, enum direction direction, unsigned length) {
    note_turn(session, direction, length);
    session->client.flows[direction].is_bulk |= length == IO_BUFFER_SIZE;
    enum stage_id next = take(session, direction, source_of(session, direction)->received_buffer, length);
    return next == STAGE_SAME && direction == TO_CLIENT ? unblock_client(session) : next;
}

static enum stage_id on_received(struct session *session, int result) {
    enum stage_id next =
        result > 0 ? take_received(session, TO_BACKEND, (unsigned)result) : on_client_end(session, result);
    if (next == STAGE_SAME)
        relay_wait(session, RELAY_CLIENT_SPOKE);
    return next;
}

static enum stage_id on_backend_received(struct session *session, int result) {
    enum stage_id next =
        result > 0 ? take_received(session, TO_CLIENT, (unsigned)result) : loss_on_backend_end(session, result);
    if (next == STAGE_SAME)
        relay_wait(session, RELAY_BACKEND_SPOKE);
    return next;
}

/* --- sent --- */

static void count_sent(struct session *session, enum direction direction, unsigned octets) {
    struct backend_share *share = attempt_share(session->search.attempt);
    struct counters *counters = &session->worker->counters;
    session->client.flows[direction].bytes += octets;
    if (direction == TO_BACKEND) {
        counter_add(&share->bytes_in, octets);
        counter_add(&counters->bytes_in, octets);
    } else {
        counter_add(&share->bytes_out, octets);
        counter_add(&counters->bytes_out, octets);
    }
}

/* A backend that takes no more may have said why: what it said is still to be received and passed on before its end
 * is. What it was not sent yet is kept for another one. */
static enum stage_id on_backend_takes_no_more(struct session *session, int error) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    flow->sending = 0;
    flow->offset = flow->cleared = flow->shown;
    if (flow->offset == flow->length)
        flow_release(session, flow);
    if (is_shortage(error)) /* it is not gone, and has no last words */
        return loss_on_backend_end(session, error);
    session->relay.backend_is_lost = true;
    relay_wait(session, RELAY_BACKEND_TOOK);
    return STAGE_SAME;
}

/* All that could go of the flow has gone. */
static enum stage_id on_flow_empty(struct session *session, enum direction direction) {
    enum stage_id next = STAGE_SAME;
    flow_release(session, &session->client.flows[direction]);
    if (direction == TO_CLIENT)
        next = moment_behind_reply(session);
    if (direction == TO_CLIENT && next == STAGE_SAME)
        next = end_behind_quit(session);
    if (next != STAGE_SAME)
        return next;
    if (direction == TO_BACKEND && session->client.flows[TO_BACKEND].at_end)
        return pass_end_on(session);
    rearm(session, direction);
    return STAGE_SAME;
}

static enum stage_id go_on_behind_sent(struct session *session, enum direction direction) {
    struct flow *flow = &session->client.flows[direction];
    count_sent(session, direction, flow->sending);
    flow->offset += flow->sending;
    flow->sending = 0;
    return flow->offset < flow->length ? forward(session, direction) : on_flow_empty(session, direction);
}

static enum stage_id on_sent(struct session *session, int result) {
    if (result < 0)
        return end_with_clients_error(session, result);
    enum stage_id next = go_on_behind_sent(session, TO_CLIENT);
    if (next == STAGE_SAME)
        relay_wait(session, RELAY_CLIENT_TOOK);
    return next;
}

static enum stage_id on_backend_sent(struct session *session, int result) {
    if (result < 0)
        return on_backend_takes_no_more(session, result);
    enum stage_id next = go_on_behind_sent(session, TO_BACKEND);
    if (next == STAGE_SAME)
        relay_wait(session, RELAY_BACKEND_TOOK);
    return next;
}

/* --- the stage --- */

static enum stage_id begin_flow(struct session *session, enum direction direction) {
    if (session->client.flows[direction].has_buffer)
        return forward(session, direction);
    if (direction == TO_BACKEND && session->client.flows[TO_BACKEND].at_end)
        return pass_end_on(session);
    rearm(session, direction);
    return STAGE_SAME;
}

/* The flows hold what is to go on: at the beginning the greeting and what the client said too early, after a replay
 * what the new backend has said and the client said meanwhile. */
static enum stage_id begin(struct session *session) {
    const struct conn *backend = &session->search.attempt->conn;
    assert(!backend->recv_armed && !backend->send_armed && !session->client.conn.send_armed);
    session->relay.backend_is_lost = session->relay.has_replied = false;
    enum stage_id next = begin_flow(session, TO_CLIENT);
    if (next == STAGE_SAME)
        next = begin_flow(session, TO_BACKEND);
    if (next == STAGE_SAME)
        relay_wait(session, RELAY_BEGUN);
    return next;
}

const struct stage stage_relay = {
    .name = "relay",
    .moves = TO(PARKED) | TO(SEARCH) | TO(ENDING),
    .begin = begin,
    .on_timeout = loss_on_timeout,
    .on_received = on_received,
    .on_sent = on_sent,
    .on_backend_received = on_backend_received,
    .on_backend_sent = on_backend_sent,
    .on_backend_failed = relay_hurry,
    .moment = moment_in_relay,
};
