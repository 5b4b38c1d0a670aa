/* Domains, paths and parameters: what real senders say is taken, and nothing that two servers may read differently. */
#include "lb/smtp/path.h"
#include "lb/smtp/parameters.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define VALID(text) cr_assert(domain_is_valid(text, strlen(text), false), "%s", text)
#define WRONG(text) cr_assert_not(domain_is_valid(text, strlen(text), false), "%s", text)
#define LABEL63     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

Test(domain, names_as_postfix_takes_them) {
    VALID("example.org");
    VALID("mx_1.example.org");
    VALID("example.org.");
    VALID("localhost");
    VALID("3com.com");
    VALID("x-1.y--2.org");
    VALID(LABEL63 ".org");
    WRONG("");
    WRONG(".");
    WRONG("a..b");
    WRONG("a.b..");
    WRONG(".a");
    WRONG("-a.org");
    WRONG("a-.org");
    WRONG("a b.org");
    WRONG("a@b.org");
    WRONG("192.0.2.1");
    WRONG("1234");
    WRONG(LABEL63 "a.org");
    WRONG(LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ".a");
    WRONG("b\xc3\xbc.example");
    cr_assert(domain_is_valid("b\xc3\xbc.example", 11, true));
    cr_assert_not(domain_is_valid("b\xc3.example", 10, true), "half a character");
    cr_assert(domain_is_fqdn("a.b", 3, false) && domain_is_fqdn("a.b.", 4, false));
    cr_assert_not(domain_is_fqdn("localhost", 9, false) || domain_is_fqdn("localhost.", 10, false));
}

