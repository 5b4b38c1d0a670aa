/* How postern appears to a backend: from which address it connects, and which PROXY header it sends. attempt.c asks.
 * Owns nothing. */
#include "lb/relay/outward.h"

#include "backends/proxy.h"

const struct address *outward_source(const struct backend *backend, struct chance *chance) {
    const struct address_list *list = &backend->source;
    size_t first = list->count > 0 ? (size_t)chance_bits(chance) % list->count : 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct address *source = &list->items[(first + i) % list->count];
        if (source->sa.sa_family == backend->address.sa.sa_family)
            return source;
    }
    return NULL;
}

size_t outward_header(const struct session *session, enum proxy_version version, uint8_t *data) {
    const struct address *client = &session->client.address, *local = session_local(session);
    return version == PROXY_V1 ? proxy_encode_v1(client, local, data) : proxy_encode_v2(client, local, data);
}
