/* The stage parked, and the way to another backend. A backend is lost in mid-dialog, and nothing that it was told is
 * beyond recall: the session leaves it, and looks for another one, which is told the same (replay.c); the client
 * notices nothing but time (DESIGN §5). Where nothing is owed there is no hurry: the session is parked until its
 * client goes on. loss.c decides that it comes here. */
#include "lb/relay/carry_over.h"

#include "lb/engine/log.h"
#include "lb/relay/early.h"
#include "lb/relay/flow.h"
#include "lb/relay/offers.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

#include <string.h>
#include <strings.h>

bool can_carry_over(const struct session *session) {
    const struct dialog *dialog = &session->client.dialog;
    bool has_said_hello = session->replay.offer != OFFER_NONE;
    return dialog_is_repeatable(dialog) && replay_log_is_complete(&session->replay.log, has_said_hello) &&
           session->replay.offer != OFFER_UNKNOWN && session->replay.count < REPLAYS_MAX &&
           !session->relay.is_mid_reply && !session->relay.is_shutting_down && !session->worker->is_stopping;
}

/* The rest of the client's octets, which the old backend was not sent yet, stays; what is being sent belongs to the
 * attempt until that has ended. Returns false when there is no buffer, or none large enough, to part them. */
static bool part_client_flow(struct session *session) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    struct attempt *attempt = session->search.attempt;
    struct io *io = session_io(session);
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
    struct flow *flow = &session->client.flows[TO_CLIENT];
    dialog_forget_partial_reply(&session->client.dialog);
    flow->length = flow->shown = flow->cleared;
    if (flow->has_buffer && !session->client.conn.send_armed)
        flow_release(session, flow);
}

static enum stage_id go_on_without_backend(struct session *session) {
    const struct flow *flow = &session->client.flows[TO_BACKEND];
    early_hear_on(session);
    if (dialog_only_quit_is_open(&session->client.dialog))
        return session_end(session, CLOSE_QUIT_ANSWERED);
    if (dialog_owes_reply(&session->client.dialog) || flow->has_buffer)
        return tries_search(session, SEARCH_FOR_LOST);
    if (flow->at_end) /* nothing is owed to it, and it can't say any more */
        return session_end(session, CLOSE_CLIENT_CLOSED);
    return STAGE_PARKED;
}

enum stage_id carry_over(struct session *session, const char *why) {
    struct attempt *lost = session->search.attempt;
    log_info("session id=%llu server=%s lost in phase=%s: %s; it is replayed", (unsigned long long)session->id,
             lost->backend->name, dialog_phase_name(dialog_phase(&session->client.dialog)), why);
    session->relay.backend_is_lost = false;
    drop_unfinished_reply(session);
    if (!part_client_flow(session))
        return session_end(session, CLOSE_NO_ROOM);
    if (session->relay.lost_in_silence)
        tries_forget_all(session);
    session->relay.lost_in_silence = false;
    tries_lose(session);
    return go_on_without_backend(session);
}

/* --- parked --- */

static uint64_t deadline_ms(const struct session *session, uint64_t now_ms) {
    return now_ms + session->worker->shared->config->timeouts.client_ms;
}

static enum stage_id on_timeout(struct session *session) {
    return session_end(session, CLOSE_CLIENT_TIMEOUT);
}

static bool is_quit(const struct session *session) {
    const struct flow *flow = &session->client.flows[TO_BACKEND];
    const char *data = (const char *)io_buffer(session_io(session), flow->buffer);
    return dialog_takes_commands(&session->client.dialog) && session->client.dialog.line_octets == 0 &&
           flow->length == 6 && strncasecmp(data, "QUIT\r\n", 6) == 0;
}

static enum stage_id on_received(struct session *session, int result) {
    if (result <= 0)
        return session_end(session, result == 0 ? CLOSE_CLIENT_CLOSED : close_reason_of_client_error(result));
    flow_take(session, &session->client.flows[TO_BACKEND], session->client.conn.received_buffer, (unsigned)result);
    if (is_quit(session))
        return session_end(session, CLOSE_QUIT_ANSWERED);
    return tries_search(session, SEARCH_FOR_LOST);
}

const struct stage stage_parked = {
    .name = "parked",
    .moves = TO(SEARCH) | TO(ENDING),
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = on_received,
    .on_sent = early_on_sent,
    .moment = session_may_end_now,
};