Test(domain, literals_are_addresses_in_brackets) {
    static const char *const good[] = {"[192.0.2.1]",   "[IPv6:2001:db8::1]", "[ipv6:::1]",
                                       "[01.02.003.4]", "[1.2.3.255]",        "[0.0.0.0]"};
    static const char *const bad[] = {"192.0.2.1",     "[192.0.2]", "[192.0.2.256]", "[2001:db8::1]", "[IPv6:x]",
                                      "[IPv6:]",       "[]",        "[192.0.2.1",    "[tag:x]",       "[ 192.0.2.1]",
                                      "[192.0.2.1].a", "[0.1.2.3]", "[1.2.3.4.5]",   "[1..2.3]",      "[1.2.3.4.]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_assert(domain_is_literal(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(domain_is_literal(bad[i], strlen(bad[i])), "%s", bad[i]);
}

Test(domain, utf8_is_what_rfc_3629_says) {
    static const char *const bad[] = {
        "\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82"};
    cr_assert(text_is_utf8("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(text_is_utf8(bad[i], strlen(bad[i])), "%zu", i);
}

/* "local|domain", or the result where it is no path. */
static const char *parse(const char *text) {
    static char said[600];
    static const char *const results[] = {[PATH_MALFORMED] = "malformed", [PATH_UNCLEAR] = "unclear"};
    struct smtp_path path;
    size_t used;
    enum path_result result = path_parse(text, strlen(text), &used, &path);
    cr_assert_leq(used, strlen(text));
    if (result != PATH_OK)
        return results[result];
    snprintf(said, sizeof said, "%s%s|%s%s%s%s%s", path.is_null ? "null" : "", path.local_part, path.domain,
             path.is_quoted ? " quoted" : "", path.is_literal ? " literal" : "", path.is_loose ? " loose" : "",
             path.has_utf8_domain ? " utf8" : "");
    return said;
}

#define LOCAL_250                                                                                                      \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"             \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"             \
    "01234567890123456789012345678901234567890123456789"

Test(path, paths_of_real_senders_are_taken) {
    cr_assert_str_eq(parse("<>"), "null|");
    cr_assert_str_eq(parse("<a@Example.ORG>"), "a|example.org");
    cr_assert_str_eq(parse("<a@example.org.> SIZE=1"), "a|example.org");
    cr_assert_str_eq(parse("<a.b+c=d{e}@example.org>"), "a.b+c=d{e}|example.org");
    cr_assert_str_eq(parse("<\"a b\\\"c>\"@example.org>"), "a b\"c>|example.org quoted");
    cr_assert_str_eq(parse("<\"\"@example.org>"), "|example.org quoted");
    cr_assert_str_eq(parse("<a@[192.0.2.1]>"), "a|[192.0.2.1] literal");
    cr_assert_str_eq(parse("<postmaster>"), "postmaster|");
    cr_assert_str_eq(parse("<@one.test,@two.test:a@example.org>"), "a|example.org");
    cr_assert_str_eq(parse("<x%other@example.org>"), "x%other|example.org");
    cr_assert_str_eq(parse("<b\xc3\xbc@b\xc3\xbc.example>"), "b\xc3\xbc|b\xc3\xbc.example utf8");
    cr_assert_str_eq(parse("<b\xc3\xbc@example.org>"), "b\xc3\xbc|example.org");
    cr_assert_str_eq(parse("<" LOCAL_250 "012345@b.test>"), LOCAL_250 "012345|b.test");
}

/* docomo, ezweb, and others let their users have them. */
Test(path, dots_stand_anywhere_in_a_local_part) {
    cr_assert_str_eq(parse("<a..b@example.org>"), "a..b|example.org");
    cr_assert_str_eq(parse("<.a@example.org>"), ".a|example.org");
    cr_assert_str_eq(parse("<a.@example.org>"), "a.|example.org");
}

Test(path, what_postfix_takes_without_rfc_5321_is_taken) {
    cr_assert_str_eq(parse("a@example.org"), "a|example.org loose");
    cr_assert_str_eq(parse("a@example.org\tSIZE=1"), "a|example.org loose");
    cr_assert_str_eq(parse("\"a b\"@example.org SIZE=1"), "a b|example.org quoted loose");
    cr_assert_str_eq(parse("< a@example.org >"), "a|example.org loose");
    cr_assert_str_eq(parse("<a @ example.org>"), "a|example.org loose");
    cr_assert_str_eq(parse("<a(comment (in it) \\) )@example.org>"), "a|example.org loose");
    cr_assert_str_eq(parse("<a@example.org(comment)>"), "a|example.org loose");
    cr_assert_str_eq(parse("<a(b@example.org>"), "a| loose");
    cr_assert_str_eq(parse("<a\\b@example.org>"), "ab|example.org loose");
    cr_assert_str_eq(parse("<a\\@b@example.org>"), "a@b|example.org loose");
    cr_assert_str_eq(parse("<a@b@example.org>"), "a@b|example.org");
    cr_assert_str_eq(parse("<@example.org>"), "|example.org");
    cr_assert_str_eq(parse("< >"), "null| loose");
    cr_assert_str_eq(parse("a|b!c%d"), "a|b!c%d| loose");
}

/* Postfix says 501, too. */
Test(path, what_is_no_path_is_not) {
    static const char *const malformed[] = {
        "",
        "<a@b.test",
        "<a@b..test>",
        "<a b@c.test>",
        "<a\"b\"@c.test>",
        "<a[b]@c.test>",
        "<a\"b@c.test>",
        "<\"a@c.test>",
        "\"a b",
        "<\"a\"b@c.test>",
        "<a@-b.test>",
        "<a@b.test..>",
        "<a@b c.test>",
        "<a@192.0.2.1>",
        "<a@b.test\\>",
        "<a@b.test\\",
        "a@b.test,c@d.test",
        "<a,b@c.test>",
        "<\xc3@b.test>",
        "<@one.test,a@b..test>",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        cr_assert_str_eq(parse(malformed[i]), "malformed", "%s: %s", malformed[i], parse(malformed[i]));
}

/* Postfix takes most of them in some way. */
Test(path, what_may_be_read_in_more_ways_than_one_is_left_open) {
    static const char *const unclear[] = {
        "<a@>",
        "<b@c.test@>",
        "@",
        "<@>",
        "<<a@b.test>>",
        "<>>",
        "a@b.test>",
        "Name<a@b.test>",
        "<a@b.test>SIZE=1",
        "<a;b@c.d>",
        "<a:b@c.d>",
        "<group:a@b.test;>",
        "<\"\">",
        "<.>",
        "<a)b@c.test>",
        "<a@[1.2.3]>",
        "<a@[1.2.3.4>",
        "<@one.test:>",
        "<,a@b.test>",
        "<a@b.test,>",
        "<@[IPv6:::1]:a@b.test>",
        "<-a@b.test>",
        "<\"\x01\"@b.test>",
        "<a\x01@b.test>",
        "<a\x7f@b.t>",
        "<a@\"b\".test>",
        "<" LOCAL_250 "0123456@b.test>",
        "<a@b.test\n>",
    };
    for (size_t i = 0; i < sizeof unclear / sizeof unclear[0]; i++)
        cr_assert_str_eq(parse(unclear[i]), "unclear", "%s: %s", unclear[i], parse(unclear[i]));
}

static enum parameters_result read_for(const char *text, bool is_recipient, struct smtp_parameters *ret) {
    return parameters_parse(text, strlen(text), is_recipient, "PIPELINING\nSIZE 1000\nSMTPUTF8\nXOORG\n", ret);
}

#define READ(text)      read_for(text, false, &read)
#define READ_RCPT(text) read_for(text, true, &read)

Test(parameters, those_of_what_is_offered_are_taken) {
    struct smtp_parameters read;
    cr_assert(READ("") == PARAMETERS_OK && !read.has_size && !read.has_utf8);
    cr_assert_eq(READ(" SIZE=15728640 \t body=8BITMIME SMTPUTF8 AUTH=<> XOORG=example.org "), PARAMETERS_OK);
    cr_assert(read.has_size && read.size == 15728640 && read.has_utf8);
    cr_assert(READ("\tBODY=7bit") == PARAMETERS_OK && !read.has_size);
    cr_assert(READ(" SIZE=00000000000000000000000000001") == PARAMETERS_OK && read.size == 1);
    cr_assert(READ(" SIZE=99999999999999999999999") == PARAMETERS_OK && read.size == UINT64_MAX);
    cr_assert_eq(READ_RCPT(" "), PARAMETERS_OK);
}

Test(parameters, others_wait_for_a_server_that_knows_them) {
    struct smtp_parameters read;
    static const char *const unknown[] = {" RET=HDRS", " ENVID=x",      " BODY=BINARYMIME", " BODY=x",
                                          " BODY",     " SIZE",         " X-FOO=1",         " SMTPUTF8=1",
                                          " (c)",      " NOTIFY=NEVER", " REQUIRETLS",      " HOLDFOR=1"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        cr_assert_eq(READ(unknown[i]), PARAMETERS_UNKNOWN, "%s", unknown[i]);
    cr_assert_eq(READ_RCPT(" NOTIFY=NEVER"), PARAMETERS_UNKNOWN);
    cr_assert_eq(READ_RCPT(" SMTPUTF8"), PARAMETERS_OK, "its keyword is offered");
    cr_assert_eq(parameters_parse(" NOTIFY=NEVER ORCPT=rfc822;a", 27, true, "DSN\n", &read), PARAMETERS_OK);
    cr_assert_eq(parameters_parse(" RET=HDRS", 9, false, "DSN\n", &read), PARAMETERS_OK);
    cr_assert_eq(parameters_parse(" body=binarymime", 16, false, "BINARYMIME\n", &read), PARAMETERS_OK);
}

Test(parameters, what_is_no_number_or_has_no_name_is_malformed) {
    struct smtp_parameters read;
    static const char *const malformed[] = {" SIZE=", " SIZE=1x", " SIZE=-1", " =x"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        cr_assert_eq(READ(malformed[i]), PARAMETERS_MALFORMED, "%s", malformed[i]);
}
