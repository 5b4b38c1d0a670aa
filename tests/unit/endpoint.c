/* Addresses with a port, or without one: what can be read in two ways is not taken for one of them. */
#include "conf/endpoint.h"

#include <criterion/criterion.h>
#include <string.h>

static char mistake[ENDPOINT_MISTAKE_MAX];

static const char *read_as(const char *text, enum endpoint_port kind) {
    static char out[ADDRESS_TEXT_MAX];
    struct address address;
    return endpoint_parse(text, kind, 25, &address, mistake) < 0 ? "wrong" : address_format(&address, out);
}

Test(endpoint, a_port_is_taken_only_where_it_can_be_nothing_else) {
    static const struct {
        const char *text, *with, *without;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1:25", "192.0.2.1:0"},
        {"192.0.2.1:2525", "192.0.2.1:2525", "wrong"},
        {"[2001:db8::1]", "[2001:db8::1]:25", "[2001:db8::1]:0"},
        {"[2001:db8::1]:2525", "[2001:db8::1]:2525", "wrong"},
        {"2001:db8::1", "[2001:db8::1]:25", "[2001:db8::1]:0"},
        {"2001:db8:1:2:3:4:5:25", "[2001:db8:1:2:3:4:5:25]:25", "[2001:db8:1:2:3:4:5:25]:0"},
        {"2001:db8::a:b", "[2001:db8::a:b]:25", "[2001:db8::a:b]:0"},
        {"::", "[::]:25", "[::]:0"},
        {"::25", "[::25]:25", "[::25]:0"},
        {"::ffff:192.0.2.1", "192.0.2.1:25", "192.0.2.1:0"},
        {"[::ffff:192.0.2.1]:2525", "192.0.2.1:2525", "wrong"},
        {"[2001:db8::11:25]", "[2001:db8::11:25]:25", "[2001:db8::11:25]:0"},
        {"[fe80::1%lo]:25", "[fe80::1%lo]:25", "wrong"},
        {"fe80::1%lo", "[fe80::1%lo]:25", "[fe80::1%lo]:0"},
        {"example.org", "wrong", "wrong"},
        {"", "wrong", "wrong"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *with = read_as(rows[i].text, ENDPOINT_WITH_PORT);
        cr_assert_str_eq(with, rows[i].with, "%s: %s", rows[i].text, with);
        const char *without = read_as(rows[i].text, ENDPOINT_WITHOUT_PORT);
        cr_assert_str_eq(without, rows[i].without, "%s: %s", rows[i].text, without);
    }
}

static void assert_says(const char *text, const char *wanted) {
    for (unsigned kind = ENDPOINT_WITH_PORT; kind <= ENDPOINT_WITHOUT_PORT; kind++) {
        cr_assert_str_eq(read_as(text, (enum endpoint_port)kind), "wrong", "taken: %s", text);
        cr_assert(strstr(mistake, wanted) != NULL, "%s: %s", text, mistake);
    }
}

Test(endpoint, both_readings_are_said) {
    assert_says("2001:db8::11:25", "[2001:db8::11]:25");
    assert_says("2001:db8::11:25", "[2001:db8::11:25]");
    assert_says("::1:25", "[::1]:25");
    assert_says("::1:8025", "[::1:8025]");
    assert_says("fe80::1:25", "[fe80::1]:25");
}

Test(endpoint, a_port_without_brackets_says_where_they_go) {
    assert_says("2001:db8:1:2:3:4:5:6:25", "[2001:db8:1:2:3:4:5:6]:25");
    assert_says("2001:db8::11:25252", "[2001:db8::11]:25252");
    assert_says("::ffff:192.0.2.1:25", "[::ffff:192.0.2.1]:25");
    assert_says("fe80::1%lo:25", "[fe80::1%lo]:25");
}

Test(endpoint, a_link_local_address_needs_an_interface_that_is_there) {
    cr_assert_str_eq(read_as("[fe80::1]:25", ENDPOINT_WITH_PORT), "wrong");
    cr_assert(strstr(mistake, "[fe80::1%eth0]:25") != NULL, "%s", mistake);
    cr_assert_str_eq(read_as("fe80::1", ENDPOINT_WITHOUT_PORT), "wrong");
    cr_assert(strstr(mistake, "needs its interface") != NULL, "%s", mistake);
    cr_assert_str_eq(read_as("[fe80::1%no-such-one]:25", ENDPOINT_WITH_PORT), "wrong");
    cr_assert(strstr(mistake, "interface") != NULL, "%s", mistake);
    cr_assert_str_eq(read_as("[2001:db8::1%lo]:25", ENDPOINT_WITH_PORT), "wrong");
    cr_assert(strstr(mistake, "link-local") != NULL, "%s", mistake);
}
