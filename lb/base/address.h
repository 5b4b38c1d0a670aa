/* Socket addresses, small: 28 bytes instead of sockaddr_storage's 128, since every session holds several.
 * The configuration and all else share this one type. */
#ifndef POSTERN_BASE_ADDRESS_H
#define POSTERN_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    };
};

/* Room for "[IPv6%interface]:port" with its NUL: INET6_ADDRSTRLEN (46, RFC 4291 text), IFNAMSIZ (16), "%[]:65535". */
#define ADDRESS_TEXT_MAX 72

/* A network as in 192.0.2.0/24 or 2001:db8::/32; host bits are zero. */
struct cidr {
    struct address base;
    uint8_t prefix_bits;
};

struct address_list {
    struct address *items; /* owned */
    size_t count;
};

struct cidr_list {
    struct cidr *items; /* owned */
    size_t count;
};

/* The length that bind(2) and connect(2) want for this family. */
socklen_t address_length(const struct address *address);

/* Port in host order. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

/* The address alone, in network order: 4 octets or 16. */
const uint8_t *address_octets(const struct address *address, unsigned *ret_count);

/* Two link-local addresses are equal when one of them names no interface, or both the same. */
bool address_equal(const struct address *a, const struct address *b);

/* True for 0.0.0.0 and ::. */
bool address_is_wildcard(const struct address *address);
/* fe80::/10, which means something on one interface only (RFC 4007). */
bool address_is_link_local(const struct address *address);
bool address_is_loopback(const struct address *address);
/* What nobody listens at: multicast, broadcast and the rest of 240.0.0.0/4 (RFC 1112 §4). */
bool address_is_multicast(const struct address *address);

/* A client has one name, whatever listener it came by: an IPv4-mapped IPv6 address (::ffff:192.0.2.1) becomes plain
 * IPv4, and a link-local one loses its interface. Others stay as they are. */
void address_unmap(struct address *address);

/* Parses "192.0.2.1:25", "[2001:db8::1]:25", "[fe80::1%eth0]:25"; with `default_port` != 0 the port may be missing
 * ("192.0.2.1", "[2001:db8::1]", "2001:db8::1"). An IPv4-mapped one is plain IPv4. Returns 0 or -EINVAL; *ret_address
 * is untouched on failure. Where a port can be meant: endpoint_parse(). */
int address_parse(const char *text, uint16_t default_port, struct address *ret_address);

/* Writes "192.0.2.1:25" or "[2001:db8::1]:25"; returns `text`. */
char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* Writes the host part alone, without brackets; returns `text`. */
char *address_format_host(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* Parses "192.0.2.0/24", "2001:db8::/32", or a bare address (a /32 or /128). Host bits that are set are an error
 * (-EINVAL), since they are mostly a typing mistake. ::ffff:192.0.2.0/120 is 192.0.2.0/24: clients are compared by
 * their plain address. A network of ::ffff:0:0/96 is IPv4's whole, and no wider one begins there. */
int cidr_parse(const char *text, struct cidr *ret_cidr);

/* Addresses from `low` to `high`, both among them, in host order. */
struct ipv4_range {
    uint32_t low, high;
};
/* Parses "127.0.0.9" or, a range in the last octet, "127.0.0.2-7". Returns 0 or -EINVAL. */
int ipv4_range_parse(const char *text, struct ipv4_range *ret_range);

bool cidr_contains(const struct cidr *cidr, const struct address *address);
bool cidr_list_contains(const struct cidr_list *list, const struct address *address);

#endif
