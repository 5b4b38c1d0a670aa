/* Whether one backend offers all that another one did. */
#include "lb/smtp/ehlo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct ehlo_offer offer(const char *reply) {
    struct ehlo_offer result;
    cr_assert(ehlo_offer_parse((const uint8_t *)reply, strlen(reply), &result));
    return result;
}

Test(ehlo, the_hosts_name_case_and_order_do_not_count) {
    struct ehlo_offer a = offer("250-vm1\r\n250-PIPELINING\r\n250-SIZE 100\r\n250 8BITMIME\r\n");
    struct ehlo_offer b = offer("250-vm2\r\n250-8bitmime \r\n250-size 100\r\n250 PIPELINING\r\n");
    cr_assert(ehlo_offer_equal(&a, &b) && a.has_pipelining && a.count == 3);
}

Test(ehlo, everything_that_a_client_was_offered_must_be_there_with_its_parameters) {
    struct ehlo_offer a = offer("250-a\r\n250-SIZE 100\r\n250 STARTTLS\r\n");
    struct ehlo_offer more = offer("250-a\r\n250-SIZE 100\r\n250-DSN\r\n250 STARTTLS\r\n");
    struct ehlo_offer smaller = offer("250-a\r\n250-SIZE 50\r\n250-DSN\r\n250 STARTTLS\r\n");
    struct ehlo_offer none = offer("250 a\r\n");
    cr_assert(ehlo_offer_covers(&more, &a) && !ehlo_offer_covers(&a, &more));
    cr_assert(!ehlo_offer_covers(&smaller, &a));
    struct ehlo_offer larger = offer("250-a\r\n250-SIZE 150\r\n250 STARTTLS\r\n");
    struct ehlo_offer unlimited = offer("250-a\r\n250-SIZE\r\n250 STARTTLS\r\n");
    cr_assert(ehlo_offer_covers(&larger, &a) && !ehlo_offer_covers(&a, &larger));
    cr_assert(ehlo_offer_covers(&unlimited, &a) && !ehlo_offer_covers(&a, &unlimited));
    cr_assert(ehlo_offer_covers(&a, &none) && !ehlo_offer_covers(&none, &a) && none.count == 0);
}

Test(ehlo, too_many_keywords_are_refused_and_repeated_ones_count_once) {
    char reply[2000] = "250-a\r\n";
    for (unsigned i = 0; i <= EHLO_KEYWORDS_MAX; i++)
        snprintf(reply + strlen(reply), sizeof reply - strlen(reply), "250%cX%u\r\n",
                 i == EHLO_KEYWORDS_MAX ? ' ' : '-', i);
    struct ehlo_offer result;
    cr_assert_not(ehlo_offer_parse((const uint8_t *)reply, strlen(reply), &result));
    cr_assert_eq(offer("250-a\r\n250-DSN\r\n250 dsn\r\n").count, 1);
}

/* --- as text --- */

static const char *lines_of(const char *reply) {
    static char lines[EHLO_LINES_MAX];
    ehlo_lines_read((const uint8_t *)reply, strlen(reply), lines);
    return lines;
}

Test(ehlo, what_is_offered_in_a_hosts_name_is_what_can_be_followed) {
    cr_assert_str_eq(
        lines_of("250-vm1 SIZE\r\n250-pipelining\r\n250-Size  15728640 \r\n250-XCLIENT NAME ADDR\r\n250-PIPECONNECT\r\n"
                 "250-xforward NAME\r\n250-AUTH PLAIN LOGIN\r\n250-AUTH=PLAIN\r\n250-AUTHX\r\n"
                 "250-X-EXPS gssapi\r\n250-PRDR\r\n250-XEXCH50\r\n250-CHECKPOINT\r\n250-\r\n250-  "
                 "\r\n250-bad_word\r\n250-DSN \x07\r\n250-SIZE 5\r\n"
                 "250-LIMITS RCPTMAX=5\r\n250-LIMITSX\r\n250 CHUNKING\r\n"),
        "PIPELINING\nSIZE 15728640\nLIMITS RCPTMAX=5\nCHUNKING\n");
    cr_assert_str_eq(lines_of("250 vm1\r\n"), "");
}

