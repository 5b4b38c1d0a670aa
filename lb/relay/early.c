/* What a client says while no backend serves it: in the search, in the queue, in a replay, parked. It is kept in the
 * buffer of the flow TO_BACKEND, behind what that still holds: of a client that has not been greeted few octets, of one
 * in mid-dialog as many as the buffer has room for. The rows of those stages name these handlers. */
#include "lb/relay/early.h"

#include "lb/relay/flow.h"

#include <string.h>

bool early_is_proxy_header(const uint8_t *data, size_t length) {
    static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    return (length >= 6 && memcmp(data, "PROXY ", 6) == 0) ||
           (length >= sizeof v2_signature && memcmp(data, v2_signature, sizeof v2_signature) == 0);
}

void early_listen(struct session *session) {
    conn_recv_at_most(&session->client.conn, EARLY_BYTES_MAX + 1 - session->client.flows[TO_BACKEND].length);
}

void early_hear_on(struct session *session) {
    const struct flow *flow = &session->client.flows[TO_BACKEND];
    if (!flow->has_buffer && !flow->at_end && !session->client.conn.recv_armed)
        conn_recv(&session->client.conn, false);
}

/* Keeps what was said before the greeting: appended to the flow's one buffer, at most EARLY_BYTES_MAX. */
static enum stage_id keep_talk(struct session *session, unsigned length) {
    struct conn *conn = &session->client.conn;
    struct flow *flow = &session->client.flows[TO_BACKEND];
    session->client.is_early_talker = true;
    if (flow->length + length > EARLY_BYTES_MAX) {
        io_buffer_release(conn->io, conn->received_buffer);
        return session_end(session, CLOSE_EARLY_TALK);
    }
    flow_take(session, flow, conn->received_buffer, length);
    if (early_is_proxy_header(io_buffer(conn->io, flow->buffer), flow->length))
        return session_end(session, CLOSE_PROXY_UNLISTED);
    early_listen(session);
    return STAGE_SAME;
}

static enum stage_id on_talk(struct session *session, int result) {
    if (result > 0)
        return keep_talk(session, (unsigned)result);
    if (result < 0 || !session->client.flows[TO_BACKEND].has_buffer)
        return session_end(session, is_shortage(result) ? CLOSE_CLIENT_STARVED : CLOSE_CLIENT_LEFT);
    session->client.flows[TO_BACKEND].at_end =
        true; /* a script that wrote all it has to say and waits for the answers */
    return STAGE_SAME;
}

enum stage_id early_on_received(struct session *session, int result) {
    struct flow *flow = &session->client.flows[TO_BACKEND];
    if (!session->client.has_greeted)
        return on_talk(session, result);
    if (result < 0)
        return session_end(session, close_reason_of_client_error(result));
    if (result == 0) /* it waits for the answers to what it has said */
        flow->at_end = true;
    else /* behind what it has said too early, where that is still there */
        flow_take(session, flow, session->client.conn.received_buffer, (unsigned)result);
    return STAGE_SAME;
}

enum stage_id early_on_sent(struct session *session, int result) {
    struct flow *flow = &session->client.flows[TO_CLIENT];
    if (result < 0)
        return session_end(session, close_reason_of_client_error(result));
    flow->bytes += flow->sending;
    flow_release(session, flow); /* all of it was sent: what was not to go on was dropped */
    return STAGE_SAME;
}
