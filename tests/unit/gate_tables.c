/* The gate's files together: whose mail is ours, who exists, and what a file that has gone costs. */
#include "lb/gate/recipient_table.h"
#include "lb/gate/tables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/postern-unit-tables-XXXXXX";
static char domains_path[64], recipients_path[64], access_path[64], delimiters[16] = "+";
static char none[1] = "";
static struct config_gate config;
static char *said;

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void begin(void) {
    cr_assert_not_null(mkdtemp(dir));
    snprintf(domains_path, sizeof domains_path, "%s/domains", dir);
    snprintf(recipients_path, sizeof recipients_path, "%s/recipients", dir);
    snprintf(access_path, sizeof access_path, "%s/access", dir);
    put(domains_path, "example.test\n.sub.test\n");
    put(recipients_path, "user@example.test\n");
    put(access_path, "192.0.2.1 OK\n");
    config = (struct config_gate){.relay_domains_file = domains_path,
                                  .recipients_file = recipients_path,
                                  .recipient_delimiter = delimiters,
                                  .access_file = access_path};
}

static void end(void) {
    unlink(domains_path);
    rmdir(domains_path);
    unlink(recipients_path);
    unlink(access_path);
    rmdir(dir);
}

TestSuite(gate_tables, .init = begin, .fini = end);

static int load(const struct gate_tables *previous, struct gate_tables **ret_tables) {
    size_t length;
    free(said);
    FILE *errors = open_memstream(&said, &length);
    int result = gate_tables_load(&config, previous, errors, ret_tables);
    fclose(errors);
    return result;
}

/* Without a word said. */
static struct gate_tables *load_good(const struct gate_tables *previous) {
    struct gate_tables *tables = NULL;
    int result = load(previous, &tables);
    cr_assert(result == 0 && *said == '\0', "%d: %s", result, said);
    return tables;
}

static bool says(const char *text) {
    return strstr(said, text) != NULL;
}

#define ASSERT_RELAYS(tables, domain, wanted)                                                                          \
    cr_assert_eq(gate_tables_relays(tables, domain), wanted, "%s: %u", domain, gate_tables_relays(tables, domain))
#define ASSERT_HAS(tables, local, domain, wanted)                                                                      \
    cr_assert_eq(gate_tables_has_recipient(tables, local, domain), wanted, "%s@%s: %u", local, domain,                 \
                 gate_tables_has_recipient(tables, local, domain))

static enum table_answer ask_access(const struct gate_tables *tables, const char *client, enum access_kind *ret_kind) {
    struct address address;
    struct access_action action;
    memset(&action, 0xff, sizeof action);
    cr_assert_eq(address_parse(client, 25, &address), 0);
    enum table_answer answer = gate_tables_access(tables, &address, NULL, &action);
    *ret_kind = action.kind;
    return answer;
}

Test(gate_tables, our_domains_are_told_from_others_and_from_what_is_below) {
    put(domains_path,
        "# ours\nExample.TEST   # comment\n.below.test\nboth.test.\n.both.test\n\xc3\xbc.test\r\n[192.0.2.1]\n"
        "example.test\n");
    struct gate_tables *tables = load_good(NULL);
    ASSERT_RELAYS(tables, "example.test", TABLE_YES);
    ASSERT_RELAYS(tables, "a.example.test", TABLE_NO);
    ASSERT_RELAYS(tables, "badexample.test", TABLE_NO);
    ASSERT_RELAYS(tables, "test", TABLE_NO);
    ASSERT_RELAYS(tables, "below.test", TABLE_NO);
    ASSERT_RELAYS(tables, "a.b.below.test", TABLE_YES);
    ASSERT_RELAYS(tables, "abelow.test", TABLE_NO);
    ASSERT_RELAYS(tables, "both.test", TABLE_YES);
    ASSERT_RELAYS(tables, "x.both.test", TABLE_YES);
    ASSERT_RELAYS(tables, "\xc3\xbc.test", TABLE_YES);
    ASSERT_RELAYS(tables, "[192.0.2.1]", TABLE_YES);
    ASSERT_RELAYS(tables, "", TABLE_NO);
    gate_tables_free(tables);
}

