/* access-file: that a site's client_access moves over unchanged, and that what can't is said. */
#include "lb/gate/access_table.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *said;
static bool is_blank;

static int read_text(const char *text, struct access_table *table) {
    char path[] = "/tmp/postern-unit-access-XXXXXX";
    size_t length;
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    free(said);
    FILE *errors = open_memstream(&said, &length);
    int result = access_table_read(path, errors, table, &is_blank);
    fclose(errors);
    unlink(path);
    return result;
}

/* "-": no entry; "dunno", "ok", or the reply as a client would see it. */
static const char *look_up(const struct access_table *table, const char *client, const char *name) {
    static char answer[300];
    struct address address;
    struct access_action action;
    cr_assert_eq(address_parse(client, 25, &address), 0);
    if (!access_table_find(table, &address, name, &action))
        return "-";
    if (action.kind == ACCESS_REJECT)
        snprintf(answer, sizeof answer, "%u %s %s", action.code, action.enhanced, action.text);
    else
        snprintf(answer, sizeof answer, "%s", action.kind == ACCESS_OK ? "ok" : "dunno");
    return answer;
}

#define ASSERT_GOOD(text, table) cr_assert_eq(read_text(text, table), 0, "%s", said)
#define ASSERT_FINDS(table, client, name, wanted)                                                                      \
    do {                                                                                                               \
        const char *found = look_up(&(table), client, name);                                                           \
        cr_assert_str_eq(found, wanted, "%s %s: %s, wanted %s", client, (name) == NULL ? "" : (name), found, wanted);  \
    } while (0)

static void assert_wrong(const char *text, const char *message) {
    struct access_table table = {.entries = NULL};
    cr_assert_eq(read_text(text, &table), -EINVAL, "taken: %s", text);
    cr_assert_not_null(strstr(said, message), "%s\nwanted: %s\nsaid: %s", text, message, said);
    cr_assert_null(table.entries);
}

Test(access_file, the_manual_pages_example_lets_one_address_of_a_refused_network_in) {
    struct access_table table;
    ASSERT_GOOD("1.2.3   REJECT\n1.2.3.4 OK\n", &table);
    ASSERT_FINDS(table, "1.2.3.4", NULL, "ok");
    ASSERT_FINDS(table, "1.2.3.5", "mx.example.org", "554 5.7.1 Access denied");
    ASSERT_FINDS(table, "1.2.4.4", NULL, "-");
    cr_assert_not(table.has_names);
    access_table_finish(&table);
}

