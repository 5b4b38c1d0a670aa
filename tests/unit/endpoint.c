/* Addresses with a port, or without one: what can be read in two ways is not taken for one of them. */
#include "lb/base/endpoint.h"

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
    for (unsigned kind = ENDPOINT_WITH_PORT; kind <= ENDPOINT_CLIENT; kind++) {
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
    read_as("fe80::1%lo:25", ENDPOINT_WITH_PORT);
    cr_assert(strstr(mistake, "without") == NULL, "there is no interface lo:25: %s", mistake);
}

Test(endpoint, a_port_without_brackets_says_where_they_go) {
    static const char *const rows[][2] = {
        {"2001:db8:1:2:3:4:5:6:25", "[2001:db8:1:2:3:4:5:6]:25"},
        {"2001:db8::11:25252", "[2001:db8::11]:25252"},
        {"::ffff:192.0.2.1:25", "[::ffff:192.0.2.1]:25"},
        {"fe80::1%lo:25", "[fe80::1%lo]:25"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_str_eq(read_as(rows[i][0], ENDPOINT_WITH_PORT), "wrong");
        cr_assert(strstr(mistake, rows[i][1]) != NULL, "%s: %s", rows[i][0], mistake);
        cr_assert_str_eq(read_as(rows[i][0], ENDPOINT_WITHOUT_PORT), "wrong");
        cr_assert_str_eq(mistake, "", "%s: no brackets help where no port may stand: %s", rows[i][0], mistake);
    }
}

Test(endpoint, a_client_is_an_address_alone) {
    static const struct {
        const char *text, *read, *says;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1:0", ""},
        {"2001:db8::1", "[2001:db8::1]:0", ""},
        {"[2001:db8:0:5::1:25]", "[2001:db8:0:5::1:25]:0", ""},
        {"::ffff:192.0.2.1", "192.0.2.1:0", ""},
        {"fe80::1", "[fe80::1]:0", ""},
        {"::1", "[::1]:0", ""},
        {"192.0.2.1:25", "wrong", "without port"},
        {"[2001:db8::1]:25", "wrong", "without port"},
        {"[::ffff:192.0.2.1]:25", "wrong", "without port"},
        {"2001:db8:0:5::1:25", "wrong", "[2001:db8:0:5::1]:25"},
        {"fe80::1%lo", "wrong", "without an interface"},
        {"fe80::1%no-such-one", "wrong", "without an interface"},
        {"::", "wrong", "no client has"},
        {"0.0.0.0", "wrong", "no client has"},
        {"::ffff:0.0.0.0", "wrong", "no client has"},
        {"224.0.0.1", "wrong", "no client has"},
        {"ff02::1", "wrong", "no client has"},
        {"192.0.2.0/24", "wrong", ""},
        {"here", "wrong", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *read = read_as(rows[i].text, ENDPOINT_CLIENT);
        cr_assert_str_eq(read, rows[i].read, "%s: %s", rows[i].text, read);
        cr_assert(strstr(mistake, rows[i].says) != NULL, "%s: %s", rows[i].text, mistake);
    }
}

Test(endpoint, the_example_has_the_port_of_the_option) {
    struct address address;
    cr_assert(endpoint_parse("fe80::1", ENDPOINT_WITH_PORT, 53, &address, mistake) < 0);
    cr_assert(strstr(mistake, "[fe80::1%eth0]:53") != NULL, "%s", mistake);
    cr_assert(endpoint_parse("[fe80::1]:8026", ENDPOINT_WITH_PORT, 0, &address, mistake) < 0);
    cr_assert(strstr(mistake, "[fe80::1%eth0]:PORT") != NULL, "%s", mistake);
    cr_assert(endpoint_parse("fe80::1", ENDPOINT_WITHOUT_PORT, 25, &address, mistake) < 0);
    cr_assert(strstr(mistake, "fe80::1%eth0") != NULL && strstr(mistake, ":25") == NULL, "%s", mistake);
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
