/* The PROXY header: what we write is what we read, and what is nearly right is wrong. */
#include "backends/proxy.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct address at(const char *text) {
    struct address address;
    cr_assert_eq(address_parse(text, 0, &address), 0);
    return address;
}

/* Reads in every split: 0 until the last octet is in, then the length. */
static void assert_reads(const uint8_t *data, size_t length, struct proxy_header *header) {
    for (size_t i = 1; i < length; i++)
        cr_assert_eq(proxy_parse(data, i, header), 0, "at %zu of %zu", i, length);
    cr_assert_eq(proxy_parse(data, length, header), (int)length);
}

static void assert_round_trip(const char *from, const char *to, const char *wanted_from, const char *wanted_to) {
    struct address source = at(from), destination = at(to), want_source = at(wanted_from),
                   want_destination = at(wanted_to);
    uint8_t data[PROXY_V1_MAX];
    struct proxy_header header;
    size_t length = proxy_encode_v1(&source, &destination, data);
    assert_reads(data, length, &header);
    cr_assert(header.is_proxied && address_equal(&header.source, &want_source));
    cr_assert(address_equal(&header.destination, &want_destination));
    length = proxy_encode_v2(&source, &destination, data);
    cr_assert_leq(length, PROXY_V2_MAX);
    assert_reads(data, length, &header);
    cr_assert(header.is_proxied && address_equal(&header.source, &want_source));
    cr_assert(address_equal(&header.destination, &want_destination));
}

Test(proxy, both_versions_carry_both_families) {
    assert_round_trip("192.0.2.1:56324", "198.51.100.1:25", "192.0.2.1:56324", "198.51.100.1:25");
    assert_round_trip("[2001:db8::1]:65535", "[2001:db8::2]:25", "[2001:db8::1]:65535", "[2001:db8::2]:25");
    assert_round_trip("192.0.2.1:1", "[2001:db8::2]:25", "[::ffff:192.0.2.1]:1", "[2001:db8::2]:25");
}

Test(proxy, the_text_of_v1_is_that_of_the_specification) {
    struct address source = at("192.168.0.1:56324"), destination = at("192.168.0.11:443");
    uint8_t data[PROXY_V1_MAX];
    size_t length = proxy_encode_v1(&source, &destination, data);
    static const char wanted[] = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
    cr_assert(length == strlen(wanted) && memcmp(data, wanted, length) == 0);
}

Test(proxy, local_and_unknown_leave_the_connections_own_addresses) {
    uint8_t data[PROXY_V2_MAX];
    struct proxy_header header = {.is_proxied = true};
    size_t length = proxy_encode_v2_local(data);
    assert_reads(data, length, &header);
    cr_assert_not(header.is_proxied);
    static const char unknown[] = "PROXY UNKNOWN ffff::1 what ever 1 2 3\r\n";
    header.is_proxied = true;
    assert_reads((const uint8_t *)unknown, strlen(unknown), &header);
    cr_assert_not(header.is_proxied);
    static const uint8_t unspecified[] = "\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x03xyz";
    header.is_proxied = true;
    assert_reads(unspecified, sizeof unspecified - 1, &header);
    cr_assert_not(header.is_proxied);
}

static void assert_refused(const void *data, size_t length, int wanted) {
    struct proxy_header header;
    int result = proxy_parse(data, length, &header);
    cr_assert_eq(result, wanted, "%d for \"%.*s\"", result, (int)length, (const char *)data);
}

Test(proxy, wrong_text_is_refused) {
    static const char *const wrong[] = {
        "EHLO mx\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 ::1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(wrong[i], strlen(wrong[i]), -EPROTO);
    assert_refused("PROXY TCP4 192.0.2.1 192.0.2.2 1 \0002\r\n", 37, -EPROTO);
    char longer[PROXY_V1_MAX + 1];
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "PROXY UNKNOWN ", 14);
    assert_refused(longer, PROXY_V1_MAX, -EMSGSIZE);
    assert_refused(longer, PROXY_V1_MAX - 1, 0);
}

Test(proxy, wrong_binary_is_refused) {
    uint8_t data[PROXY_V2_MAX];
    struct address source = at("192.0.2.1:1"), destination = at("192.0.2.2:25");
    size_t length = proxy_encode_v2(&source, &destination, data);
    data[12] = 0x11; /* version 1 */
    assert_refused(data, length, -EPROTO);
    data[12] = 0x22; /* no such command */
    assert_refused(data, length, -EPROTO);
    data[12] = 0x21;
    data[13] = 0x12; /* UDP */
    assert_refused(data, length, -EPROTO);
    data[13] = 0x21; /* too short for IPv6 */
    assert_refused(data, length, -EPROTO);
    data[13] = 0x11;
    data[14] = 0x7f; /* 32 KiB of TLVs */
    assert_refused(data, length, -EMSGSIZE);
}