Test(access_file, each_action_says_what_postfix_would) {
    static const struct {
        const char *written, *wanted;
    } actions[] = {
        {"OK", "ok"},
        {"ok, as agreed", NULL}, /* "ok," is no word */
        {"ok as agreed", "ok"},
        {"RELAY", "ok"},
        {"1234567890", "ok"},
        {"550", "ok"}, /* a number alone */
        {"DUNNO", "dunno"},
        {"dunno really", "dunno"},
        {"WARN seen", "dunno"},
        {"INFO", "dunno"},
        {"REJECT", "554 5.7.1 Access denied"},
        {"reject Go away", "554 5.7.1 Go away"},
        {"REJECT 5.7.25 No reverse name", "554 5.7.25 No reverse name"},
        {"DEFER", "450 4.7.1 Access denied"},
        {"DEFER later", "450 4.7.1 later"},
        {"450 4.7.0 greylisted", "450 4.7.0 greylisted"},
        {"421 4.3.2 closing", "421 4.3.2 closing"},
        {"521 We don't want you", "521 5.7.1 We don't want you"},
        {"550\tno", "550 5.7.1 no"},
        {"550 5.7.1", "550 5.7.1 Access denied"},
        {"550 4.7.0 other class", "550 5.7.0 other class"},
        {"450 2.0.0 fine", "450 4.0.0 fine"},
        {"550 5.7.1.9 no code", "550 5.7.1 5.7.1.9 no code"},
        {"550 5.7.1234 no code", "550 5.7.1 5.7.1234 no code"},
        {"550 3.7.1 no code", "550 5.7.1 3.7.1 no code"},
        {"550 caf\xc3\xa9 # 5", "550 5.7.1 caf?? # 5"},
        {"550 a\x01z", "550 5.7.1 a?z"},
        {"250 fine", NULL},
        {"650 no", NULL},
        {"4504 no", NULL},
        {"55x no", NULL},
        {"FILTER smtp:[127.0.0.1]:10025", NULL},
        {"HOLD", NULL},
        {"DISCARD", NULL},
        {"REDIRECT a@example.test", NULL},
        {"PREPEND X-Seen: yes", NULL},
        {"BCC a@example.test", NULL},
        {"DEFER_IF_PERMIT", NULL},
        {"permit_mynetworks", NULL},
    };
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        struct access_table table = {.entries = NULL};
        char text[200];
        snprintf(text, sizeof text, "# one\n192.0.2.1   %s\n", actions[i].written);
        int result = read_text(text, &table);
        if (actions[i].wanted == NULL) {
            cr_assert_eq(result, -EINVAL, "taken: %s", actions[i].written);
            cr_assert(strstr(said, ":2: \"") != NULL && strstr(said, "allowed: OK, REJECT [text]") != NULL, "%s", said);
            continue;
        }
        cr_assert_eq(result, 0, "%s: %s", actions[i].written, said);
        ASSERT_FINDS(table, "192.0.2.1", NULL, actions[i].wanted);
        access_table_finish(&table);
    }
}

Test(access_file, a_domain_takes_its_subdomains_and_one_with_a_dot_those_alone) {
    struct access_table table;
    ASSERT_GOOD("Example.ORG       550 itself\n"
                ".dotted.test      550 below\n"
                "both.test         550 itself\n"
                ".both.test        550 below\n"
                "mx.example.org    OK\n"
                "net               550 top\n",
                &table);
    cr_assert(table.has_names);
    ASSERT_FINDS(table, "192.0.2.1", "example.org", "550 5.7.1 itself");
    ASSERT_FINDS(table, "192.0.2.1", "a.b.example.org", "550 5.7.1 itself");
    ASSERT_FINDS(table, "192.0.2.1", "mx.example.org", "ok");
    ASSERT_FINDS(table, "192.0.2.1", "a.mx.example.org", "ok");
    ASSERT_FINDS(table, "192.0.2.1", "badexample.org", "-");
    ASSERT_FINDS(table, "192.0.2.1", "dotted.test", "-");
    ASSERT_FINDS(table, "192.0.2.1", "x.y.dotted.test", "550 5.7.1 below");
    ASSERT_FINDS(table, "192.0.2.1", "both.test", "550 5.7.1 itself");
    ASSERT_FINDS(table, "192.0.2.1", "x.both.test", "550 5.7.1 below");
    ASSERT_FINDS(table, "192.0.2.1", "host.isp.net", "550 5.7.1 top");
    ASSERT_FINDS(table, "192.0.2.1", "", "-");
    access_table_finish(&table);
}

Test(access_file, a_name_comes_before_an_address_and_dunno_ends_the_search) {
    struct access_table table;
    ASSERT_GOOD("192.0.2.1    550 address\nexample.org  DUNNO\n192.0.3.1 DUNNO\n192.0.3 550 net\nunknown 450 no name\n",
                &table);
    ASSERT_FINDS(table, "192.0.2.1", "mx.example.org", "dunno");
    ASSERT_FINDS(table, "192.0.2.1", "mx.example.net", "550 5.7.1 address");
    ASSERT_FINDS(table, "192.0.3.1", "mx.example.net", "dunno");
    ASSERT_FINDS(table, "192.0.3.2", "mx.example.net", "550 5.7.1 net");
    ASSERT_FINDS(table, "192.0.3.1", NULL, "450 4.7.1 no name");
    ASSERT_FINDS(table, "198.51.100.1", "", "450 4.7.1 no name");
    cr_assert(table.has_names);
    access_table_finish(&table);
}

