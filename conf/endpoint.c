/* What address_parse() takes, less what is mostly a typing mistake. */
#include "conf/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

/* Says why what could not be read is wrong, if that can be told. */
static void explain(const char *text, char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    char bracketed[ADDRESS_TEXT_MAX];
    const char *percent = strchr(text, '%');
    if (reads_with_port(text, bracketed))
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, "an IPv6 address with a port stands in brackets, as %s", bracketed);
    else if (percent != NULL && percent != text)
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX,
                 "behind %% stands the interface of a link-local address, one that this host has, as "
                 "[fe80::1%%eth0]:25");
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

int endpoint_parse(const char *text, enum endpoint_port kind, uint16_t default_port, struct address *ret_address,
                   char ret_mistake[ENDPOINT_MISTAKE_MAX]) {
    struct address address;
    const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
    bool has_port = end != NULL ? end[1] != '\0' : has_one_colon(text) && strchr(text, ':') != NULL;
    ret_mistake[0] = '\0';
    if (is_ambiguous(text, ret_mistake))
        return -EINVAL;
    if ((kind == ENDPOINT_WITHOUT_PORT && has_port) ||
        address_parse(text, kind == ENDPOINT_WITHOUT_PORT ? 1 : default_port, &address) < 0) {
        explain(text, ret_mistake);
        return -EINVAL;
    }
    if (address_is_link_local(&address) && address.in6.sin6_scope_id == 0) {
        snprintf(ret_mistake, ENDPOINT_MISTAKE_MAX, "a link-local address needs its interface, as [fe80::1%%eth0]:25");
        return -EINVAL;
    }
    if (kind == ENDPOINT_WITHOUT_PORT)
        address_set_port(&address, 0);
    *ret_address = address;
    return 0;
}
