/* Replies off the wire: real ones of many servers, wrong ones, in every split. */
#include "lb/smtp/reply.h"

#include <criterion/criterion.h>
#include <string.h>

static struct reply_parser parser;

/* Feeds all of `text` in pieces of `step`; returns the status and, in *ret_consumed, the octets taken. */
static enum reply_status feed(const char *text, size_t length, size_t step, size_t *ret_consumed) {
    enum reply_status status = REPLY_MORE;
    size_t at = 0;
    reply_parser_init(&parser, 512, 4096);
    while (at < length && status == REPLY_MORE) {
        size_t piece = length - at < step ? length - at : step;
        at += reply_parser_feed(&parser, (const uint8_t *)text + at, piece, &status);
    }
    *ret_consumed = at;
    return status;
}

static void assert_status(const char *text, enum reply_status wanted, unsigned code) {
    size_t length = strlen(text), consumed;
    for (size_t step = 1; step <= length; step++) {
        enum reply_status status = feed(text, length, step, &consumed);
        cr_assert_eq(status, wanted, "status %d for \"%s\" in steps of %zu", (int)status, text, step);
        if (wanted == REPLY_COMPLETE)
            cr_assert(parser.code == code && consumed <= length, "code %u for \"%s\"", parser.code, text);
    }
}

Test(reply, those_that_servers_send_are_read_in_every_split) {
    assert_status("220 mx.example.net ESMTP Postfix (Debian/GNU)\r\n", REPLY_COMPLETE, 220);
    assert_status("220-mx.example.net ESMTP Exim 4.96\r\n220-No spam\r\n220 please\r\n", REPLY_COMPLETE, 220);
    assert_status("250 2.1.0 Ok\r\n", REPLY_COMPLETE, 250);
    assert_status("250\r\n", REPLY_COMPLETE, 250);
    assert_status("250-\r\n250 \r\n", REPLY_COMPLETE, 250);
    assert_status("421 4.7.0 Too many errors\r\nmore", REPLY_COMPLETE, 421);
    assert_status("250-PIPELINING\r\n", REPLY_MORE, 0);
    assert_status("354 End data with <CR><LF>.<CR><LF>\r\n", REPLY_COMPLETE, 354);
}

Test(reply, what_is_none_is_said_so) {
    assert_status("hello\r\n", REPLY_INVALID, 0);
    assert_status("22 0\r\n", REPLY_INVALID, 0);
    assert_status("220_mx\r\n", REPLY_INVALID, 0);
    assert_status("120 x\r\n", REPLY_INVALID, 0);
    assert_status("620 x\r\n", REPLY_INVALID, 0);
    assert_status("220 mx\n", REPLY_INVALID, 0);
    assert_status("220 m\rx\r\n", REPLY_INVALID, 0);
    assert_status("220-mx\r\n250 mx\r\n", REPLY_INVALID, 0);
    assert_status("\r\n", REPLY_INVALID, 0);
    assert_status("220\n", REPLY_INVALID, 0);
    assert_status("SSH-2.0-OpenSSH_9.2\r\n", REPLY_INVALID, 0);
}

Test(reply, a_line_or_a_reply_beyond_its_bound_is_none) {
    char text[6000];
    memset(text, 'x', sizeof text);
    memcpy(text, "220 ", 4);
    size_t consumed;
    cr_assert_eq(feed(text, 600, 600, &consumed), REPLY_INVALID);
    memcpy(text + 510, "\r\n", 2);
    cr_assert_eq(feed(text, 512, 7, &consumed), REPLY_COMPLETE, "512 octets with CRLF are allowed");
    memcpy(text + 510, "x\r\n", 3);
    cr_assert_eq(feed(text, 513, 7, &consumed), REPLY_INVALID);
    memset(text, 'x', sizeof text);
    for (size_t at = 0; at + 100 <= sizeof text; at += 100) {
        memcpy(text + at, "220-", 4);
        memcpy(text + at + 98, "\r\n", 2);
    }
    cr_assert_eq(feed(text, sizeof text, 999, &consumed), REPLY_INVALID);
    cr_assert_eq(consumed, 4097);
}