Test(access_file, beginnings_of_addresses_take_their_networks_the_longest_first) {
    struct access_table table;
    ASSERT_GOOD("10 550 a\n10.1 550 b\n10.1.2 550 c\n10.1.2.3 550 d\n2001:DB8 550 e\n2001:db8:0:1 550 f\n2001 550 g\n"
                "fe80 550 h\n",
                &table);
    ASSERT_FINDS(table, "10.9.9.9", NULL, "550 5.7.1 a");
    ASSERT_FINDS(table, "10.1.9.9", NULL, "550 5.7.1 b");
    ASSERT_FINDS(table, "10.1.2.9", NULL, "550 5.7.1 c");
    ASSERT_FINDS(table, "10.1.2.3", NULL, "550 5.7.1 d");
    ASSERT_FINDS(table, "101.1.2.3", NULL, "-");
    ASSERT_FINDS(table, "[2001:db8::1]", NULL, "550 5.7.1 e");
    ASSERT_FINDS(table, "[2001:db8:1:2:3:4:5:6]", NULL, "550 5.7.1 e");
    ASSERT_FINDS(table, "[2001:db8:0:1:2:3:4:5]", NULL, "550 5.7.1 f");
    ASSERT_FINDS(table, "[2001:db9::1]", NULL, "550 5.7.1 g");
    ASSERT_FINDS(table, "[fe80::1]", NULL, "550 5.7.1 h");
    ASSERT_FINDS(table, "[2a00::1]", NULL, "-");
    access_table_finish(&table);
}

Test(access_file, of_networks_the_first_in_the_file_counts_and_before_beginnings) {
    struct access_table table;
    ASSERT_GOOD("192.0.2.5 550 a\n192.0.2.0/24 550 b\n192.0.2.6 550 dead\n192.0.0.0/16 550 c\n192.0.3 550 dead\n"
                "2001:db8::/32 550 d\n2001:db8::1 550 dead\n[2001:db9::1] 550 e\n[2001:db9::]/32 550 f\n"
                "0.0.0.0/0 550 g\n203.0.113.0/31 550 dead\n",
                &table);
    ASSERT_FINDS(table, "192.0.2.5", NULL, "550 5.7.1 a");
    ASSERT_FINDS(table, "192.0.2.6", NULL, "550 5.7.1 b");
    ASSERT_FINDS(table, "192.0.3.1", NULL, "550 5.7.1 c");
    ASSERT_FINDS(table, "[2001:db8::1]", NULL, "550 5.7.1 d");
    ASSERT_FINDS(table, "[2001:db9::1]", NULL, "550 5.7.1 e");
    ASSERT_FINDS(table, "[2001:db9::2]", NULL, "550 5.7.1 f");
    ASSERT_FINDS(table, "203.0.113.1", NULL, "550 5.7.1 g");
    ASSERT_FINDS(table, "[2001:dba::1]", NULL, "-");
    access_table_finish(&table);
    ASSERT_GOOD("::/0 550 all\n::ffff:192.0.2.1 OK\n::ffff:198.51.100.0/120 OK\n2001:0DB8:0:0:0:0:0:1 450 late\n",
                &table);
    ASSERT_FINDS(table, "[2001:db8::1]", NULL, "550 5.7.1 all");
    ASSERT_FINDS(table, "192.0.2.1", NULL, "ok");
    ASSERT_FINDS(table, "198.51.100.9", NULL, "ok");
    ASSERT_FINDS(table, "192.0.2.2", NULL, "-");
    access_table_finish(&table);
}

