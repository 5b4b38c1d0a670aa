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

static bool somebody_is_served(const struct view *view) {
    for (unsigned i = 0; i < view->tiers_count; i++)
        for (unsigned k = 0; view->tiers[i].is_up && k < view->tiers[i].members_count; k++)
            if (view->tiers[i].members[k].is_usable && view->tiers[i].members[k].weight > 0)
                return true;
    return false;
}

/* The peer's own connection: its check of whether postern serves, which it does as long as it serves anybody, vetted
 * clients in an outage among them. It is no client: it takes no place of max-sessions. */
static void answer_check(struct session *session) {
    session->is_check = true;
    if (session->counts)
        atomic_fetch_sub(&session->worker->shared->sessions, 1);
    session->counts = false;
    if (somebody_is_served(session->worker->view))
        gate_dialog_begin_refusal(session);
    else
        session_close(session, CLOSE_NO_BACKEND);
}

/* What stands behind the header is early talk of the client. */
static void accept_header(struct session *session, const struct proxy_header *header, size_t header_length) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct io *io = session->worker->io;
    if (header->is_proxied) {
        session->client = header->source;
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
    if (flow->length > EARLY_BYTES_MAX) {
        session_close(session, CLOSE_EARLY_TALK);
        return;
    }
    session_listen_early(session);
    if (!header->is_proxied)
        answer_check(session);
    else if (!session->counts)
        session_close(session, CLOSE_TOO_MANY_SESSIONS);
    else
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
        session_close(session, is_shortage(result) ? CLOSE_CLIENT_STARVED : CLOSE_PROXY_CLOSED);
        return;
    }
    if (!gather(session, result)) {
        session_close(session, CLOSE_PROXY_TOO_LONG);
        return;
    }
    int length = proxy_parse(io_buffer(session->worker->io, flow->buffer), flow->length, &header);
    if (length == 0 && flow->length > EARLY_BYTES_MAX)
        session_close(session, CLOSE_PROXY_TOO_LONG);
    else if (length == 0)
        session_listen_early(session);
    else if (length < 0)
        session_close(session, length == -EMSGSIZE ? CLOSE_PROXY_TOO_LONG : CLOSE_PROXY_MALFORMED);
    else
        accept_header(session, &header, (size_t)length);
}