Test(ehlo, an_offer_that_is_too_long_loses_lines_and_never_parts_of_them) {
    char reply[4000] = "250-vm1\r\n", wanted[EHLO_LINES_MAX] = "";
    static const char *const keywords[] = {"DSN", "SIZE", "HELP", "LIMITS", "DELIVERBY", "CHUNKING"};
    for (unsigned i = 0; i < 6; i++) {
        char line[256];
        snprintf(line, sizeof line, "%s %0190u\n", keywords[i], i);
        snprintf(reply + strlen(reply), sizeof reply - strlen(reply), "250-%.*s\r\n", (int)strlen(line) - 1, line);
        if (strlen(wanted) + strlen(line) < sizeof wanted)
            snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s", line);
    }
    cr_assert_str_eq(lines_of(reply), wanted);
    cr_assert(strlen(wanted) < 1000 && strstr(wanted, "DELIVERBY") != NULL, "%s", wanted);
    cr_assert_eq(strstr(wanted, "CHUNKING"), NULL);
    memset(reply + 13, 'A', 2000); /* a keyword that fills all of it */
    memcpy(reply + 2013, "\r\n250 DSN\r\n", 12);
    cr_assert_str_eq(lines_of(reply), "DSN\n");
}

static const char *intersection(const char *a, const char *b) {
    static char lines[EHLO_LINES_MAX];
    snprintf(lines, sizeof lines, "%s", a);
    ehlo_lines_intersect(lines, b);
    return lines;
}

Test(ehlo, two_hosts_offer_together_what_both_do_with_the_same_parameters) {
    cr_assert_str_eq(
        intersection("PIPELINING\nDSN\nX-EXPS gssapi\nCHUNKING\n", "CHUNKING\nX-EXPS GSSAPI\nPIPELINING\n"),
        "PIPELINING\nX-EXPS gssapi\nCHUNKING\n");
    cr_assert_str_eq(intersection("LIMITS RCPTMAX=50\nDSN\n", "LIMITS RCPTMAX=100\nDSNX\n"), "");
    cr_assert_str_eq(intersection("DSN\n", ""), "");
    cr_assert_str_eq(intersection("", "DSN\n"), "");
}

Test(ehlo, of_two_limits_the_smaller_holds) {
    static const struct {
        const char *a, *b, *wanted;
    } rows[] = {{"SIZE 100\n", "SIZE 50\n", "SIZE 50\n"},
                {"SIZE 50\n", "SIZE 100\n", "SIZE 50\n"},
                {"SIZE\n", "SIZE 50\n", "SIZE 50\n"},
                {"SIZE 50\n", "SIZE\n", "SIZE 50\n"},
                {"SIZE 0\n", "SIZE 50\n", "SIZE 50\n"},
                {"SIZE 0\n", "SIZE\n", "SIZE 0\n"},
                {"SIZE 99999999999999999999\n", "SIZE 50\n", "SIZE 50\n"},
                {"SIZE x\n", "SIZE 50\n", ""},
                {"SIZE 100\n", "DSN\n", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_str_eq(intersection(rows[i].a, rows[i].b), rows[i].wanted, "row %zu", i);
}

Test(ehlo, what_one_lacks_is_named_without_its_parameters) {
    char keywords[100];
    ehlo_lines_lacking("PIPELINING\nSIZE 50\n", "SIZE 100\nCHUNKING\nPIPELINING\nLIMITS A=1\n", keywords,
                       sizeof keywords);
    cr_assert_str_eq(keywords, "CHUNKING LIMITS");
    ehlo_lines_lacking("DSN\n", "DSN\n", keywords, sizeof keywords);
    cr_assert_str_eq(keywords, "");
    ehlo_lines_lacking("", "CHUNKING\nDSN\n", keywords, 10);
    cr_assert_str_eq(keywords, "CHUNKING", "what does not fit is left out");
}

Test(ehlo, an_invitation_to_talk_before_the_greeting_is_known_by_both_its_names) {
    static const char *const invitations[] = {"250-vm1\r\n250-PIPECONNECT\r\n250 HELP\r\n",
                                              "250-vm1\r\n250-SIZE\r\n250 X_PIPE_CONNECT\r\n",
                                              "250-vm1\r\n250 pipeconnect\r\n"};
    static const char *const others[] = {"250-vm1\r\n250-PIPELINING\r\n250 HELP\r\n", "250 PIPECONNECT\r\n",
                                         "250-vm1\r\n250 PIPECONNECTX\r\n"};
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(ehlo_invites_early_talk((const uint8_t *)invitations[i], strlen(invitations[i])), "%s",
                  invitations[i]);
        cr_assert_not(ehlo_invites_early_talk((const uint8_t *)others[i], strlen(others[i])), "%s", others[i]);
    }
}
