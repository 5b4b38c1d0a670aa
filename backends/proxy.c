/* Both forms of the PROXY header, written for backends and read from the peers in `proxy-from`. What a peer sends is
 * checked octet by octet, since a header that is nearly right is wrong. Pure. */
#include "backends/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2_HEAD       16
#define V2_COMMAND    12
#define V2_FAMILY     13
#define V2_LENGTH     14
#define V2_LOCAL      0x20
#define V2_PROXY      0x21
#define V2_TCP4       0x11
#define V2_TCP6       0x21
#define V2_TCP4_BYTES 12
#define V2_TCP6_BYTES 36

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* --- writing --- */

static bool is_ipv4(const struct address *address) {
    return address->sa.sa_family == AF_INET;
}

/* An IPv4 address in IPv6's clothes (RFC 4291 §2.5.5.2). */
static struct in6_addr as_ipv6(const struct address *address) {
    if (!is_ipv4(address))
        return address->in6.sin6_addr;
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&mapped.s6_addr[12], &address->in4.sin_addr, 4);
    return mapped;
}

static void host_text(const struct address *address, bool in_ipv4, char text[INET6_ADDRSTRLEN]) {
    if (in_ipv4) {
        inet_ntop(AF_INET, &address->in4.sin_addr, text, INET6_ADDRSTRLEN);
        return;
    }
    struct in6_addr ipv6 = as_ipv6(address);
    inet_ntop(AF_INET6, &ipv6, text, INET6_ADDRSTRLEN);
}

size_t proxy_encode_v1(const struct address *source, const struct address *destination, uint8_t *out) {
    bool in_ipv4 = is_ipv4(source) && is_ipv4(destination);
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], line[PROXY_V1_MAX + 1];
    host_text(source, in_ipv4, from);
    host_text(destination, in_ipv4, to);
    int length = snprintf(line, sizeof line, "PROXY %s %s %s %u %u\r\n", in_ipv4 ? "TCP4" : "TCP6", from, to,
                          address_port(source), address_port(destination));
    memcpy(out, line, (size_t)length);
    return (size_t)length;
}

static void put_port(uint8_t *out, const struct address *address) {
    uint16_t port = htons(address_port(address));
    memcpy(out, &port, 2);
}

static void put_head(uint8_t *out, uint8_t command, uint8_t family, uint16_t bytes) {
    memcpy(out, signature, sizeof signature);
    out[V2_COMMAND] = command;
    out[V2_FAMILY] = family;
    out[V2_LENGTH] = (uint8_t)(bytes >> 8);
    out[V2_LENGTH + 1] = (uint8_t)bytes;
}

size_t proxy_encode_v2(const struct address *source, const struct address *destination, uint8_t *out) {
    uint8_t *body = out + V2_HEAD;
    if (is_ipv4(source) && is_ipv4(destination)) {
        put_head(out, V2_PROXY, V2_TCP4, V2_TCP4_BYTES);
        memcpy(body, &source->in4.sin_addr, 4);
        memcpy(body + 4, &destination->in4.sin_addr, 4);
        put_port(body + 8, source);
        put_port(body + 10, destination);
        return V2_HEAD + V2_TCP4_BYTES;
    }
    struct in6_addr from = as_ipv6(source), to = as_ipv6(destination);
    put_head(out, V2_PROXY, V2_TCP6, V2_TCP6_BYTES);
    memcpy(body, &from, 16);
    memcpy(body + 16, &to, 16);
    put_port(body + 32, source);
    put_port(body + 34, destination);
    return V2_HEAD + V2_TCP6_BYTES;
}

size_t proxy_encode_v2_local(uint8_t *out) {
    put_head(out, V2_LOCAL, 0, 0);
    return V2_HEAD;
}

/* --- reading --- */

static bool read_address(int family, const char *host, const char *port, struct address *ret_address) {
    char *end;
    unsigned long number = strtoul(port, &end, 10);
    /* Digits only: strtoul would take signs and spaces too. */
    if (port[0] < '0' || port[0] > '9' || *end != '\0' || number > 65535 || (port[0] == '0' && port[1] != '\0'))
        return false;
    memset(ret_address, 0, sizeof *ret_address);
    ret_address->sa.sa_family = (sa_family_t)family;
    void *bytes = family == AF_INET ? (void *)&ret_address->in4.sin_addr : (void *)&ret_address->in6.sin6_addr;
    if (inet_pton(family, host, bytes) != 1)
        return false;
    address_set_port(ret_address, (uint16_t)number);
    return true;
}

