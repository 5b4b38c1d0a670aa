/* Whether an address leads to this host, or to one of postern's own listeners: a backend there would be postern again,
 * and every session would go round until all are used up. */
#ifndef POSTERN_CONF_OWN_ADDRESS_H
#define POSTERN_CONF_OWN_ADDRESS_H

#include "conf/config.h"

/* The wildcard, loopback, or an address of one of this host's interfaces (getifaddrs(3), asked each time). */
bool address_is_own(const struct address *address);

/* Connecting to `address` reaches a listener at `listener`: the same address and port, or a wildcard's port at an
 * address of this host. [::] takes IPv6 only. */
bool address_reaches(const struct address *address, const struct address *listener);

/* Returns false, with why as part of a sentence, when no backend can be at this address: it is no host's (a wildcard,
 * multicast, broadcast), or one of postern's own listeners is reached by it. */
bool config_can_be_backend(const struct config *config, const struct address *address, char *ret_why, size_t why_size);

#endif
