/* Whether an address leads to this host. */
#ifndef POSTERN_BASE_OWN_ADDRESS_H
#define POSTERN_BASE_OWN_ADDRESS_H

#include "lb/base/address.h"

/* Connecting to `address` reaches a listener at `listener`: the same address and port, or a wildcard's port at an
 * address of this host (wildcard, loopback, an interface's by getifaddrs(3), asked each time). [::] takes IPv6 only. */
bool address_reaches(const struct address *address, const struct address *listener);

#endif
