/* The stage proxy-in. A listed peer (`proxy-from`) sends a PROXY header before anything else, which names the real
 * client; then the client is admitted (admission.c). Peers that are not listed must not send one: whoever could would
 * speak for any client it likes. */
#include "lb/relay/proxy_in.h"

#include "backends/proxy.h"
#include "lb/relay/admission.h"
#include "lb/relay/early.h"
#include "lb/relay/flow.h"
#include "lb/relay/worker_private.h"

#include <errno.h>
#include <string.h>

static bool somebody_is_served(const struct view *view) {
    for (unsigned i = 0; i < view->tiers_count; i++)
        for (unsigned k = 0; view->tiers[i].is_up && k < view->tiers[i].members_count; k++)
            if (view->tiers[i].members[k].is_usable && view->tiers[i].members[k].weight > 0)
                return true;
    return false;
}

/* The peer's own connection: its check of whether postern serves, which it does as long as it serves anybody, vetted
 * clients in an outage among them. It is no client: it takes no place of max-sessions. */
static enum stage_id answer_check(struct session *session) {
    session->client.is_check = true;
    session_leave_count(session);
    return somebody_is_served(session->worker->view) ? STAGE_GATE_REFUSES : session_end(session, CLOSE_NO_BACKEND);
}

/* What stands behind the header is early talk of the client. */
static enum stage_id accept_header(struct session *session, const struct proxy_header *header, size_t header_length) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    struct io *io = session->worker->io;
    if (header->is_proxied) {
        session->client.address = header->source;
        session_set_local(session, &header->destination);
    }
    uint8_t *data = io_buffer(io, flow->buffer);
    flow->length -= (uint16_t)header_length;
    memmove(data, data + header_length, flow->length);
    if (flow->length == 0) {
        flow_release(session, flow);
    } else {
        session->client.is_early_talker = true;
    }
    if (flow->length > EARLY_BYTES_MAX)
        return session_end(session, CLOSE_EARLY_TALK);
    early_listen(session);
    if (!header->is_proxied)
        return answer_check(session);
    return session->client.counts ? admission_admit(session) : session_end(session, CLOSE_TOO_MANY_SESSIONS);
}

/* Gathers octets in the flow's buffer; a header fits many times. */
static bool gather(struct session *session, int result) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    struct conn *conn = &session->client.conn;
    if (flow->has_buffer && flow->length + (unsigned)result > EARLY_BYTES_MAX) {
        io_buffer_release(conn->io, conn->received_buffer);
        return false;
    }
    flow_take(session, flow, conn->received_buffer, (unsigned)result);
    return true;
}

static enum stage_id on_received(struct session *session, int result) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    struct proxy_header header;
    if (result <= 0)
        return session_end(session, is_shortage(result) ? CLOSE_CLIENT_STARVED : CLOSE_PROXY_CLOSED);
    if (!gather(session, result))
        return session_end(session, CLOSE_PROXY_TOO_LONG);
    int length = proxy_parse(io_buffer(session_io(session), flow->buffer), flow->length, &header);
    if (length > 0)
        return accept_header(session, &header, (size_t)length);
    if (length < 0)
        return session_end(session, length == -EMSGSIZE ? CLOSE_PROXY_TOO_LONG : CLOSE_PROXY_MALFORMED);
    if (flow->length > EARLY_BYTES_MAX)
        return session_end(session, CLOSE_PROXY_TOO_LONG);
    early_listen(session);
    return STAGE_SAME;
}

static uint64_t deadline_ms(const struct session *session, uint64_t now_ms) {
    return now_ms + session->client.listener->config->proxy_timeout_ms;
}

static enum stage_id on_timeout(struct session *session) {
    return session_end(session, conn_waits_for_buffer(&session->client.conn) ? CLOSE_NO_MEMORY : CLOSE_PROXY_MISSING);
}

const struct stage stage_proxy_in = {
    .name = "proxy-in",
    .moves = TO(SEARCH) | TO(GATE_REFUSES) | TO(ENDING),
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = on_received,
    .moment = session_may_end_now,
};
