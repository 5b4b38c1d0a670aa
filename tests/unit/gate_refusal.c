/* The gate's dialog with those of whom no mail is taken: every recipient of a client that is not admitted hears 450, a
 * health check is heard up to MAIL. */
#include "lb/gate/gate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct config_gate config = {.helo_required = true, .message_bytes_max = 1};
static const struct gate_tables tables = {
    .relay_domains.is_off = true, .recipients.is_off = true, .access.is_off = true};
static struct address client;
static struct gate_policy policy;
static struct gate gate;
static char said[65536];
static bool is_over;
static unsigned recipients; /* that heard 450 */

static void begin_with(enum gate_standing standing) {
    cr_assert_eq(address_parse("192.0.2.1", 25, &client), 0);
    policy = (struct gate_policy){.config = &config,
                                  .tables = &tables,
                                  .hostname = "mx.test",
                                  .offer = "",
                                  .client = &client,
                                  .standing = standing};
    gate_init(&gate, &policy);
    cr_assert_eq(gate_take_wanted(&gate), FACT_NOTHING);
    said[0] = '\0';
    is_over = false;
    recipients = 0;
}

static void begin(void) {
    begin_with(STANDING_NOT_VETTED);
}

TestSuite(refusal, .init = begin);

/* One piece of what is held; returns its length, 0 when more must come first. */
static size_t take_piece(const char *held, size_t length, size_t *total) {
    struct gate_answer answer = {.length = 0};
    size_t taken;
    enum gate_piece piece = gate_next_piece(gate.chunk_left, (const uint8_t *)held, length, &taken);
    if (piece == PIECE_UNFINISHED)
        return 0;
    enum gate_next next = gate_take_piece(&gate, &policy, piece, (const uint8_t *)held, taken, &answer);
    cr_assert(next == (piece == PIECE_CHUNK ? GATE_SKIPS : GATE_REPLIES), "%d after %d", next, piece);
    cr_assert(*total + answer.length < sizeof said);
    memcpy(said + *total, answer.text, answer.length);
    *total += answer.length;
    is_over = answer.closes;
    recipients += answer.code == 450;
    return taken;
}

/* Everything that is answered to this text, given in pieces of so many octets. */
static const char *feed(const char *text, size_t piece) {
    size_t from = 0, to = 0, all = strlen(text), total = 0;
    while (to < all && !is_over) {
        to += all - to < piece ? all - to : piece;
        for (size_t taken; from < to && !is_over && (taken = take_piece(text + from, to - from, &total)) > 0;)
            from += taken;
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
        begin();
        cr_assert_str_eq(feed(WHOLE, piece), ANSWERS, "%zu: %s", piece, said);
        cr_assert(is_over && recipients == 2);
    }
}

Test(refusal, chunks_are_thrown_away_and_their_mail_is_not_taken) {
    feed("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<u@x.test>\r\nBDAT 14 LAST\r\nQUIT\r\nQUIT x\r\n", 7);
    cr_assert_not(is_over, "those QUITs were content");
    cr_assert_not_null(strstr(said, "450 4.3.2"));
    cr_assert_not_null(strstr(said, "451 4.3.2"));
    begins(feed("QUIT\r\n", 3), "221");
}

Test(refusal, http_and_headers_bare_line_ends_and_long_lines_end_it) {
    begins(feed("GET / HTTP/1.1\r\n", 100), "421 4.7.0");
    cr_assert(is_over && gate.is_foreign);
    begin();
    begins(feed("NOOP\n", 100), "421 4.7.0");
    begin();
    begins(feed("NOOP\rX", 100), "421 4.7.0");
    cr_assert_not(gate.is_foreign);
    begin();
    char line[GATE_LINE_MAX + 10];
    memset(line, 'a', sizeof line);
    line[sizeof line - 1] = '\0';
    begins(feed(line, sizeof line), "421 4.7.0");
    begin();
    begins(feed("BDAT x\r\n", 100), "421 4.7.0");
}

Test(refusal, who_talks_on_and_on_is_cut) {
    char text[400 * 8] = "";
    for (unsigned i = 0; i < 300; i++)
        memcpy(text + i * 6, "NOOP\r\n", 7);
    feed(text, sizeof text);
    cr_assert(is_over && strstr(said, "421 4.7.0 mx.test Error: too many commands") != NULL);
    begin();
    memset(text, 0, sizeof text);
    for (unsigned i = 0; i < 20; i++)
        memcpy(text + i * 6, "WHAT\r\n", 7);
    feed(text, sizeof text);
    cr_assert(is_over && gate.errors == 11);
}

/* They hear the same whatever they have said, so nothing of it is a reason to bounce a mail. */
Test(refusal, what_is_said_of_a_mail_that_nobody_takes_is_not_judged) {
    feed("MAIL FROM:<a b@c> SIZE=99999999 X=Y\r\nMAIL x\r\nRCPT TO:<>\r\nRCPT\r\nEHLO\r\nRCPT TO:<u@x.test>\r\n", 9);
    cr_assert_eq(recipients, 2, "%s", said);
    cr_assert_not_null(strstr(said, "\r\n503 5.5.1"), "behind EHLO there is no MAIL: %s", said);
    cr_assert(strstr(said, "\r\n501 ") == NULL && strstr(said, "\r\n552 ") == NULL, "%s", said);
    begin();
    begins(feed("\x16\x03\x01\x02", 1), "421 4.7.0 mx.test Error: this is SMTP\r\n");
    cr_assert(is_over && gate.is_foreign);
}

Test(refusal, tls_is_refused_for_now_and_the_greeting_names_us) {
    struct gate_answer greeting;
    gate_greeting("mx.test", false, &greeting);
    cr_assert_str_eq(greeting.text, "220 mx.test ESMTP\r\n");
    begins(feed("STARTTLS\r\n", 100), "454 4.7.0");
    begins(feed("HELO a\r\n", 100), "250 mx.test\r\n");
}

Test(refusal, a_check_is_answered_up_to_its_mail_and_no_recipient_is_asked_for) {
    begin_with(STANDING_CHECK);
    cr_assert_not_null(strstr(feed("EHLO lb.test\r\nNOOP\r\nRSET\r\n", 3), "\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"),
                       "%s", said);
    cr_assert_not(is_over);
    begins(feed("MAIL FROM:<a@b.test>\r\nRCPT TO:<u@x.test>\r\n", 5), "421 4.3.2 mx.test ");
    cr_assert(is_over && strchr(said, '\n')[1] == '\0', "%s", said);
    begin_with(STANDING_CHECK);
    begins(feed("QUIT\r\n", 1), "221 2.0.0 Bye\r\n");
}