Test(reply, without_a_bound_it_may_be_of_any_length) {
    static char line[70000];
    enum reply_status status = REPLY_MORE;
    memset(line, 'x', sizeof line);
    memcpy(line, "250-", 4);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    reply_parser_init(&parser, REPLY_NO_BOUND, REPLY_NO_BOUND);
    cr_assert_eq(reply_parser_feed(&parser, (const uint8_t *)line, sizeof line, &status), sizeof line);
    cr_assert_eq(status, REPLY_MORE);
    for (unsigned i = 0; i < 70000 && status == REPLY_MORE; i++)
        (void)reply_parser_feed(&parser, (const uint8_t *)"250-x\r\n", 7, &status);
    cr_assert_eq(status, REPLY_MORE);
    (void)reply_parser_feed(&parser, (const uint8_t *)"250 x\r\n", 7, &status);
    cr_assert(status == REPLY_COMPLETE && parser.code == 250);
}

Test(reply, only_its_own_octets_are_taken) {
    static const char two[] = "250 one\r\n250 two\r\n";
    size_t consumed;
    cr_assert_eq(feed(two, strlen(two), strlen(two), &consumed), REPLY_COMPLETE);
    cr_assert_eq(consumed, 9);
}

static struct enhanced_code enhanced_of(const char *text) {
    size_t consumed;
    for (size_t step = strlen(text); step >= 1; step--)
        feed(text, strlen(text), step, &consumed);
    return parser.enhanced;
}

Test(reply, enhanced_codes_are_read_where_there_are_some) {
    struct enhanced_code code = enhanced_of("550 5.7.1 no\r\n");
    cr_assert(code.class == 5 && code.subject == 7 && code.detail == 1);
    code = enhanced_of("250 2.1.10\r\n");
    cr_assert(code.class == 2 && code.subject == 1 && code.detail == 10);
    cr_assert_eq(enhanced_of("220 mx.example.net\r\n").class, 0);
    cr_assert_eq(enhanced_of("220 5.example.net\r\n").class, 0);
    cr_assert_eq(enhanced_of("550 5.7\r\n").class, 0);
    cr_assert_eq(enhanced_of("550 5.7.1000 x\r\n").class, 0);
    cr_assert_eq(enhanced_of("550 5..1 x\r\n").class, 0);
    cr_assert_eq(enhanced_of("550 3.1.1 x\r\n").class, 0);
    cr_assert_eq(enhanced_of("550 5.7.1x\r\n").class, 0);
    cr_assert_eq(enhanced_of("550\r\n").class, 0);
}

static bool is_verdict(const char *text) {
    size_t consumed;
    feed(text, strlen(text), 1, &consumed);
    return reply_is_verdict_on_client(&parser);
}

Test(reply, a_refusal_of_this_client_is_told_from_one_of_all) {
    cr_assert(is_verdict("554 5.7.1 listed by zen\r\n"));
    cr_assert(is_verdict("421 4.7.0 too many connections\r\n"));
    cr_assert(is_verdict("521 no mail here\r\n"));
    cr_assert_not(is_verdict("554 no SMTP service\r\n"));
    cr_assert_not(is_verdict("421 4.3.2 shutting down\r\n"));
    cr_assert_not(is_verdict("450 5.7.1 classes differ\r\n"));
    cr_assert_not(is_verdict("220 2.7.0 hello\r\n"));
}

Test(reply, an_excerpt_is_safe_in_a_log_line) {
    char text[20];
    static const char reply[] = "250-one\r\n250 t\x01\"wo\xff and more than fits\r\n";
    reply_excerpt((const uint8_t *)reply, strlen(reply), text, sizeof text);
    cr_assert_str_eq(text, "250 t??wo? and more");
    reply_excerpt((const uint8_t *)"\r\n", 2, text, sizeof text);
    cr_assert_str_eq(text, "");
}

static bool offers(const char *reply, const char *keyword) {
    return reply_offers((const uint8_t *)reply, strlen(reply), keyword);
}

Test(reply, keywords_are_found_whole_and_not_in_the_hosts_name) {
    static const char ehlo[] =
        "250-PIPELINING.example.net\r\n250-SIZE 15728640\r\n250-starttls\r\n250-AUTH=LOGIN\r\n250 8BITMIME\r\n";
    cr_assert(offers(ehlo, "SIZE") && offers(ehlo, "STARTTLS") && offers(ehlo, "8bitmime") && offers(ehlo, "AUTH"));
    cr_assert_not(offers(ehlo, "PIPELINING"));
    cr_assert_not(offers(ehlo, "SIZ"));
    cr_assert_not(offers(ehlo, "8BITMIMEX"));
    cr_assert_not(offers("250 only\r\n", "only"));
}
