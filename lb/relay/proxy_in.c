/* The PROXY header that a listed peer (`proxy-from`) sends before anything else: it names the real client. Peers that
 * are not listed must not send one: whoever could would speak for any client it likes. */
#include "backends/proxy.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <errno.h>
#include <string.h>

bool proxy_in_looks_like(const uint8_t *data, size_t length) {
    static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    return (length >= 6 && memcmp(data, "PROXY ", 6) == 0) ||
           (length >= sizeof v2_signature && memcmp(data, v2_signature, sizeof v2_signature) == 0);
}

/* What stands behind the header is early talk of the client. */
static void accept_header(struct session *session, const struct proxy_header *header, size_t header_length) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct io *io = session->worker->io;
    if (header->is_proxied) {
        session->client = header->source;
        address_unmap(&session->client);
        session_set_local(session, &header->destination);
    }
    uint8_t *data = io_buffer(io, flow->buffer);
    flow->length -= (uint16_t)header_length;
    memmove(data, data + header_length, flow->length);
    if (flow->length == 0) {
        io_buffer_release(io, flow->buffer);
        flow->has_buffer = false;
    } else {
        session->is_early_talker = true;
    }
    conn_recv(&session->client_conn, false);
    session_admit(session);
}

/* Gathers octets in the flow's buffer; a header fits many times. */
static bool gather(struct session *session, int result) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct conn *conn = &session->client_conn;
    if (!flow->has_buffer) {
        flow->has_buffer = true;
        flow->buffer = conn->received_buffer;
        flow->length = (uint16_t)result;
        return true;
    }
    bool fits = (unsigned)flow->length + (unsigned)result <= EARLY_BYTES_MAX;
    if (fits) {
        memcpy(io_buffer(conn->io, flow->buffer) + flow->length, io_buffer(conn->io, conn->received_buffer),
               (size_t)result);
        flow->length += (uint16_t)result;
    }
    io_buffer_release(conn->io, conn->received_buffer);
    return fits;
}

void proxy_in_on_received(struct session *session, int result) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct proxy_header header;
    if (result <= 0) {
        session_close(session, CLOSE_PROXY_CLOSED);
        return;
    }
    if (!gather(session, result)) {
        session_close(session, CLOSE_PROXY_TOO_LONG);
        return;
    }
    int length = proxy_parse(io_buffer(session->worker->io, flow->buffer), flow->length, &header);
    if (length == 0)
        conn_recv(&session->client_conn, false);
    else if (length < 0)
        session_close(session, length == -EMSGSIZE ? CLOSE_PROXY_TOO_LONG : CLOSE_PROXY_MALFORMED);
    else
        accept_header(session, &header, (size_t)length);
}
