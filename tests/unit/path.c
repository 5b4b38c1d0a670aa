/* Domains, paths and parameters: what real senders say is taken, and nothing that two servers may read differently. */
#include "lb/smtp/path.h"

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
    static const char *const good[] = {"[192.0.2.1]", "[IPv6:2001:db8::1]", "[ipv6:::1]"};
    static const char *const bad[] = {"192.0.2.1",    "[192.0.2]", "[192.0.2.256]", "[2001:db8::1]", "[IPv6:x]",
                                      "[IPv6:]",      "[]",        "[192.0.2.1",    "[tag:x]",       "[ 192.0.2.1]",
                                      "[192.0.2.1].a"};
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
    static char said[400];
    struct smtp_path path;
    size_t used;
    enum path_result result = path_parse(text, strlen(text), &used, &path);
    if (result != PATH_OK)
        return result == PATH_TOO_LONG ? "too long" : "malformed";
    cr_assert_eq(text[used - 1], '>');
    snprintf(said, sizeof said, "%s%s|%s%s%s", path.is_null ? "null" : "", path.local_part, path.domain,
             path.is_quoted ? " quoted" : "", path.is_literal ? " literal" : "");
    return said;
}

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
    cr_assert_str_eq(parse("<b\xc3\xbc@b\xc3\xbc.example>"), "b\xc3\xbc|b\xc3\xbc.example");
}

Test(path, what_is_no_path_is_not) {
    static const char *const malformed[] = {
        "",
        "a@b.test",
        "<a@b.test",
        "<a@>",
        "<@b.test>",
        "<a@b..test>",
        "<a..b@c>",
        "<.a@c>",
        "<a.@c>",
        "<a b@c.test>",
        "<a@b@c.test>",
        "<a\"b@c.test>",
        "<\"a@c.test>",
        "<\"a\"b@c.test>",
        "<a@-b.test>",
        "<a@[1.2.3]>",
        "<@a@b.test>",
        "<@one.test:>",
        "<a\x01@b.test>",
        "<\"a\x01\"@b.test>",
        "<\xc3@b.test>",
        "<a@b.test\n>",
        "<@one.test,a@b.test>",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        cr_assert_str_eq(parse(malformed[i]), "malformed", "%s", malformed[i]);
    cr_assert_str_eq(parse("<" LABEL63 "ab@b.test>"), "too long");
    cr_assert_str_neq(parse("<" LABEL63 "a@b.test>"), "too long");
}

static bool parameters(const char *text, struct smtp_parameters *ret) {
    return parameters_parse(text, strlen(text), ret);
}

Test(path, parameters_are_read_and_unknown_ones_left_to_others) {
    struct smtp_parameters read;
    cr_assert(parameters("", &read) && !read.has_size);
    cr_assert(parameters(" SIZE=15728640  body=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2B", &read));
    cr_assert(read.has_size && read.size == 15728640);
    cr_assert(parameters(" BODY=7BIT", &read) && !read.has_size);
    cr_assert_not(parameters("SIZE=1", &read));
    cr_assert_not(parameters(" SIZE=", &read));
    cr_assert_not(parameters(" SIZE=1x", &read));
    cr_assert_not(parameters(" SIZE=9999999999999999999", &read));
    cr_assert_not(parameters(" =x", &read));
    cr_assert_not(parameters(" A\x01", &read));
}
