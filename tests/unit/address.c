/* Addresses and networks as operators write them. */
#include "conf/address.h"

#include <criterion/criterion.h>
#include <errno.h>

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

Test(address, a_mapped_ipv4_client_is_the_same_client_as_on_ipv4) {
    struct address mapped, plain;
    cr_assert_eq(address_parse("[::ffff:192.0.2.7]:99", 0, &mapped), 0);
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