/* `line` without its CRLF, NUL-terminated, is taken apart at single spaces. */
static int read_v1_line(char *line, struct proxy_header *ret_header) {
    char *words[6] = {line};
    unsigned count = 1;
    for (char *p = line; *p != '\0'; p++) {
        if (*p != ' ')
            continue;
        *p = '\0';
        if (count < 6)
            words[count] = p + 1;
        count++;
    }
    struct proxy_header header = {.is_proxied = false};
    if (count >= 2 && strcmp(words[1], "UNKNOWN") == 0) { /* the rest of such a line is to be ignored (§2.1) */
        *ret_header = header;
        return 0;
    }
    if (count != 6)
        return -EPROTO;
    int family = strcmp(words[1], "TCP4") == 0 ? AF_INET : strcmp(words[1], "TCP6") == 0 ? AF_INET6 : 0;
    header.is_proxied = true;
    if (family == 0 || !read_address(family, words[2], words[4], &header.source) ||
        !read_address(family, words[3], words[5], &header.destination))
        return -EPROTO;
    *ret_header = header;
    return 0;
}

static int parse_v1(const uint8_t *data, size_t length, struct proxy_header *ret_header) {
    size_t limit = length < PROXY_V1_MAX ? length : PROXY_V1_MAX;
    const uint8_t *lf = memchr(data, '\n', limit);
    if (lf == NULL)
        return length >= PROXY_V1_MAX ? -EMSGSIZE : 0;
    size_t line_length = (size_t)(lf - data) + 1;
    if (line_length < 8 || lf[-1] != '\r' || memchr(data, '\0', line_length) != NULL)
        return -EPROTO;
    char line[PROXY_V1_MAX];
    memcpy(line, data, line_length - 2);
    line[line_length - 2] = '\0';
    int result = read_v1_line(line, ret_header);
    return result < 0 ? result : (int)line_length;
}

static void read_v2_address(int family, const uint8_t *host, const uint8_t *port, struct address *ret_address) {
    memset(ret_address, 0, sizeof *ret_address);
    ret_address->sa.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        memcpy(&ret_address->in4.sin_addr, host, 4);
    else
        memcpy(&ret_address->in6.sin6_addr, host, 16);
    address_set_port(ret_address, (uint16_t)(port[0] << 8 | port[1]));
}

static int parse_v2(const uint8_t *data, size_t length, struct proxy_header *ret_header) {
    if (length < V2_HEAD)
        return 0;
    size_t body_bytes = (size_t)data[V2_LENGTH] << 8 | data[V2_LENGTH + 1];
    size_t total = V2_HEAD + body_bytes;
    uint8_t command = data[V2_COMMAND], family = data[V2_FAMILY];
    if (command != V2_LOCAL && command != V2_PROXY)
        return -EPROTO;
    if (total > PROXY_V2_READ_MAX)
        return -EMSGSIZE;
    if (length < total)
        return 0;
    const uint8_t *body = data + V2_HEAD;
    struct proxy_header header = {.is_proxied = command == V2_PROXY};
    if (command == V2_LOCAL) {
        *ret_header = header;
        return (int)total;
    }
    if (family == V2_TCP4 && body_bytes >= V2_TCP4_BYTES) {
        read_v2_address(AF_INET, body, body + 8, &header.source);
        read_v2_address(AF_INET, body + 4, body + 10, &header.destination);
    } else if (family == V2_TCP6 && body_bytes >= V2_TCP6_BYTES) {
        read_v2_address(AF_INET6, body, body + 32, &header.source);
        read_v2_address(AF_INET6, body + 16, body + 34, &header.destination);
    } else if (family == 0) { /* UNSPEC: the sender knows no address (§2.2) */
        header.is_proxied = false;
    } else {
        return -EPROTO;
    }
    *ret_header = header;
    return (int)total;
}

static int parse(const uint8_t *data, size_t length, struct proxy_header *ret_header) {
    size_t common = length < sizeof signature ? length : sizeof signature;
    if (memcmp(data, signature, common) == 0)
        return length < sizeof signature ? 0 : parse_v2(data, length, ret_header);
    common = length < 6 ? length : 6;
    if (memcmp(data, "PROXY ", common) == 0)
        return length < 6 ? 0 : parse_v1(data, length, ret_header);
    return -EPROTO;
}

int proxy_parse(const uint8_t *data, size_t length, struct proxy_header *ret_header) {
    int result = parse(data, length, ret_header);
    if (result > 0 && ret_header->is_proxied) {
        address_unmap(&ret_header->source);
        address_unmap(&ret_header->destination);
    }
    return result;
}
