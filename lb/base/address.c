/* Addresses and networks: their text read and written, their comparison, and which networks contain an address. Every
 * folder stands on it. Pure, but for the names of interfaces in link-local addresses, which the system is asked for. */
#include "lb/base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

socklen_t address_length(const struct address *address) {
    return address->sa.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in4;
}

uint16_t address_port(const struct address *address) {
    return ntohs(address->sa.sa_family == AF_INET6 ? address->in6.sin6_port : address->in4.sin_port);
}

void address_set_port(struct address *address, uint16_t port) {
    if (address->sa.sa_family == AF_INET6)
        address->in6.sin6_port = htons(port);
    else
        address->in4.sin_port = htons(port);
}

static bool host_equal(const struct address *a, const struct address *b) {
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    uint32_t scope_a = a->in6.sin6_scope_id, scope_b = b->in6.sin6_scope_id;
    if (a->sa.sa_family == AF_INET6)
        return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0 &&
               (scope_a == scope_b || scope_a == 0 || scope_b == 0);
    return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
}

const uint8_t *address_octets(const struct address *address, unsigned *ret_count) {
    bool is_ipv6 = address->sa.sa_family == AF_INET6;
    *ret_count = is_ipv6 ? 16 : 4;
    return is_ipv6 ? address->in6.sin6_addr.s6_addr : (const uint8_t *)&address->in4.sin_addr;
}

bool address_equal(const struct address *a, const struct address *b) {
    return host_equal(a, b) && address_port(a) == address_port(b);
}

bool address_is_wildcard(const struct address *address) {
    if (address->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
    return address->in4.sin_addr.s_addr == INADDR_ANY;
}

bool address_is_link_local(const struct address *address) {
    return address->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr);
}

bool address_is_loopback(const struct address *address) {
    if (address->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
    return ntohl(address->in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool address_is_multicast(const struct address *address) {
    if (address->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_MULTICAST(&address->in6.sin6_addr);
    return ntohl(address->in4.sin_addr.s_addr) >> 28 >= 0xe;
}

static void unmap(struct address *address) {
    if (address->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
        return;
    struct address plain = {.in4 = {.sin_family = AF_INET, .sin_port = address->in6.sin6_port}};
    memcpy(&plain.in4.sin_addr, &address->in6.sin6_addr.s6_addr[12], 4);
    *address = plain;
}

void address_unmap(struct address *address) {
    unmap(address);
    if (address->sa.sa_family == AF_INET6)
        address->in6.sin6_scope_id = 0;
}

/* An IPv6 address as it is written, mapped or not, or IPv4. */
static int parse_host(const char *host, struct address *ret_address) {
    struct address address;
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, host, &address.in4.sin_addr) == 1)
        address.sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, host, &address.in6.sin6_addr) == 1)
        address.sa.sa_family = AF_INET6;
    else
        return -EINVAL;
    *ret_address = address;
    return 0;
}

/* The number of an interface by its name or number; 0: there is none. The kernel takes "lo:25" for lo with an alias. */
static uint32_t scope_number(const char *name) {
    char *end;
    if (strchr(name, ':') != NULL)
        return 0;
    unsigned found = if_nametoindex(name);
    if (found != 0 || name[0] < '0' || name[0] > '9')
        return found;
    errno = 0;
    unsigned long number = strtoul(name, &end, 10);
    return errno == 0 && *end == '\0' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

/* "fe80::1%eth0" (RFC 4007 §11), or an address without an interface. */
static int parse_scoped_host(char *host, struct address *ret_address) {
    char *percent = strchr(host, '%');
    uint32_t scope = 0;
    if (percent != NULL) {
        *percent = '\0';
        scope = scope_number(percent + 1);
    }
    struct address address;
    if (parse_host(host, &address) < 0 || (percent != NULL && (scope == 0 || !address_is_link_local(&address))))
        return -EINVAL;
    if (percent != NULL)
        address.in6.sin6_scope_id = scope;
    *ret_address = address;
    return 0;
}

static int parse_port(const char *text, uint16_t *ret_port) {
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || port > 65535)
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

/* Where the port's digits begin, or NULL without one; *ret_host_length is the host's without brackets. */
static const char *find_port(const char *text, const char **ret_host, size_t *ret_host_length) {
    const char *colon = strrchr(text, ':');
    const char *bracket = strrchr(text, ']');
    *ret_host = text;
    if (text[0] == '[' && bracket != NULL) {
        *ret_host = text + 1;
        *ret_host_length = (size_t)(bracket - text) - 1;
        return bracket[1] == ':' ? bracket + 2 : bracket[1] == '\0' ? NULL : "";
    }
    bool is_bare_ipv6 = colon != NULL && strchr(text, ':') != colon;
    *ret_host_length = colon == NULL || is_bare_ipv6 ? strlen(text) : (size_t)(colon - text);
    return colon == NULL || is_bare_ipv6 ? NULL : colon + 1;
}

int address_parse(const char *text, uint16_t default_port, struct address *ret_address) {
    const char *start;
    size_t length;
    const char *port_text = find_port(text, &start, &length);
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
    uint16_t port = default_port;
    if (length >= sizeof host || (port_text == NULL && default_port == 0))
        return -EINVAL;
    memcpy(host, start, length);
    host[length] = '\0';
    struct address address;
    if (parse_scoped_host(host, &address) < 0 || (port_text != NULL && parse_port(port_text, &port) < 0))
        return -EINVAL;
    if (start != text && address.sa.sa_family != AF_INET6) /* [192.0.2.1] is a mail domain, no socket address */
        return -EINVAL;
    unmap(&address);
    address_set_port(&address, port);
    *ret_address = address;
    return 0;
}

/* Behind the address; an interface that is gone by its number. */
static void format_scope(uint32_t scope, char text[ADDRESS_TEXT_MAX]) {
    char name[IF_NAMESIZE];
    size_t length = strlen(text);
    if (if_indextoname(scope, name) != NULL)
        snprintf(text + length, ADDRESS_TEXT_MAX - length, "%%%s", name);
    else
        snprintf(text + length, ADDRESS_TEXT_MAX - length, "%%%u", scope);
}

char *address_format_host(const struct address *address, char text[ADDRESS_TEXT_MAX]) {
    bool is_ipv6 = address->sa.sa_family == AF_INET6;
    const void *bytes = is_ipv6 ? (const void *)&address->in6.sin6_addr : (const void *)&address->in4.sin_addr;
    if (inet_ntop(is_ipv6 ? AF_INET6 : AF_INET, bytes, text, ADDRESS_TEXT_MAX) == NULL)
        text[0] = '\0';
    if (is_ipv6 && address->in6.sin6_scope_id != 0)
        format_scope(address->in6.sin6_scope_id, text);
    return text;
}

char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]) {
    char host[ADDRESS_TEXT_MAX];
    address_format_host(address, host);
    if (address->sa.sa_family == AF_INET6)
        snprintf(text, ADDRESS_TEXT_MAX, "[%.62s]:%u", host, address_port(address));
    else
        snprintf(text, ADDRESS_TEXT_MAX, "%.45s:%u", host, address_port(address));
    return text;
}

