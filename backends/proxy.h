/* The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt): sent to backends that expect it, and read
 * from the peers in `proxy-from`. Pure. */
#ifndef POSTERN_BACKENDS_PROXY_H
#define POSTERN_BACKENDS_PROXY_H

#include "lb/base/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest v1 header with its CRLF (proxy-protocol.txt §2.1), and the longest v2 header that we send: 16 octets and
 * two IPv6 addresses with ports. */
#define PROXY_V1_MAX 107
#define PROXY_V2_MAX 52
/* The longest v2 header taken from a peer: addresses and some TLVs (§2.2 lets a receiver choose; it is one segment). */
#define PROXY_V2_READ_MAX 536

/* Writes the header into `out`, which has room for PROXY_V1_MAX or PROXY_V2_MAX octets; returns its length. Addresses
 * of two families are both written as IPv6. */
size_t proxy_encode_v1(const struct address *source, const struct address *destination, uint8_t *out);
size_t proxy_encode_v2(const struct address *source, const struct address *destination, uint8_t *out);
/* The header of a connection that postern makes for itself, as a probe does; 16 octets. */
size_t proxy_encode_v2_local(uint8_t *out);

struct proxy_header {
    bool is_proxied; /* false where no client is named (LOCAL, UNKNOWN, UNSPEC): the connection is the proxy's own */
    struct address source;
    struct address destination;
};

/* Reads a header from the beginning of a stream. Returns its length, 0 when more octets are needed, -EPROTO when it is
 * malformed, -EMSGSIZE when it is too long. IPv4-mapped addresses are plain IPv4. */
int proxy_parse(const uint8_t *data, size_t length, struct proxy_header *ret_header);

#endif
