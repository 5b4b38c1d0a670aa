/* Names for addresses: what to ask the DNS for, and what a client's own name tells. Pure. */
#ifndef POSTERN_REPUTATION_RDNS_H
#define POSTERN_REPUTATION_RDNS_H

#include "conf/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the address's octets (IPv6: nibbles) backwards and `zone` behind them: "1.2.0.192.in-addr.arpa" or, of a list,
 * RFC 5782 §2.1 and §2.4. Returns false when it does not fit. */
bool rdns_reverse(const struct address *address, const char *zone, char *ret_name, size_t size);
/* The name to ask PTR of. */
bool rdns_pointer_name(const struct address *address, char *ret_name, size_t size);

/* The name was made from the address: it holds two of its octets as numbers, or its hexadecimal form. Its domain then
 * says who runs the network and not who sends the mail. `name` in lower case. */
bool rdns_is_generic(const char *name, const struct address *address);
/* The organisational domain within `name` (the part below a public suffix), or NULL. */
const char *rdns_domain(const char *name);

#endif
