/* The dialog with those who are not admitted: every recipient hears 450, no mail is ever taken. */
#include "lb/gate/refusal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct refusal refusal;
static char said[65536];

static void begin(void) {
    refusal_init(&refusal, REFUSAL_AT_RCPT);
    said[0] = '\0';
}

TestSuite(refusal, .init = begin);

/* Everything that is answered to this text, given in pieces of so many octets. */
static const char *feed(const char *text, size_t piece) {
    size_t at = 0, all = strlen(text), total = 0;
    while (at < all && !refusal.is_over) {
        char output[2 * REFUSAL_REPLY_MAX + 1];
        size_t length, given = all - at < piece ? all - at : piece;
        size_t taken = refusal_feed(&refusal, "mx.test", (const uint8_t *)text + at, given, output,
                                    2 * REFUSAL_REPLY_MAX, &length);
        cr_assert(taken > 0 && length < sizeof output && total + length < sizeof said);
        memcpy(said + total, output, length);
        total += length;
        at += taken;
    }
    said[total] = '\0';
    return said;
}

static void begins(const char *text, const char *code) {
    cr_assert(strncmp(text, code, strlen(code)) == 0, "\"%s\" instead of %s", text, code);
}

#define WHOLE                                                                                                          \
    "EHLO a.test\r\nMAIL FROM:<a@b.test> SIZE=100\r\nRCPT TO:<u@x.test>\r\nrcpt to:<v@x.test>\r\nDATA\r\n"             \
    "RSET\r\nRCPT TO:<u@x.test>\r\nNOOP\r\nVRFY u\r\nQUIT\r\n"
#define ANSWERS                                                                                                        \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n"         \
    "250 ENHANCEDSTATUSCODES\r\n250 2.1.0 Ok\r\n"                                                                      \
    "450 4.3.2 Service is limited for now, please try again later\r\n"                                                 \
    "450 4.3.2 Service is limited for now, please try again later\r\n"                                                 \
    "451 4.3.2 No recipient is accepted now\r\n250 2.0.0 Ok\r\n503 5.5.1 Error: need MAIL command\r\n250 2.0.0 Ok\r\n" \
    "252 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"

Test(refusal, each_recipient_hears_450_however_the_octets_come) {
    for (size_t piece = 1; piece <= strlen(WHOLE); piece++) {
        refusal_init(&refusal, REFUSAL_AT_RCPT);
        cr_assert_str_eq(feed(WHOLE, piece), ANSWERS, "%zu: %s", piece, said);
        cr_assert(refusal.is_over && refusal.recipients == 2);
    }
}

Test(refusal, chunks_are_thrown_away_and_their_mail_is_not_taken) {
    feed("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<u@x.test>\r\nBDAT 14 LAST\r\nQUIT\r\nQUIT x\r\n", 7);
    cr_assert_not(refusal.is_over, "those QUITs were content");
    cr_assert_not_null(strstr(said, "450 4.3.2"));
    cr_assert_not_null(strstr(said, "451 4.3.2"));
    begins(feed("QUIT\r\n", 3), "221");
}

Test(refusal, http_and_headers_bare_line_ends_and_long_lines_end_it) {
    begins(feed("GET / HTTP/1.1\r\n", 100), "421 4.7.0");
    cr_assert(refusal.is_over && refusal.is_foreign);
    refusal_init(&refusal, REFUSAL_AT_RCPT);
    begins(feed("NOOP\n", 100), "421 4.7.0");
    refusal_init(&refusal, REFUSAL_AT_RCPT);
    begins(feed("NOOP\rX", 100), "421 4.7.0");
    cr_assert_not(refusal.is_foreign);
    refusal_init(&refusal, REFUSAL_AT_RCPT);
    char line[REFUSAL_LINE_MAX + 10];
    memset(line, 'a', sizeof line);
    line[sizeof line - 1] = '\0';
    begins(feed(line, sizeof line), "421 4.7.0");
    refusal_init(&refusal, REFUSAL_AT_RCPT);
    begins(feed("BDAT x\r\n", 100), "421 4.7.0");
}

Test(refusal, who_talks_on_and_on_is_cut) {
    char text[400 * 8] = "";
    for (unsigned i = 0; i < 300; i++)
        memcpy(text + i * 6, "NOOP\r\n", 7);
    feed(text, sizeof text);
    cr_assert(refusal.is_over && strstr(said, "421 4.7.0 mx.test Error: too many commands") != NULL);
    refusal_init(&refusal, REFUSAL_AT_RCPT);
    memset(text, 0, sizeof text);
    for (unsigned i = 0; i < 20; i++)
        memcpy(text + i * 6, "WHAT\r\n", 7);
    feed(text, sizeof text);
    cr_assert(refusal.is_over && refusal.unknown == 11);
}

Test(refusal, tls_is_refused_for_now_and_the_greeting_names_us) {
    char greeting[100];
    refusal_greet("mx.test", greeting, sizeof greeting);
    cr_assert_str_eq(greeting, "220 mx.test ESMTP\r\n");
    begins(feed("STARTTLS\r\n", 100), "454 4.7.0");
    begins(feed("HELO a\r\n", 100), "250 mx.test\r\n");
}

Test(refusal, a_check_is_answered_up_to_its_mail_and_no_recipient_is_asked_for) {
    refusal_init(&refusal, REFUSAL_AT_MAIL);
    cr_assert_not_null(strstr(feed("EHLO lb.test\r\nNOOP\r\nRSET\r\n", 3), "\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"),
                       "%s", said);
    cr_assert_not(refusal.is_over);
    begins(feed("MAIL FROM:<a@b.test>\r\nRCPT TO:<u@x.test>\r\n", 5), "421 4.3.2 mx.test ");
    cr_assert(refusal.is_over && strchr(said, '\n')[1] == '\0', "%s", said);
    refusal_init(&refusal, REFUSAL_AT_MAIL);
    begins(feed("QUIT\r\n", 1), "221 2.0.0 Bye\r\n");
}
