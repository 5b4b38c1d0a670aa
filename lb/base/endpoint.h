/* An address to listen at, to connect to or from, as an operator writes it: where a port may stand behind it, or be
 * meant to, what can be read in two ways is a mistake. */
#ifndef POSTERN_BASE_ENDPOINT_H
#define POSTERN_BASE_ENDPOINT_H

#include "lb/base/address.h"

/* Room for why it is wrong. */
#define ENDPOINT_MISTAKE_MAX 260

enum endpoint_port {
    ENDPOINT_WITH_PORT,    /* "192.0.2.1:25", "[2001:db8::1]:25"; without one where there is a default */
    ENDPOINT_WITHOUT_PORT, /* "192.0.2.1", "2001:db8::1", "[2001:db8::1]"; port 0 */
    ENDPOINT_CLIENT, /* the same of a client, as it stands in the log: no interface, and one that a host can have */
};

/* Parses `text`. Returns 0, or -EINVAL with *ret_address untouched and why in `ret_mistake`: "" when it is no address
 * at all. A mistake: an IPv6 address without brackets whose last group may be a port, a link-local one without its
 * interface, an interface that is not there; of a client any interface. */
int endpoint_parse(const char *text, enum endpoint_port kind, uint16_t default_port, struct address *ret_address,
                   char ret_mistake[ENDPOINT_MISTAKE_MAX]);

#endif
