/* This host's addresses, and the configuration's listeners. */
#include "conf/own_address.h"

#include "conf/limits.h"

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

bool address_is_own(const struct address *address) {
    return address_is_wildcard(address) || address_is_loopback(address) || is_of_interface(address);
}

/* connect(2) takes a wildcard for the loopback address of its family. */
static bool is_host_of(const struct address *address, const struct address *listener) {
    if (address_equal(address, listener))
        return true;
    if (address_is_wildcard(listener))
        return address_is_own(address);
    return address_is_wildcard(address) && address_is_loopback(listener);
}

bool address_reaches(const struct address *address, const struct address *listener) {
    return address->sa.sa_family == listener->sa.sa_family && address_port(address) == address_port(listener) &&
           address_port(address) != 0 && is_host_of(address, listener);
}

static bool reaches_any(const struct address *address, const struct address_list *listeners) {
    for (size_t i = 0; i < listeners->count; i++)
        if (address_reaches(address, &listeners->items[i]))
            return true;
    return false;
}

#define TITLE_MAX (sizeof "[listen ]" + CONFIG_NAME_MAX)

/* The section that listens there, as "[listen mx]". Returns false when none does. */
static bool find_listener(const struct config *config, const struct address *address, char ret_title[TITLE_MAX]) {
    for (size_t i = 0; i < config->listens_count; i++) {
        if (!reaches_any(address, &config->listens[i].addresses))
            continue;
        snprintf(ret_title, TITLE_MAX, "[listen %s]", config->listens[i].name);
        return true;
    }
    bool is_status = reaches_any(address, &config->status.listen);
    snprintf(ret_title, TITLE_MAX, is_status ? "[status]" : "[feedback]");
    return is_status || reaches_any(address, &config->feedback.listen);
}

bool config_can_be_backend(const struct config *config, const struct address *address, char *ret_why, size_t why_size) {
    char text[ADDRESS_TEXT_MAX], title[TITLE_MAX];
    address_format(address, text);
    if (find_listener(config, address, title))
        snprintf(ret_why, why_size,
                 "%s is postern itself, by %s, so that sessions would go round; needed: the address of a mail server "
                 "behind it",
                 text, title);
    else if (address_is_wildcard(address))
        snprintf(ret_why, why_size, "%s is no host's address, it means any of this one's; needed: one address", text);
    else if (address_is_multicast(address))
        snprintf(ret_why, why_size, "%s is no host's address", text);
    else
        return true;
    return false;
}