static const uint8_t *host_octets(const struct address *address, unsigned *ret_bits) {
    if (address->sa.sa_family == AF_INET6) {
        *ret_bits = 128;
        return address->in6.sin6_addr.s6_addr;
    }
    *ret_bits = 32;
    return (const uint8_t *)&address->in4.sin_addr;
}

/* The bits of an octet that lie within the first `bits` of an address, for the octet that begins at bit `at`. */
static uint8_t octet_mask(unsigned bits, unsigned at) {
    if (bits >= at + 8)
        return 0xff;
    return bits <= at ? 0 : (uint8_t)(0xff << (8 - (bits - at)));
}

int cidr_parse(const char *text, struct cidr *ret_cidr) {
    const char *slash = strchr(text, '/');
    size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    char host[INET6_ADDRSTRLEN];
    struct cidr cidr;
    if (length >= sizeof host)
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (parse_host(host, &cidr.base) < 0)
        return -EINVAL;
    unsigned total;
    const uint8_t *octets = host_octets(&cidr.base, &total);
    uint16_t bits = (uint16_t)total;
    if (slash != NULL && (parse_port(slash + 1, &bits) < 0 || bits > total))
        return -EINVAL;
    for (unsigned i = 0; i < total / 8; i++)
        if ((octets[i] & ~octet_mask(bits, i * 8) & 0xff) != 0)
            return -EINVAL;
    unmap(&cidr.base);
    bool was_mapped = total == 128 && cidr.base.sa.sa_family == AF_INET; /* its prefix is one of 96 bits at least */
    cidr.prefix_bits = (uint8_t)(was_mapped ? bits - 96 : bits);
    *ret_cidr = cidr;
    return 0;
}

int ipv4_range_parse(const char *text, struct ipv4_range *ret_range) {
    const char *dash = strchr(text, '-');
    size_t length = dash == NULL ? strlen(text) : (size_t)(dash - text);
    char host[INET_ADDRSTRLEN];
    struct in_addr address;
    uint16_t last;
    if (length >= sizeof host)
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (inet_pton(AF_INET, host, &address) != 1)
        return -EINVAL;
    struct ipv4_range range = {ntohl(address.s_addr), ntohl(address.s_addr)};
    if (dash != NULL) {
        if (parse_port(dash + 1, &last) < 0 || last > 255 || last < (range.low & 255))
            return -EINVAL;
        range.high = (range.low & ~UINT32_C(255)) | last;
    }
    *ret_range = range;
    return 0;
}

bool cidr_contains(const struct cidr *cidr, const struct address *address) {
    unsigned total, other;
    if (cidr->base.sa.sa_family != address->sa.sa_family)
        return false;
    const uint8_t *base = host_octets(&cidr->base, &total);
    const uint8_t *octets = host_octets(address, &other);
    for (unsigned i = 0; i < total / 8 && i * 8 < cidr->prefix_bits; i++)
        if (((base[i] ^ octets[i]) & octet_mask(cidr->prefix_bits, i * 8)) != 0)
            return false;
    return true;
}

bool cidr_list_contains(const struct cidr_list *list, const struct address *address) {
    for (size_t i = 0; i < list->count; i++)
        if (cidr_contains(&list->items[i], address))
            return true;
    return false;
}
