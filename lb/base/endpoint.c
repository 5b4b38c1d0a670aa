/* An operator's address with or without a port. address_parse() does the reading; what it would take and what is mostly
 * a typing mistake is refused here, with the reason. The configuration and the control socket's operands ask. */
#include "lb/base/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CLIENT_WITH_INTERFACE "a client is known by its address without an interface"

/* Takes what stands before the last colon for an address, and what stands behind it for a port. */
static bool reads_with_port(const char *text, char ret_bracketed[ADDRESS_TEXT_MAX]) {
    const char *colon = strrchr(text, ':');
    struct address address;
    if (colon == NULL || text[0] == '[' || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    int length = snprintf(ret_bracketed, ADDRESS_TEXT_MAX, "[%.*s]%s", (int)(colon - text), text, colon);
    return length < (int)ADDRESS_TEXT_MAX && address_parse(ret_bracketed, 0, &address) == 0;
}

static bool has_one_colon(const char *text) {
    const char *colon = strchr(text, ':');
    return colon == NULL || strchr(colon + 1, ':') == NULL;
}

/* A link-local address as it may stand there. */
static const char *link_local_example(enum endpoint_port kind, uint16_t default_port, char text[ADDRESS_TEXT_MAX]) {
    if (kind != ENDPOINT_WITH_PORT)
        return "fe80::1%eth0";
    if (default_port == 0)
        return "[fe80::1%eth0]:PORT";
    snprintf(text, ADDRESS_TEXT_MAX, "[fe80::1%%eth0]:%u", default_port);
    return text;
}

/* Says why what could not be read is wrong, if that can be told. */
static void explain(const char *text, enum endpoint_port kind, uint16_t default_port,
                    char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    char room[ADDRESS_TEXT_MAX];
    struct address address;
    const char *percent = strchr(text, '%');
    bool has_port = address_parse(text, 0, &address) == 0 || reads_with_port(text, room);
    if (has_port && kind == ENDPOINT_WITHOUT_PORT)
        return; /* what is allowed says so */
    if (has_port && kind == ENDPOINT_CLIENT)
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, "a client is known by its address without port");
    else if (kind == ENDPOINT_WITH_PORT && reads_with_port(text, room))
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, "an IPv6 address with a port stands in brackets, as %s", room);
    else if (kind == ENDPOINT_CLIENT && percent != NULL)
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, CLIENT_WITH_INTERFACE);
    else if (percent != NULL && percent != text)
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX,
                 "behind %% stands the interface of a link-local address, one that this host has, as %s",
                 link_local_example(kind, default_port, room));
}

/* Without brackets, and an address with its last group as well as without it. */
static bool is_ambiguous(const char *text, char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    char bracketed[ADDRESS_TEXT_MAX];
    struct address whole;
    if (has_one_colon(text) || !reads_with_port(text, bracketed) || address_parse(text, 1, &whole) < 0)
        return false;
    snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX,
             "it can be read as %s, with a port, and as [%.50s], without; write the one that is meant", bracketed,
             text);
    return true;
}

/* What is read and yet cannot be meant. */
static bool is_meant(const char *text, const struct address *address, enum endpoint_port kind, uint16_t default_port,
                     char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    char room[ADDRESS_TEXT_MAX];
    if (kind == ENDPOINT_CLIENT && strchr(text, '%') != NULL)
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, CLIENT_WITH_INTERFACE);
    else if (kind == ENDPOINT_CLIENT && (address_is_wildcard(address) || address_is_multicast(address)))
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, "no client has this address");
    else if (kind != ENDPOINT_CLIENT && address_is_link_local(address) && address->in6.sin6_scope_id == 0)
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, "a link-local address needs its interface, as %s",
                 link_local_example(kind, default_port, room));
    return ret_mistake[0] == '\0';
}

int endpoint_parse(const char *text, enum endpoint_port kind, uint16_t default_port, struct address *ret_address,
                   char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    struct address address;
    const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
    bool has_port = end != NULL ? end[1] != '\0' : has_one_colon(text) && strchr(text, ':') != NULL;
    ret_mistake[0] = '\0';
    if (is_ambiguous(text, ret_mistake))
        return -EINVAL;
    if ((kind != ENDPOINT_WITH_PORT && has_port) ||
        address_parse(text, kind != ENDPOINT_WITH_PORT ? 1 : default_port, &address) < 0) {
        explain(text, kind, default_port, ret_mistake);
        return -EINVAL;
    }
    if (!is_meant(text, &address, kind, default_port, ret_mistake))
        return -EINVAL;
    if (kind != ENDPOINT_WITH_PORT)
        address_set_port(&address, 0);
    *ret_address = address;
    return 0;
}
