/* What a new backend would be told, after each kind of dialog; however the octets were split. */
#include "lb/relay/replay_log.h"
#include "lb/smtp/dialog.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct pool pool;
static struct replay_log replay;
static size_t step;

static void begin(void) {
    cr_assert_eq(pool_init(&pool, sizeof(struct replay_chunk), 100), 0);
    replay_log_init(&replay, &pool);
    step = 1000;
}

static void end(void) {
    replay_log_finish(&replay);
    cr_assert_eq(pool.in_use, 0, "chunks left behind");
    pool_finish(&pool);
}

TestSuite(replay_log, .init = begin, .fini = end);

static void say(const char *line) {
    for (size_t at = 0; at < strlen(line); at += step) {
        size_t left = strlen(line) - at;
        replay_log_append(&replay, (const uint8_t *)line + at, left < step ? left : step);
    }
}

static void reply(unsigned verb, unsigned code) {
    replay_log_on_reply(&replay, verb, code, false);
}

/* "EHLO a|MAIL=250|RCPT=0|…": the hello, then each record's first word with its code. */
static const char *told(void) {
    static char text[600];
    uint8_t line[REPLAY_LINE_MAX];
    unsigned code;
    size_t length = replay_log_hello(&replay, line);
    snprintf(text, sizeof text, "%.*s", (int)length, (const char *)line);
    text[strcspn(text, "\r")] = '\0';
    struct replay_position position = replay_log_first(&replay);
    while ((length = replay_log_next(&replay, &position, line, &code)) > 0) {
        int word = (int)strcspn((const char *)line, " \r");
        snprintf(text + strlen(text), sizeof text - strlen(text), "|%.*s=%u", word < (int)length ? word : (int)length,
                 (const char *)line, code);
    }
    return text;
}

static void greet(void) {
    reply(AWAITED_GREETING, 220);
    say("EHLO client.example.test\r\n");
    reply(VERB_EHLO, 250);
}

static void run_transaction(void) {
    greet();
    say("MAIL FROM:<a@b.test>\r\n");
    reply(VERB_MAIL, 250);
    say("RCPT TO:<x@y.test>\r\n");
    reply(VERB_RCPT, 550);
    say("RCPT TO:<z@y.test>\r\nNOOP\r\n");
    reply(VERB_RCPT, 250);
    reply(VERB_NOOP, 250);
    say("DATA\r\n");
}

Test(replay_log, holds_the_hello_and_what_was_accepted_or_is_open) {
    static const size_t steps[] = {1, 2, 7, 119, 120, 121, 1000};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        step = steps[i];
        run_transaction();
        cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250|RCPT=250|DATA=0", "step %zu: %s", step, told());
        reply(VERB_DATA, 354);
        cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250|RCPT=250|DATA=354");
        reply(AWAITED_DOT, 250);
        cr_assert_str_eq(told(), "EHLO client.example.test");
        replay_log_finish(&replay);
        cr_assert_eq(pool.in_use, 0);
    }
}

Test(replay_log, refused_commands_between_open_ones_are_not_told_again) {
    greet();
    say("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n");
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=0|RCPT=0|RCPT=0|DATA=0");
    reply(VERB_MAIL, 250);
    reply(VERB_RCPT, 450);
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250|RCPT=1|RCPT=0|DATA=0");
    reply(VERB_RCPT, 250);
    reply(VERB_DATA, 554);
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250|RCPT=1|RCPT=250");
}

Test(replay_log, rset_and_a_new_ehlo_clear_it) {
    run_transaction();
    reply(VERB_DATA, 503);
    say("RSET\r\nMAIL FROM:<n>\r\n");
    reply(VERB_RSET, 250);
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=0");
    reply(VERB_MAIL, 250);
    say("HELO other\r\n");
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250|HELO=0");
    reply(VERB_HELO, 250);
    cr_assert_str_eq(told(), "HELO other");
    say("EHLO bad\r\n");
    reply(VERB_EHLO, 501);
    cr_assert_str_eq(told(), "HELO other");
}

Test(replay_log, a_command_that_has_only_begun_is_told_as_far_as_it_goes) {
    greet();
    say("MAIL FR");
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=0");
    uint8_t line[REPLAY_LINE_MAX];
    unsigned code;
    struct replay_position position = replay_log_first(&replay);
    cr_assert_eq(replay_log_next(&replay, &position, line, &code), 7);
    say("OM:<a>\r\n");
    reply(VERB_MAIL, 250);
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250");
}

Test(replay_log, hundreds_of_refused_recipients_take_no_room) {
    greet();
    say("MAIL FROM:<a>\r\n");
    reply(VERB_MAIL, 250);
    for (unsigned i = 0; i < 1000; i++) {
        say("RCPT TO:<nobody@example.test>\r\n");
        reply(VERB_RCPT, 550);
    }
    cr_assert(replay_log_is_complete(&replay, true));
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=250");
    cr_assert_leq(pool.in_use, 3);
}

Test(replay_log, what_is_too_much_gives_the_memory_back_until_the_transaction_has_ended) {
    greet();
    for (unsigned i = 0; i < 500; i++)
        say("RCPT TO:<somebody.with.a.name@example.test>\r\n");
    cr_assert_not(replay_log_is_complete(&replay, true));
    cr_assert_leq(pool.in_use, 1);
    reply(VERB_RCPT, 250);
    replay_log_on_reply(&replay, VERB_RSET, 250, true);
    cr_assert(replay_log_is_complete(&replay, true));
    say("MAIL FROM:<a>\r\n");
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=0");
}

Test(replay_log, a_hello_that_was_missed_makes_it_incomplete_until_the_next) {
    greet();
    char line[REPLAY_LINE_MAX + 100];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    say(line);
    cr_assert_not(replay_log_is_complete(&replay, true), "a line without end");
    replay_log_on_reply(&replay, VERB_EHLO, 250, true);
    cr_assert_not(replay_log_is_complete(&replay, true), "this EHLO was not kept");
    say("EHLO again\r\n");
    replay_log_on_reply(&replay, VERB_EHLO, 250, true);
    cr_assert(replay_log_is_complete(&replay, true));
    cr_assert_str_eq(told(), "EHLO again");
}

Test(replay_log, with_no_chunk_left_it_is_incomplete_and_nothing_is_lost) {
    void *taken[100];
    unsigned count = 0;
    greet();
    while ((taken[count] = pool_get(&pool)) != NULL)
        count++;
    say("MAIL FROM:<a>\r\n");
    cr_assert_not(replay_log_is_complete(&replay, true));
    while (count > 0)
        pool_put(&pool, taken[--count]);
    replay_log_on_reply(&replay, VERB_RSET, 250, true);
    cr_assert(replay_log_is_complete(&replay, true));
}

Test(replay_log, bdat_ends_the_transaction_with_its_last_chunk) {
    greet();
    say("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nBDAT 3\r\nBDAT 2 LAST\r\nMAIL FROM:<next>\r\n");
    reply(VERB_MAIL, 250);
    reply(VERB_RCPT, 250);
    reply(VERB_BDAT, 250);
    reply(AWAITED_BDAT_LAST, 250);
    cr_assert_str_eq(told(), "EHLO client.example.test|MAIL=0");
}
