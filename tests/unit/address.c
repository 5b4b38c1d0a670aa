/* Addresses and networks as operators write them. */
#include "lb/base/address.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const char *round_trip(const char *text, uint16_t port) {
    static char out[ADDRESS_TEXT_MAX];
    struct address address;
    return address_parse(text, port, &address) < 0 ? "wrong" : address_format(&address, out);
}

Test(address, is_read_with_and_without_a_port_and_printed_with_it) {
    cr_assert_str_eq(round_trip("192.0.2.1:25", 0), "192.0.2.1:25");
    cr_assert_str_eq(round_trip("192.0.2.1", 2525), "192.0.2.1:2525");
    cr_assert_str_eq(round_trip("[2001:db8::1]:25", 0), "[2001:db8::1]:25");
    cr_assert_str_eq(round_trip("[2001:db8::1]", 25), "[2001:db8::1]:25");
    cr_assert_str_eq(round_trip("2001:db8::1", 25), "[2001:db8::1]:25");
    cr_assert_str_eq(round_trip("[::]:65535", 0), "[::]:65535");
    cr_assert_str_eq(round_trip("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535", 0),
                     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

Test(address, mistakes_are_no_address) {
    static const char *const wrong[] = {
        "",
        "192.0.2.1",
        "192.0.2:25",
        "192.0.2.256:25",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:+25",
        "a:25",
        "[192.0.2.1]:25",
        "[::1]25",
        "[::1]:",
        "[::1:25",
        "::1]:25",
        "192.0.2.1:2 5",
        ":25",
        "[]:25",
        " 192.0.2.1:25",
        "192.0.2.1:25x",
        "192.0.2.1:-1",
        "1111111111111111111111111111111111111111111111111111:25",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_str_eq(round_trip(wrong[i], 0), "wrong", "taken: \"%s\"", wrong[i]);
}

/* As accept(2) gives it on a dual-stack socket. */
static struct address mapped_of(const char *octets, uint16_t port) {
    struct address address = {.in6 = {.sin6_family = AF_INET6}};
    memcpy(address.in6.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    memcpy(address.in6.sin6_addr.s6_addr + 12, octets, 4);
    address_set_port(&address, port);
    return address;
}

Test(address, a_mapped_ipv4_client_is_the_same_client_as_on_ipv4) {
    struct address mapped = mapped_of("\300\0\2\7", 99), plain;
    cr_assert_eq(address_parse("192.0.2.7:99", 0, &plain), 0);
    cr_assert_not(address_equal(&mapped, &plain));
    address_unmap(&mapped);
    cr_assert(address_equal(&mapped, &plain));
    cr_assert_eq(address_length(&plain), sizeof(struct sockaddr_in));
    address_set_port(&mapped, 98);
    cr_assert_not(address_equal(&mapped, &plain));
    cr_assert_eq(address_port(&mapped), 98);
    cr_assert_eq(address_parse("[2001:db8::1]:99", 0, &mapped), 0);
    address_unmap(&mapped);
    cr_assert_eq(mapped.sa.sa_family, AF_INET6);
    address_set_port(&mapped, 97);
    cr_assert_eq(address_port(&mapped), 97);
    cr_assert_not(address_equal(&mapped, &plain));
}

Test(address, what_is_written_mapped_is_plain_ipv4_everywhere) {
    cr_assert_str_eq(round_trip("[::ffff:192.0.2.7]:99", 0), "192.0.2.7:99");
    cr_assert_str_eq(round_trip("::ffff:192.0.2.7", 25), "192.0.2.7:25");
    cr_assert_str_eq(round_trip("::ffff:c000:207", 25), "192.0.2.7:25");
    cr_assert_str_eq(round_trip("[::FFFF:0.0.0.0]:25", 0), "0.0.0.0:25");
    cr_assert_str_eq(round_trip("[::192.0.2.7]:25", 0), "[::192.0.2.7]:25", "IPv4-compatible is no IPv4");
    cr_assert_str_eq(round_trip("[64:ff9b::192.0.2.7]:25", 0), "[64:ff9b::c000:207]:25", "nor is NAT64");
}

Test(address, a_link_local_one_has_an_interface_and_its_client_none) {
    struct address one, other;
    cr_assert_str_eq(round_trip("[fe80::1%lo]:25", 0), "[fe80::1%lo]:25");
    cr_assert_str_eq(round_trip("[fe80::1%1]:25", 0), "[fe80::1%lo]:25", "the loopback interface has number 1");
    cr_assert_str_eq(round_trip("fe80::1%lo", 25), "[fe80::1%lo]:25");
    cr_assert_str_eq(round_trip("[fe80::1]:25", 0), "[fe80::1]:25");
    static const char *const wrong[] = {"[fe80::1%]:25",           "[fe80::1%no-such-one]:25", "[2001:db8::1%lo]:25",
                                        "192.0.2.1%lo:25",         "[fe80::1%0]:25",           "[%lo]:25",
                                        "[fe80::1%99999999999]:25"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_str_eq(round_trip(wrong[i], 0), "wrong", "taken: %s", wrong[i]);
    cr_assert(address_parse("[fe80::1%lo]:25", 0, &one) == 0 && address_parse("[fe80::1]:25", 0, &other) == 0);
    cr_assert(one.in6.sin6_scope_id == 1 && address_equal(&one, &other));
    other.in6.sin6_scope_id = 2;
    cr_assert_not(address_equal(&one, &other));
    address_unmap(&one);
    cr_assert_eq(one.in6.sin6_scope_id, 0);
    cr_assert(address_is_link_local(&one));
}

Test(address, those_that_no_host_has_are_known) {
    static const struct {
        const char *text;
        bool is_loopback, is_multicast;
    } rows[] = {{"127.0.0.1:1", true, false},  {"127.255.255.254:1", true, false},   {"[::1]:1", true, false},
                {"126.0.0.1:1", false, false}, {"128.0.0.1:1", false, false},        {"[::2]:1", false, false},
                {"224.0.0.1:1", false, true},  {"239.255.255.255:1", false, true},   {"255.255.255.255:1", false, true},
                {"240.0.0.1:1", false, true},  {"223.255.255.255:1", false, false},  {"[ff02::1]:1", false, true},
                {"[fe80::1]:1", false, false}, {"[::ffff:127.0.0.1]:1", true, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address address;
        cr_assert_eq(address_parse(rows[i].text, 0, &address), 0);
        cr_assert_eq(address_is_loopback(&address), rows[i].is_loopback, "%s", rows[i].text);
        cr_assert_eq(address_is_multicast(&address), rows[i].is_multicast, "%s", rows[i].text);
    }
}

Test(address, wildcards_are_known) {
    struct address address;
    address_parse("0.0.0.0:25", 0, &address);
    cr_assert(address_is_wildcard(&address));
    address_parse("[::]:25", 0, &address);
    cr_assert(address_is_wildcard(&address));
    address_parse("[::1]:25", 0, &address);
    cr_assert_not(address_is_wildcard(&address));
}

static bool network_has(const char *network, const char *host) {
    struct cidr cidr;
    struct address address;
    cr_assert_eq(cidr_parse(network, &cidr), 0, "%s", network);
    cr_assert_eq(address_parse(host, 1, &address), 0, "%s", host);
    return cidr_contains(&cidr, &address);
}

Test(address, a_network_holds_its_own_and_nobody_else) {
    cr_assert(network_has("192.0.2.0/24", "192.0.2.255"));
    cr_assert_not(network_has("192.0.2.0/24", "192.0.3.0"));
    cr_assert(network_has("192.0.2.128/25", "192.0.2.128"));
    cr_assert_not(network_has("192.0.2.128/25", "192.0.2.127"));
    cr_assert(network_has("0.0.0.0/0", "203.0.113.9"));
    cr_assert_not(network_has("0.0.0.0/0", "::1"));
    cr_assert(network_has("192.0.2.4", "192.0.2.4"));
    cr_assert_not(network_has("192.0.2.4", "192.0.2.5"));
    cr_assert(network_has("2001:db8::/33", "2001:db8:7fff::1"));
    cr_assert_not(network_has("2001:db8::/33", "2001:db8:8000::1"));
    cr_assert(network_has("2001:db8::1", "2001:db8::1"));
    cr_assert_not(network_has("2001:db8::1", "2001:db8::2"));
}

Test(address, a_network_written_mapped_is_that_of_ipv4) {
    cr_assert(network_has("::ffff:127.0.1.0/120", "127.0.1.255"));
    cr_assert_not(network_has("::ffff:127.0.1.0/120", "127.0.2.1"));
    cr_assert(network_has("::ffff:127.0.1.9", "127.0.1.9"));
    cr_assert_not(network_has("::ffff:127.0.1.9", "127.0.1.8"));
    cr_assert(network_has("::ffff:0:0/96", "203.0.113.1"), "all of IPv4");
    cr_assert_not(network_has("::ffff:0:0/96", "2001:db8::1"));
    cr_assert_not(network_has("::/0", "203.0.113.1"), "all of IPv6");
    struct cidr cidr;
    cr_assert_eq(cidr_parse("::ffff:0:0/95", &cidr), -EINVAL, "bits are set behind the prefix");
    cr_assert_eq(cidr_parse("::ffff:127.0.1.1/120", &cidr), -EINVAL);
    cr_assert_eq(cidr_parse("fe80::1%lo", &cidr), -EINVAL);
}

Test(address, a_network_with_host_bits_or_a_bad_prefix_is_a_mistake) {
    static const char *const wrong[] = {"192.0.2.1/24",
                                        "192.0.2.0/33",
                                        "2001:db8::1/64",
                                        "2001:db8::/129",
                                        "192.0.2.0/",
                                        "192.0.2.0/-1",
                                        "192.0.2.0/ 8",
                                        "/24",
                                        "",
                                        "192.0.2.0/99999",
                                        "1111111111111111111111111111111111111111111111111111/8"};
    struct cidr cidr;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(cidr_parse(wrong[i], &cidr), -EINVAL, "taken: \"%s\"", wrong[i]);
}
