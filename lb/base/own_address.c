/* Whether an address leads to this host, by the list of interfaces that getifaddrs(3) gives. The configuration asks, so
 * that postern is never its own backend. Owns nothing. Nothing is fatal here: where there is no list, no address is
 * taken for an interface's. */
#include "lb/base/own_address.h"

#include <ifaddrs.h>
#include <string.h>

static bool is_of_interface(const struct address *address) {
    struct ifaddrs *interfaces, *at;
    bool found = false;
    if (getifaddrs(&interfaces) < 0)
        return false;
    for (at = interfaces; at != NULL && !found; at = at->ifa_next) {
        struct address own = {.sa = {.sa_family = 0}};
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != address->sa.sa_family)
            continue;
        memcpy(&own, at->ifa_addr, at->ifa_addr->sa_family == AF_INET6 ? sizeof own.in6 : sizeof own.in4);
        address_set_port(&own, address_port(address));
        found = address_equal(&own, address);
    }
    freeifaddrs(interfaces);
    return found;
}

/* The wildcard, loopback, or an address of one of this host's interfaces. */
static bool is_own(const struct address *address) {
    return address_is_wildcard(address) || address_is_loopback(address) || is_of_interface(address);
}

/* connect(2) takes a wildcard for the loopback address of its family. */
static bool is_host_of(const struct address *address, const struct address *listener) {
    if (address_equal(address, listener))
        return true;
    if (address_is_wildcard(listener))
        return is_own(address);
    return address_is_wildcard(address) && address_is_loopback(listener);
}

bool address_reaches(const struct address *address, const struct address *listener) {
    return address->sa.sa_family == listener->sa.sa_family && address_port(address) == address_port(listener) &&
           address_port(address) != 0 && is_host_of(address, listener);
}
