/* What a client's own name tells. Pure; how it is found: lb/dns/client_name.h. */
#ifndef POSTERN_REPUTATION_RDNS_H
#define POSTERN_REPUTATION_RDNS_H

#include "lb/base/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name was made from the address: it holds two of its octets as numbers, or its hexadecimal form. Its domain then
 * says who runs the network and not who sends the mail. `name` in lower case. */
bool rdns_is_generic(const char *name, const struct address *address);
/* The organisational domain within `name` (the part below a public suffix), or NULL. */
const char *rdns_domain(const char *name);

#endif