Test(gate_tables, an_address_exists_in_any_case_and_with_an_extension) {
    put(recipients_path, "# all\nUser@Example.TEST\n  tagged+news@example.test  # its own\n\"odd user\"@example.test\n"
                         "a#b@example.test#c\n");
    struct gate_tables *tables = NULL;
    cr_assert_eq(load(NULL, &tables), -EINVAL);
    cr_assert(says("recipients:5: \"a#b@example.test#c\" is no address"), "%s", said);
    put(recipients_path, "# all\nUser@Example.TEST\n  tagged+news@example.test  # its own\n\"odd user\"@example.test\n"
                         "a#b@example.test #c\n+plus@example.test\nuser@example.test\n");
    tables = load_good(NULL);
    ASSERT_HAS(tables, "user", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "USER", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "uSer+Anything+else", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "user-x", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "use", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "user", "other.test", TABLE_NO);
    ASSERT_HAS(tables, "tagged+news", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "tagged", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "tagged+other", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "odd user", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "Odd User+tag", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "a#b", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "+plus", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "+other", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "user", "", TABLE_NO);
    ASSERT_HAS(tables, "", "example.test", TABLE_NO);
    gate_tables_free(tables);
}

Test(gate_tables, extensions_are_parted_as_postfix_does) {
    static const struct {
        const char *local_part, *delimiters;
        size_t length;
    } cases[] = {
        {"user+a", "+", 4},
        {"user+a", "", 6},
        {"user-a+b", "+-", 4},
        {"user+a-b", "+-", 4},
        {"user-a+b", "+", 6},
        {"+a", "+", 2},
        {"+a+b", "+", 4},
        {"user+", "+", 4},
        {"owner-list", "-", 10},
        {"Owner-list", "-+", 10},
        {"owner-list+a", "+", 10},
        {"list-request", "-", 12},
        {"-request", "-", 8},
        {"list-requests", "-", 4},
        {"Mailer-Daemon", "-", 13},
        {"double-bounce", "-", 13},
        {"", "+", 0},
        {"postmaster+x", "+", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_eq(recipient_base_length(cases[i].local_part, cases[i].delimiters), cases[i].length, "%s at %s",
                     cases[i].local_part, cases[i].delimiters);
    snprintf(delimiters, sizeof delimiters, "-+");
    struct gate_tables *tables = load_good(NULL);
    ASSERT_HAS(tables, "user-x", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "user+x", "example.test", TABLE_YES);
    gate_tables_free(tables);
    delimiters[0] = '\0';
    tables = load_good(NULL);
    ASSERT_HAS(tables, "user+x", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "user", "example.test", TABLE_YES);
    gate_tables_free(tables);
}

Test(gate_tables, a_catch_all_takes_its_domain_and_no_other) {
    put(recipients_path, "@Example.test\nuser@other.test\n");
    struct gate_tables *tables = load_good(NULL);
    ASSERT_HAS(tables, "anyone", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "any one", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "anyone", "a.example.test", TABLE_NO);
    ASSERT_HAS(tables, "anyone", "other.test", TABLE_NO);
    ASSERT_HAS(tables, "x@example.test", "other.test", TABLE_NO);
    gate_tables_free(tables);
}

Test(gate_tables, postmaster_exists_where_we_relay) {
    struct gate_tables *tables = load_good(NULL);
    ASSERT_HAS(tables, "postmaster", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "PostMaster", "x.sub.test", TABLE_YES);
    ASSERT_HAS(tables, "postmaster+x", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "postmaster", "", TABLE_YES);
    ASSERT_HAS(tables, "postmaster", "other.test", TABLE_NO);
    ASSERT_HAS(tables, "postmasters", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "postmaste", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "abuse", "example.test", TABLE_NO);
    gate_tables_free(tables);
    config.relay_domains_file = none;
    unlink(recipients_path);
    cr_assert_eq(load(NULL, &tables), 0);
    ASSERT_HAS(tables, "postmaster", "other.test", TABLE_YES);
    ASSERT_HAS(tables, "user", "other.test", TABLE_UNREADABLE);
    gate_tables_free(tables);
}

Test(gate_tables, a_quoted_local_part_with_odd_octets_is_that_one) {
    put(recipients_path,
        "\"a@b\"@example.test\n\"say \\\"hi\\\"\"@example.test # quotes\n\"back\\\\slash\"@example.test\n"
        "\"tab # no "
        "comment\"@example.test\n\"plain\"@example.test\na..b.@example.test\n\xc3\xa9t\xc3\xa9@example.test\n");
    struct gate_tables *tables = load_good(NULL);
    ASSERT_HAS(tables, "a@b", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "a", "b@example.test", TABLE_YES); /* no domain: never asked */
    ASSERT_HAS(tables, "a", "example.test", TABLE_NO);
    ASSERT_HAS(tables, "say \"hi\"", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "back\\slash", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "tab # no comment", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "plain", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "a..b.", "example.test", TABLE_YES);
    ASSERT_HAS(tables, "\xc3\xa9t\xc3\xa9", "example.test", TABLE_YES);
    char long_part[300];
    memset(long_part, 'x', sizeof long_part);
    long_part[299] = '\0';
    ASSERT_HAS(tables, long_part, "example.test", TABLE_NO);
    gate_tables_free(tables);
}

#define X16  "xxxxxxxxxxxxxxxx"
#define X64  X16 X16 X16 X16
#define X256 X64 X64 X64 X64

Test(gate_tables, every_mistake_in_every_file_is_said_and_nothing_is_taken) {
    struct gate_tables *tables = NULL;
    put(domains_path, "example.test\n-bad.test\n*.test\n@example.test\nuser@example.test\na b\n..test\n.\n12.34\n");
    put(recipients_path, "user@example.test\nuser\npostmaster\n\"\"@example.test\n<a@example.test>\na b@example.test\n"
                         "@a.test,@b.test:c@example.test\na@b..test\na@-b.test\n\"open@example.test\n@\n"
                         "a@b.test c@d.test\na@b@c.test\n@.example.test\n" X256 "x@example.test\n");
    put(access_path, "192.0.2.1 MAYBE\n");
    cr_assert_eq(load(NULL, &tables), -EINVAL);
    cr_assert_null(tables);
    char wanted[80];
    cr_assert_not(says("domains:1:") || says("recipients:1:"), "%s", said);
    for (unsigned line = 2; line <= 9; line++) {
        snprintf(wanted, sizeof wanted, "/domains:%u: \"", line);
        cr_assert(says(wanted), "%s in %s", wanted, said);
    }
    for (unsigned line = 2; line <= 15; line++) {
        snprintf(wanted, sizeof wanted, "/recipients:%u: \"", line);
        cr_assert(says(wanted), "%s in %s", wanted, said);
    }
    cr_assert(says("one address a line") && says("is too long: 256 octets") &&
              says("access:1: \"MAYBE\" is no action"));
}

Test(gate_tables, a_byte_order_mark_bounces_no_domain_and_no_recipient) {
    put(domains_path, "\xef\xbb\xbf"
                      "example.test\r\n");
    put(recipients_path, "\xef\xbb\xbfuser@example.test\r\n");
    put(access_path, "\xef\xbb\xbf"
                     "192.0.2.1 REJECT\r\n");
    struct gate_tables *tables = load_good(NULL);
    enum access_kind kind;
    cr_assert_eq(gate_tables_relays(tables, "example.test"), TABLE_YES);
    cr_assert_eq(gate_tables_has_recipient(tables, "user", "example.test"), TABLE_YES);
    cr_assert(ask_access(tables, "192.0.2.1", &kind) == TABLE_YES && kind == ACCESS_REJECT);
    gate_tables_free(tables);
}

Test(gate_tables, what_is_not_seen_is_no_part_of_a_name) {
    static const char *const blanks[] = {"\xc2\xa0",     "\xe2\x80\x8b", "\xef\xbb\xbf", "\xe2\x81\xa0",
                                         "\xe3\x80\x80", "\xe2\x80\xaf", "\x7f",         "\xa0"};
    struct gate_tables *tables = NULL;
    for (size_t i = 0; i < sizeof blanks / sizeof blanks[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "a.test\nexample.test%s # M\xfcller\n", blanks[i]);
        put(domains_path, text);
        snprintf(text, sizeof text, "# M\xfcller\n\nus%ser@example.test\n", blanks[i]);
        put(recipients_path, text);
        snprintf(text, sizeof text, "# M\xfcller\n192.0.2.1%sREJECT M\xfcller\n", blanks[i]);
        put(access_path, text);
        cr_assert_eq(load(NULL, &tables), -EINVAL, "%zu", i);
        cr_assert(says("domains:2: has ") && says("recipients:3: has ") && says("access:2: has "), "%s", said);
    }
    put(domains_path, "\xef\xbd\x85xample.test\n"); /* its first letter is a wide one */
    put(recipients_path, "user@example.test\xc2\xa0# a comment\n");
    cr_assert_eq(load(NULL, &tables), -EINVAL);
    cr_assert(says("domains:1: has U+FF45") && says("recipients:1: has U+00A0"), "%s", said);
}

Test(gate_tables, an_empty_option_turns_its_rule_off) {
    enum access_kind kind;
    struct gate_tables *tables = load_good(NULL);
    cr_assert_null(gate_tables_off_name(tables, 0));
    gate_tables_free(tables);
    config.access_file = config.recipients_file = config.relay_domains_file = none;
    tables = load_good(NULL);
    ASSERT_RELAYS(tables, "example.test", TABLE_IS_OFF);
    ASSERT_HAS(tables, "user", "example.test", TABLE_IS_OFF);
    ASSERT_HAS(tables, "postmaster", "", TABLE_IS_OFF);
    cr_assert(ask_access(tables, "192.0.2.1", &kind) == TABLE_IS_OFF && kind == ACCESS_DUNNO);
    cr_assert_not(gate_tables_need_name(tables));
    cr_assert_str_eq(gate_tables_off_name(tables, 0), "access-file");
    cr_assert_str_eq(gate_tables_off_name(tables, 1), "relay-domains-file");
    cr_assert_str_eq(gate_tables_off_name(tables, 2), "recipients-file");
    cr_assert_null(gate_tables_off_name(tables, 3));
    char text[200];
    gate_tables_describe(tables, text, sizeof text);
    cr_assert_str_eq(text, "relay-domains-file: off, recipients-file: off, access-file: off");
    gate_tables_free(tables);
}

Test(gate_tables, a_file_that_was_never_readable_is_an_alarm_and_answers_so) {
    struct gate_tables *tables = NULL;
    enum access_kind kind;
    unlink(domains_path);
    mkdir(domains_path, 0700);
    put(recipients_path, "\n  # none yet\n");
    put(access_path, "");
    cr_assert_eq(load(NULL, &tables), 0, "%s", said);
    cr_assert(says("domains: [gate] relay-domains-file cannot be read: Is a directory: until a reload"), "%s", said);
    cr_assert(says("recipients: [gate] recipients-file is empty: until a reload") &&
              says("access: [gate] access-file is empty: until a reload"));
    ASSERT_RELAYS(tables, "example.test", TABLE_UNREADABLE);
    ASSERT_HAS(tables, "user", "example.test", TABLE_UNREADABLE);
    ASSERT_HAS(tables, "postmaster", "example.test", TABLE_YES);
    cr_assert(ask_access(tables, "192.0.2.1", &kind) == TABLE_UNREADABLE && kind == ACCESS_DUNNO);
    cr_assert_null(gate_tables_off_name(tables, 0));
    struct gate_tables *later = NULL;
    cr_assert_eq(load(tables, &later), 0);
    cr_assert(says("relay-domains-file cannot be read"), "still");
    gate_tables_free(tables);
    rmdir(domains_path);
    put(domains_path, "example.test\n");
    put(recipients_path, "user@example.test\n");
    put(access_path, "# nobody\n"); /* is no accident */
    tables = load_good(later);
    gate_tables_free(later);
    ASSERT_RELAYS(tables, "example.test", TABLE_YES);
    ASSERT_HAS(tables, "user", "example.test", TABLE_YES);
    cr_assert(ask_access(tables, "192.0.2.1", &kind) == TABLE_NO && kind == ACCESS_DUNNO);
    gate_tables_free(tables);
}

Test(gate_tables, a_file_that_vanishes_or_empties_leaves_the_last_good_one_in_force) {
    enum access_kind kind;
    char text[200];
    struct gate_tables *first = load_good(NULL), *second = NULL, *third = NULL;
    unlink(domains_path);
    put(recipients_path, "# truncated\n");
    put(access_path, "\n");
    cr_assert_eq(load(first, &second), 0);
    cr_assert(says("relay-domains-file cannot be read: No such file or directory: what was read before stays") &&
                  says("recipients-file is empty: what was read before") &&
                  says("access-file is empty: what was read before"),
              "%s", said);
    gate_tables_free(first); /* as once no worker looks at it any more */
    put(recipients_path, "new@example.test\n");
    cr_assert_eq(load(second, &third), 0);
    cr_assert(says("relay-domains-file") && !says("recipients-file") && says("access-file"), "%s", said);
    ASSERT_HAS(second, "user", "example.test", TABLE_YES);
    gate_tables_free(second);
    ASSERT_RELAYS(third, "example.test", TABLE_YES);
    ASSERT_RELAYS(third, "x.sub.test", TABLE_YES);
    ASSERT_HAS(third, "user", "example.test", TABLE_NO);
    ASSERT_HAS(third, "new", "example.test", TABLE_YES);
    cr_assert(ask_access(third, "192.0.2.1", &kind) == TABLE_YES && kind == ACCESS_OK);
    gate_tables_describe(third, text, sizeof text);
    cr_assert_str_eq(text, "relay-domains-file: 2, recipients-file: 1, access-file: 1");
    gate_tables_free(third);
}

Test(gate_tables, a_mistake_after_a_good_file_changes_nothing) {
    struct gate_tables *first = load_good(NULL), *second = NULL;
    unlink(domains_path);
    put(recipients_path, "new@example.test\nrubbish\n");
    cr_assert_eq(load(first, &second), -EINVAL);
    cr_assert_null(second);
    ASSERT_RELAYS(first, "example.test", TABLE_YES);
    ASSERT_HAS(first, "user", "example.test", TABLE_YES);
    gate_tables_free(first);
}

Test(gate_tables, names_are_only_wanted_where_one_is_listed) {
    struct gate_tables *tables = load_good(NULL);
    cr_assert_not(gate_tables_need_name(tables));
    gate_tables_free(tables);
    put(access_path, "192.0.2.1 OK\nexample.org REJECT\n");
    tables = load_good(NULL);
    cr_assert(gate_tables_need_name(tables));
    gate_tables_free(tables);
}

Test(gate_tables, a_million_recipients_are_read_and_each_is_found) {
    FILE *file = fopen(recipients_path, "we");
    char local_part[40];
    for (unsigned i = 0; i < 1000000; i++)
        fprintf(file, "user.number%u@example.test\n", i);
    fputs("USER.number5@example.test\n", file);
    fclose(file);
    struct gate_tables *tables = load_good(NULL);
    char text[200];
    gate_tables_describe(tables, text, sizeof text);
    cr_assert_str_eq(text, "relay-domains-file: 2, recipients-file: 1000000, access-file: 1");
    for (unsigned i = 0; i < 1000000; i += 997) {
        snprintf(local_part, sizeof local_part, "User.number%u+x", i);
        ASSERT_HAS(tables, local_part, "example.test", TABLE_YES);
    }
    ASSERT_HAS(tables, "user.number1000000", "example.test", TABLE_NO);
    gate_tables_free(tables);
}
