/* Whether an address leads to this host. */
#ifndef POSTERN_BASE_OWN_ADDRESS_H
#define POSTERN_BASE_OWN_ADDRESS_H

#include "lb/base/address.h"

/* The wildcard, loopback, or an address of one of this host's interfaces (getifaddrs(3), asked each time). */
bool address_is_own(const struct address *address);

/* Connecting to `address` reaches a listener at `listener`: the same address and port, or a wildcard's port at an
 * address of this host. [::] takes IPv6 only. */
bool address_reaches(const struct address *address, const struct address *listener);

#endif