Test(access_file, an_ipv6_address_is_that_one_however_it_is_written) {
    struct access_table table;
    ASSERT_GOOD("2001:0db8:0:0:0:0:0:1 550 a\n", &table);
    ASSERT_FINDS(table, "[2001:db8::1]", NULL, "550 5.7.1 a");
    ASSERT_FINDS(table, "[2001:db8::1:5]", NULL, "-");
    access_table_finish(&table);
}

Test(access_file, of_two_entries_with_one_key_the_first_counts) {
    struct access_table table;
    ASSERT_GOOD("a.test 550 first\nA.TEST OK\n192.0.2.1/32 550 first\n192.0.2.1 OK\n", &table);
    ASSERT_FINDS(table, "192.0.2.9", "a.test", "550 5.7.1 first");
    ASSERT_FINDS(table, "192.0.2.1", "b.test", "550 5.7.1 first");
    cr_assert_eq(table.keys.count, 2);
    access_table_finish(&table);
}

Test(access_file, comments_and_lines_continued_over_them_are_read_as_postmap_does) {
    struct access_table table;
    ASSERT_GOOD("# a comment\n\n   # another\n192.0.2.1\tREJECT\n\tfor\n# between\n\n   reasons # kept  \r\n"
                "192.0.2.2\n  OK\n192.0.2.3 450 later",
                &table);
    ASSERT_FINDS(table, "192.0.2.1", NULL, "554 5.7.1 for   reasons # kept");
    ASSERT_FINDS(table, "192.0.2.2", NULL, "ok");
    ASSERT_FINDS(table, "192.0.2.3", NULL, "450 4.7.1 later");
    access_table_finish(&table);
}

Test(access_file, every_wrong_client_is_said_with_its_line) {
    static const char *const keys[] = {
        "192.0.2.1/24",
        "192.0.2.0/33",
        "2001:db8::1/32",
        "192.0.2.",
        "300.1",
        "1.2.3.4.5",
        "010.1",
        "12345",
        "0123",
        "2001:0db8",
        ":db8",
        "db8:x",
        "a..b",
        ".",
        "a.test.",
        "-a.b",
        "a b",
        "user@a.test",
        "user@",
        "<>",
        "!10.0.0.0/8",
        "[192.0.2.1",
        "[192.0.2.1]x",
        "*.a.test",
        "caf\xc3\xa9.test",
        "12345678:1",
        "1:2:3:4:5:6:7:8:9",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "10 OK\n%s OK\n", keys[i]);
        if (strchr(keys[i], ' ') == NULL)
            assert_wrong(text, ":2: \"");
        else
            assert_wrong(text, ":2: \"b OK\" is no action");
    }
    char long_key[400];
    memset(long_key, 'a', sizeof long_key);
    memcpy(long_key + sizeof long_key - 4, " OK", 4);
    assert_wrong(long_key, ":1: \"aaa");
}

Test(access_file, a_mistake_in_a_continued_entry_is_said_at_its_first_line) {
    assert_wrong("# one\n192.0.2.1\n  HOLD\n  it\n10 OK\n", ":2: \"HOLD  it\" is no action");
    assert_wrong("  192.0.2.1 OK\n", ":1: begins with white space");
    assert_wrong("192.0.2.1\n10 OK\n", ":1: \"192.0.2.1\" has no action");
    assert_wrong("10 OK\nif 10.0.0.0/8\nendif\n", ":2: \"10.0.0.0/8\" is no action");
    cr_assert_not_null(strstr(said, ":3: \"endif\" has no action"));
    char text[9000] = "192.0.2.1 550 ";
    memset(text + strlen(text), 'x', 256);
    assert_wrong(text, "longer than 255 octets");
    for (unsigned i = 0; i < 4000; i++)
        snprintf(text + i * 2, 3, "\n ");
    memcpy(text, "10 OK", 5);
    memset(text + 5, 'x', 3000);
    text[3005] = '\n';
    text[3006] = ' ';
    memset(text + 3007, 'y', 2000);
    text[5007] = '\0';
    assert_wrong(text, ":2: longer than 4096 octets with the lines");
}

Test(access_file, an_empty_file_and_one_of_comments_are_told_apart) {
    struct access_table table;
    ASSERT_GOOD("", &table);
    cr_assert(is_blank);
    ASSERT_GOOD(" \n\r\n\t\n", &table);
    cr_assert(is_blank);
    ASSERT_GOOD("# nobody\n", &table);
    cr_assert_not(is_blank);
    ASSERT_FINDS(table, "192.0.2.1", "mx.example.org", "-");
    ASSERT_FINDS(table, "192.0.2.1", NULL, "-");
    access_table_finish(&table);
}

Test(access_file, a_hundred_thousand_networks_and_names_are_found) {
    char *text = NULL;
    size_t length;
    struct access_table table;
    FILE *out = open_memstream(&text, &length);
    for (unsigned i = 0; i < 100000; i++)
        fprintf(out, "10.%u.%u.%u/32 550 n%u\nh%u.test 550 n%u\n", i >> 16, i >> 8 & 255, i & 255, i % 7, i, i % 7);
    fclose(out);
    ASSERT_GOOD(text, &table);
    cr_assert_eq(table.keys.count, 200000);
    cr_assert_eq(table.actions_count, 7);
    ASSERT_FINDS(table, "10.1.134.159", NULL, "550 5.7.1 n4"); /* 99999 */
    ASSERT_FINDS(table, "10.1.134.160", NULL, "-");
    ASSERT_FINDS(table, "192.0.2.1", "h0.test", "550 5.7.1 n0");
    access_table_finish(&table);
    free(text);
}

/* smtpd(8) cuts an address at its last colon, again and again: 2001:db8::1:5, 2001:db8::1, 2001:db8:, 2001:db8, 2001.
 */
Test(access_file, ipv6_addresses_are_cut_where_postfix_cuts_them) {
    struct access_table table;
    ASSERT_GOOD(
        "2001:db8::1 550 a\n2001:db8: 550 b\n2001:db8 550 c\n2001:dba: 550 d\n2001:dbc::1:5 OK\n2001:dbc::1 550 "
        "e\n2001: 550 f\n",
        &table);
    ASSERT_FINDS(table, "[2001:db8::1]", NULL, "550 5.7.1 a");
    ASSERT_FINDS(table, "[2001:db8::1:5]", NULL, "550 5.7.1 a");
    ASSERT_FINDS(table, "[2001:db8::1:2:3]", NULL, "550 5.7.1 a");
    ASSERT_FINDS(table, "[2001:db8::2]", NULL, "550 5.7.1 b");
    ASSERT_FINDS(table, "[2001:db8::12:3]", NULL, "550 5.7.1 b");
    ASSERT_FINDS(table, "[2001:db8:1::2]", NULL, "550 5.7.1 c");
    ASSERT_FINDS(table, "[2001:dba::7]", NULL, "550 5.7.1 d");
    ASSERT_FINDS(table, "[2001:dba:1::7]", NULL, "-");
    ASSERT_FINDS(table, "[2001:dbc::1:5]", NULL, "ok");
    ASSERT_FINDS(table, "[2001:dbc::1:6]", NULL, "550 5.7.1 e");
    ASSERT_FINDS(table, "[2001::9]", NULL, "550 5.7.1 f");
    access_table_finish(&table);
    ASSERT_GOOD("2001:db8::1 550 a\n2001:db8::/32 OK\n", &table);
    ASSERT_FINDS(table, "[2001:db8::1:5]", NULL, "ok");
    access_table_finish(&table);
    assert_wrong("2001:db8:::1 OK\n", "is no client");
    assert_wrong("2001:db8:0: : OK\n", "\": OK\"");
    assert_wrong("1:2:3:4:5:6:7: OK\n", "is no client");
    assert_wrong(": OK\n", "is no client");
    assert_wrong("2001:0db8: OK\n", "is no client");
}
