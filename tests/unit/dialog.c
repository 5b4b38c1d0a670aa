/* The observer over a corpus of dialogs: what it sees, and that no split of the octets changes it. */
#include "lb/smtp/dialog.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dialog dialog;
static char trace[4000];

static void note(const struct dialog_event *event) {
    static const char *const kinds[] = {"",          "C",    "END",     "R",      "R",      "TLS",
                                        "UNTRUSTED", "JUNK", "UNASKED", "BEHIND", "BLOCKED"};
    size_t length = strlen(trace);
    if (event->kind == DIALOG_NONE)
        return;
    if (event->kind == DIALOG_REPLY || event->kind == DIALOG_421 || event->kind == DIALOG_TLS)
        snprintf(trace + length, sizeof trace - length, "%s%u%s ", kinds[event->kind], event->code,
                 event->is_unsolicited ? "!" : "");
    else
        snprintf(trace + length, sizeof trace - length, "%s%s ", kinds[event->kind],
                 event->kind == DIALOG_COMMAND && event->verb == VERB_OTHER ? "?" : "");
}

/* Feeds `text` in pieces of `step` octets; stops where nothing more is taken. */
static void feed(char direction, const char *text, size_t length, size_t step) {
    size_t at = 0;
    while (at < length) {
        size_t piece_end = (at / step + 1) * step < length ? (at / step + 1) * step : length;
        struct dialog_event event;
        size_t taken = direction == 'C'
                           ? dialog_feed_client(&dialog, (const uint8_t *)text + at, piece_end - at, &event)
                           : dialog_feed_server(&dialog, (const uint8_t *)text + at, piece_end - at, &event);
        note(&event);
        at += taken;
        if (event.kind == DIALOG_JUNK || event.kind == DIALOG_UNASKED || (taken == 0 && event.kind != DIALOG_UNTRUSTED))
            return;
    }
}

/* A script is a list of turns, "C…" or "S…", ended by NULL. */
static void run(const char *const *script, size_t step) {
    dialog_init(&dialog);
    trace[0] = '\0';
    for (; *script != NULL; script++)
        feed((*script)[0], *script + 1, strlen(*script + 1), step);
}

static void assert_trace(const char *const *script, const char *wanted, enum dialog_phase phase) {
    static const size_t steps[] = {100000, 1, 2, 3, 5, 7, 11, 13, 64};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        run(script, steps[i]);
        cr_assert_str_eq(trace, wanted, "steps of %zu:\n%s\nwanted:\n%s", steps[i], trace, wanted);
        cr_assert_eq(dialog_phase(&dialog), phase, "phase %s", dialog_phase_name(dialog_phase(&dialog)));
    }
}

#define TEXT_OF_200                                                                                                    \
    "Lorem ipsum dolor sit amet, consectetur. Adipiscing elit. Sed do eiusmod tempor incididunt ut labore et dolore."  \
    " Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea com"
#define SCRIPT(...) ((const char *const[]){__VA_ARGS__, NULL})
#define GREETED     "S220-mx\r\n220 hello\r\n", "CEHLO c\r\n", "S250-mx\r\n250 PIPELINING\r\n"
#define RECIPIENT   "CMAIL FROM:<>\r\n", "S250 ok\r\n", "CRCPT TO:<a@b>\r\n", "S250 ok\r\n"

Test(dialog, a_mail_is_followed_from_greeting_to_quit) {
    assert_trace(
        SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "CSubject: x\r\n\r\n..dot\r\n.\r\n", "S250 queued\r\n"),
        "R220 C R250 C R250 C R250 C R354 END R250 ", PHASE_EHLO);
    cr_assert_eq(dialog_mails_accepted(&dialog), 1);
    cr_assert(dialog_is_between_transactions(&dialog) && !dialog.has_passed_content);
    assert_trace(SCRIPT(GREETED, "CQUIT\r\n", "S221 bye\r\n"), "R220 C R250 C R221 ", PHASE_QUIT);
    cr_assert(dialog_has_quit(&dialog));
}

Test(dialog, pipelined_commands_are_matched_with_their_replies_in_order) {
    assert_trace(SCRIPT(GREETED, "CMAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n",
                        "S250 1\r\n550 5.1.1 2\r\n250 3\r\n354 4\r\n", "C.\r\n", "S250 ok\r\n"),
                 "R220 C R250 C C C C R250 R550 R250 R354 END R250 ", PHASE_EHLO);
    assert_trace(SCRIPT(GREETED, "CMAIL FROM:<a>\r\nRCPT TO:<b>\r\n"), "R220 C R250 C C ", PHASE_EHLO);
    cr_assert(dialog_owes_reply(&dialog) && !dialog_is_between_transactions(&dialog));
}

Test(dialog, data_that_is_refused_has_no_content) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S554 no\r\n", "CQUIT\r\n", "S221 x\r\n"),
                 "R220 C R250 C R250 C R250 C R554 C R221 ", PHASE_QUIT);
    cr_assert_eq(dialog_mails_accepted(&dialog), 0);
}

Test(dialog, bdat_is_counted_even_when_refused_and_its_octets_are_no_commands) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CBDAT 7\r\nQUIT\r\nxBDAT 0 LAST\r\n", "S250 got\r\n250 queued\r\n"),
                 "R220 C R250 C R250 C R250 C END C R250 R250 ", PHASE_EHLO);
    cr_assert_eq(dialog_mails_accepted(&dialog), 1);
    assert_trace(SCRIPT(GREETED, "CBDAT 3\r\n", "S503 no mail\r\n", "Cabc", "CNOOP\r\n", "S250 ok\r\n"),
                 "R220 C R250 C R503 END C R250 ", PHASE_DOT);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CBDAT 4 LAST\r\na\nb\r", "S250 queued\r\n"),
                 "R220 C R250 C R250 C R250 C END R250 ", PHASE_EHLO);
    assert_trace(SCRIPT(GREETED, "CBDAT many\r\n"), "R220 C R250 UNTRUSTED ", PHASE_UNTRUSTED);
}

Test(dialog, a_bare_cr_or_lf_ends_all_trust) {
    assert_trace(SCRIPT(GREETED, "CNOOP\nQUIT\r\n"), "R220 C R250 UNTRUSTED ", PHASE_UNTRUSTED);
    assert_trace(SCRIPT(GREETED, "CNOOP\rx\r\n"), "R220 C R250 UNTRUSTED ", PHASE_UNTRUSTED);
    static const char *const contents[] = {"Cx\n.\r\n", "Cx\r\n.\nMAIL", "Cx\r.\r\n", "C.\rx",         "C\n",
                                           "Cx\r\r\n",  "C.\r\r\n",      "C..\n",     "Ca\r\nb\nc\r\n"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++)
        assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", contents[i]),
                     "R220 C R250 C R250 C R250 C R354 UNTRUSTED ", PHASE_UNTRUSTED);
    cr_assert_not(dialog_is_clear(&dialog));
}

/* Postfix takes these for DATA and BDAT; what follows is content to it. */
Test(dialog, a_command_that_a_server_may_read_otherwise_ends_all_trust) {
    assert_trace(SCRIPT(GREETED, "C DATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n"), "R220 C R250 UNTRUSTED ",
                 PHASE_UNTRUSTED);
    assert_trace(SCRIPT(GREETED, "CDATA\v\r\n"), "R220 C R250 UNTRUSTED ", PHASE_UNTRUSTED);
    assert_trace(SCRIPT(GREETED, "C\tBDAT 5 LAST\r\nQUIT\r"), "R220 C R250 UNTRUSTED ", PHASE_UNTRUSTED);
    assert_trace(SCRIPT(GREETED, "CBDAT 5                           LAST\r\n"), "R220 C R250 UNTRUSTED ",
                 PHASE_UNTRUSTED);
}

Test(dialog, dots_in_content_end_it_only_alone_on_a_line) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Ca.\r\n..\r\n.x\r\n. \r\n\r\n.\r\nNOOP\r\n",
                        "S250 queued\r\n250 ok\r\n"),
                 "R220 C R250 C R250 C R250 C R354 END C R250 R250 ", PHASE_EHLO);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "C.\r\n", "S250 queued\r\n"),
                 "R220 C R250 C R250 C R250 C R354 END R250 ", PHASE_EHLO);
}

Test(dialog, octets_behind_data_before_its_reply_are_not_guessed_at) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\nSubject"), "R220 C R250 C R250 C R250 C UNTRUSTED ",
                 PHASE_UNTRUSTED);
}

Test(dialog, starttls_makes_it_blind_and_lets_nothing_through_behind_it) {
    assert_trace(SCRIPT(GREETED, "CSTARTTLS\r\n", "S220 go\r\n", "C\x16\x03\x01\n\n", "S\x16\x03"),
                 "R220 C R250 C TLS220 ", PHASE_TLS);
    cr_assert_not(dialog_is_clear(&dialog));
    assert_trace(SCRIPT(GREETED, "CSTARTTLS\r\n", "S454 no\r\n", "CNOOP\r\n", "S250 ok\r\n"),
                 "R220 C R250 C R454 C R250 ", PHASE_EHLO);
    run(SCRIPT(GREETED, "CSTARTTLS\r\nRSET\r\n"), 1000);
    cr_assert_str_eq(trace, "R220 C R250 C BEHIND ");
}

Test(dialog, the_lines_of_auth_are_no_commands) {
    assert_trace(SCRIPT(GREETED, "CAUTH LOGIN\r\n", "S334 VXNlcm5hbWU6\r\n", "CREFUQQ==\r\n", "S334 x\r\n", "Cx\r\n",
                        "S235 ok\r\n", "CNOOP\r\n", "S250 ok\r\n"),
                 "R220 C R250 C R334 C R334 C R235 C R250 ", PHASE_EHLO);
    cr_assert(dialog.is_authenticated);
}

Test(dialog, a_421_at_any_time_is_seen_as_unsolicited) {
    assert_trace(SCRIPT(GREETED, "S421 4.3.2 shutting down\r\n"), "R220 C R250 R421! ", PHASE_EHLO);
}

Test(dialog, a_421_answers_a_command_only_when_it_goes_on_to_the_client) {
    assert_trace(SCRIPT(GREETED, "CMAIL FROM:<a>\r\n", "S421 4.3.2 no\r\n"), "R220 C R250 C R421 ", PHASE_EHLO);
    cr_assert(dialog_owes_reply(&dialog) && dialog_is_repeatable(&dialog));
    cr_assert_not(dialog.has_heard_421);
    dialog_accept_421(&dialog);
    cr_assert_not(dialog_owes_reply(&dialog));
    cr_assert(dialog.has_heard_421);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S421 4.3.2 no\r\n"), "R220 C R250 C R250 C R250 C R421 ",
                 PHASE_DATA);
    dialog_accept_421(&dialog);
    cr_assert(dialog_takes_commands(&dialog));
}

/* In content it would stand in the place of the reply to the mail, and the client would believe that it is accepted. */
Test(dialog, an_agreement_that_nobody_asked_for_is_no_reply) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n", "S250 ok\r\n", "C.\r\n"),
                 "R220 C R250 C R250 C R250 C R354 UNASKED END ", PHASE_DOT);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n", "S221 bye\r\n"),
                 "R220 C R250 C R250 C R250 C R354 UNASKED ", PHASE_CONTENT);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CBDAT 4 LAST\r\nxx", "S250 ok\r\n", "Cxx"),
                 "R220 C R250 C R250 C R250 C UNASKED END ", PHASE_DOT);
    cr_assert_eq(dialog_mails_accepted(&dialog), 0);
    assert_trace(SCRIPT(GREETED, "S354 go\r\n"), "R220 C R250 UNASKED ", PHASE_EHLO);
}

Test(dialog, a_refusal_or_a_farewell_may_come_unasked) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n", "S552 too large\r\n"),
                 "R220 C R250 C R250 C R250 C R354 R552! ", PHASE_CONTENT);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CBDAT 4 LAST\r\nxx", "S552 too large\r\n"),
                 "R220 C R250 C R250 C R250 C R552 ", PHASE_EHLO);
    assert_trace(SCRIPT(GREETED, "S221 timeout\r\n"), "R220 C R250 R221! ", PHASE_EHLO);
}

/* RFC 2033 §4.2: a reply for each recipient. */
Test(dialog, a_client_of_lmtp_hears_of_each_recipient) {
    assert_trace(SCRIPT("S220 hello\r\n", "CLHLO c\r\n", "S250 mx\r\n", RECIPIENT, "CRCPT TO:<b@b>\r\n", "S250 ok\r\n",
                        "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "S250 a\r\n", "S250 b\r\n"),
                 "R220 C? R250 C R250 C R250 C R250 C R354 END R250 R250! ", PHASE_EHLO);
}

Test(dialog, what_was_said_can_be_repeated_until_the_first_octet_of_content) {
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n"), 100);
    cr_assert(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n"), 100);
    cr_assert(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx"), 100);
    cr_assert_not(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "S250 ok\r\n"), 100);
    cr_assert(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CBDAT 0 LAST\r\n"), 100);
    cr_assert_not(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, "CAUTH PLAIN x\r\n"), 100);
    cr_assert_not(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, "CAUTH PLAIN x\r\n", "S235 ok\r\n"), 100);
    cr_assert_not(dialog_is_repeatable(&dialog));
    run(SCRIPT(GREETED, "CAUTH PLAIN x\r\n", "S535 no\r\n"), 100);
    cr_assert(dialog_is_repeatable(&dialog));
}

/* Content is looked at in blocks: what ends it is found wherever in a block it stands, as octet by octet. */
Test(dialog, the_end_of_content_is_found_at_every_place) {
    static const char *const ends[] = {"\r\n.\r\n", "\r\n.\n", "\n", "\r", "\r\n..\r\n", "\r\n.x\r\n", "\r\n\r\n"};
    static const char *const wanted[] = {"END ", "UNTRUSTED ", "UNTRUSTED ", "UNTRUSTED ", "", "", ""};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        for (int at = 0; at < 200; at++)
            for (size_t step = 1; step < 1000; step = step * 3 + 1) {
                char content[600], expected[100];
                snprintf(content, sizeof content, "C%.*s%s%.*s", at, TEXT_OF_200, ends[i], 200 - at, TEXT_OF_200);
                snprintf(expected, sizeof expected, "R220 C R250 C R250 C R250 C R354 %s", wanted[i]);
                run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", content), step);
                char *behind = strstr(trace, "END ");
                if (behind != NULL) /* what follows are commands */
                    behind[strlen("END ")] = '\0';
                cr_assert_str_eq(trace, expected, "'%s' at %d in steps of %zu: %s", ends[i], at, step, trace);
            }
}

/* The first mail's reply must not hide that the second one's content is under way. */
Test(dialog, content_of_a_pipelined_second_mail_is_not_forgotten) {
    run(SCRIPT(GREETED,
               "CMAIL FROM:<a>\r\nRCPT TO:<b>\r\nBDAT 1 LAST\r\nxMAIL FROM:<a>\r\nRCPT TO:<b>\r\nBDAT 1 LAST\r\ny",
               "S250 1\r\n250 2\r\n250 3\r\n"),
        1000);
    cr_assert_eq(dialog_mails_accepted(&dialog), 1);
    cr_assert_not(dialog_is_repeatable(&dialog));
    feed('S', "250 1\r\n250 2\r\n250 3\r\n", 21, 100);
    cr_assert(dialog_is_repeatable(&dialog) && dialog_mails_accepted(&dialog) == 2);
}

Test(dialog, ehlo_repeated_ends_the_transaction_and_a_refused_one_does_not) {
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CEHLO again\r\n", "S250-mx\r\n250 PIPELINING\r\n"),
                 "R220 C R250 C R250 C R250 C R250 ", PHASE_EHLO);
    cr_assert(dialog_is_between_transactions(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CEHLO bad_name\r\n", "S501 5.5.4 syntax\r\n"), 100);
    cr_assert_not(dialog_is_between_transactions(&dialog));
}

Test(dialog, half_a_reply_can_be_forgotten) {
    run(SCRIPT(GREETED, "CNOOP\r\n", "S250-be"), 100);
    dialog_forget_partial_reply(&dialog);
    trace[0] = '\0';
    feed('S', "250 ok\r\n", 8, 100);
    cr_assert_str_eq(trace, "R250 ");
}

Test(dialog, what_is_no_reply_is_told_and_a_reply_of_our_own_can_take_its_place) {
    assert_trace(SCRIPT("Shello\r\n"), "JUNK ", PHASE_GREETING);
    assert_trace(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Chalf", "S250-yes\r\n550 no\r\n250 x\r\n"),
                 "R220 C R250 C R250 C R250 C R354 JUNK ", PHASE_CONTENT);
    cr_assert(dialog_is_clear(&dialog) && dialog_is_in_content(&dialog));
}

/* Servers echo the recipient, and HELP may be of any length. */
Test(dialog, long_replies_are_replies) {
    static char reply[5 * UINT16_MAX];
    size_t length = 0;
    for (unsigned line = 0; line < 4; line++) {
        length += (size_t)snprintf(reply + length, 5, "250%c", line == 3 ? ' ' : '-');
        memset(reply + length, 'x', UINT16_MAX + 5);
        length += UINT16_MAX + 5;
        memcpy(reply + length, "\r\n", 2);
        length += 2;
    }
    for (size_t step = 1; step < 100000; step += 9999) {
        run(SCRIPT(GREETED, "CHELP\r\n", "C"), 100);
        trace[0] = '\0';
        feed('S', reply, length, step);
        cr_assert_str_eq(trace, "R250 ");
    }
}

Test(dialog, a_server_is_not_waited_for_while_a_chunk_waits_for_the_client) {
    run(SCRIPT(GREETED, "CBDAT 4 LAST\r\nab"), 100);
    cr_assert(dialog_owes_reply(&dialog) && !dialog_awaits_server(&dialog));
    feed('C', "cd", 2, 100);
    cr_assert(dialog_awaits_server(&dialog));
    run(SCRIPT(GREETED, "CRCPT TO:<a>\r\nBDAT 4 LAST\r\nab"), 100);
    cr_assert(dialog_awaits_server(&dialog), "the recipient is owed its reply");
}

/* Other servers take what comes behind these, and clients know it. */
Test(dialog, only_what_no_client_may_say_is_held_against_it) {
    static const struct {
        const char *command;
        bool is_evidence;
    } rows[] = {{"CDATA\r\n", true}, {"CSTARTTLS\r\n", true}, {"CAUTH PLAIN x\r\n", false}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(SCRIPT(GREETED, rows[i].command, "CNOOP\r\n"), 100);
        cr_assert_eq(dialog.has_pipelined, rows[i].is_evidence, "%s", rows[i].command);
    }
}

Test(dialog, a_421_that_comes_before_the_end_of_content_was_not_asked_for) {
    assert_trace(SCRIPT(GREETED, "CBDAT 4 LAST\r\nab", "S421 4.4.2 x\r\n"), "R220 C R250 C R421! ", PHASE_CONTENT);
    assert_trace(SCRIPT(GREETED, "CBDAT 4\r\nab", "S421 4.4.2 x\r\n"), "R220 C R250 C R421! ", PHASE_CONTENT);
    assert_trace(SCRIPT(GREETED, "CDATA\r\n", "S354 x\r\n", "Cab", "S421 4.4.2 x\r\n"), "R220 C R250 C R354 R421! ",
                 PHASE_CONTENT);
    assert_trace(SCRIPT(GREETED, "CBDAT 4 LAST\r\nabcd", "S421 4.4.2 x\r\n"), "R220 C R250 C END R421 ", PHASE_DOT);
    assert_trace(SCRIPT(GREETED, "CRCPT TO:<a>\r\nBDAT 4\r\nab", "S421 x\r\n"), "R220 C R250 C C R421 ", PHASE_CONTENT);
}

Test(dialog, a_thousand_pipelined_recipients_are_one_run_but_alternating_commands_are_bounded) {
    dialog_init(&dialog);
    trace[0] = '\0';
    feed('S', "220 x\r\n", 7, 100);
    for (unsigned i = 0; i < 1000; i++)
        feed('C', "RCPT TO:<a>\r\n", 13, 100);
    cr_assert_eq(dialog.runs_count, 1);
    unsigned passed = 0;
    for (; strstr(trace, "BLOCKED") == NULL && passed < 100; passed++) {
        trace[0] = '\0';
        feed('C', passed % 2 ? "RSET\r\n" : "NOOP\r\n", 6, 100);
    }
    cr_assert_eq(passed, DIALOG_RUNS_MAX, "the octets wait for a reply");
    for (unsigned i = 0; i < 1000; i++)
        feed('S', "250 x\r\n", 7, 100);
    trace[0] = '\0';
    feed('C', "NOOP\r\n", 6, 100);
    cr_assert_str_eq(trace, "C ");
}

Test(dialog, between_transactions_means_a_421_costs_no_mail) {
    run(SCRIPT(GREETED), 100);
    cr_assert(dialog_is_between_transactions(&dialog));
    run(SCRIPT(GREETED, "CNO"), 100);
    cr_assert_not(dialog_is_between_transactions(&dialog), "half a command");
    run(SCRIPT(GREETED, RECIPIENT), 100);
    cr_assert_not(dialog_is_between_transactions(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CRSET\r\n", "S250 ok\r\n"), 100);
    cr_assert(dialog_is_between_transactions(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Chalf"), 100);
    cr_assert(dialog_is_in_content(&dialog) && dialog.has_passed_content);
}

Test(dialog, what_a_server_took_that_is_not_known_here_can_not_be_told_again) {
    static const char *const taken[][3] = {{"CXCLIENT ADDR=192.0.2.1\r\n", "S220 mx\r\n", NULL},
                                           {"CXFORWARD ADDR=192.0.2.1\r\n", "S250 ok\r\n", NULL},
                                           {"CX-EXPS GSSAPI\r\n", "S334 x\r\n", NULL},
                                           {"CETRN example.org\r\n", "S250 ok\r\n", NULL}};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        run(SCRIPT(GREETED, taken[i][0]), 7);
        cr_assert(dialog_is_repeatable(&dialog), "%s: not answered yet", taken[i][0]);
        run(SCRIPT(GREETED, taken[i][0], taken[i][1]), 7);
        cr_assert_not(dialog_is_repeatable(&dialog), "%s", taken[i][0]);
        run(SCRIPT(GREETED, taken[i][0], "S550 no\r\n", RECIPIENT), 7);
        cr_assert(dialog_is_repeatable(&dialog), "%s refused", taken[i][0]);
    }
    run(SCRIPT(GREETED, "CXCLIENT ADDR=192.0.2.1\r\n", "S220 mx\r\n", "CEHLO c\r\n", "S250 mx\r\n", "CRSET\r\n",
               "S250 ok\r\n", RECIPIENT),
        7);
    cr_assert_not(dialog_is_repeatable(&dialog), "EHLO and RSET take nothing of it back");
    run(SCRIPT(GREETED, "CNOOP\r\n", "S250 ok\r\n", "CHELP\r\n", "S214 x\r\n", "CVRFY a\r\n", "S252 x\r\n",
               "CEXPN a\r\n", "S250 x\r\n"),
        7);
    cr_assert(dialog_is_repeatable(&dialog), "those leave nothing behind");
}

Test(dialog, lines_that_334_asks_for_are_no_commands_whatever_began_it) {
    assert_trace(SCRIPT(GREETED, "CX-EXPS GSSAPI\r\n", "S334 x\r\n", "CDATA\r\n", "S334 y\r\n", "CQUIT\r\n",
                        "S235 ok\r\n", "CNOOP\r\n", "S250 ok\r\n"),
                 "R220 C R250 C? R334 C R334 C R235 C R250 ", PHASE_EHLO);
    cr_assert(!dialog_has_quit(&dialog) && dialog.is_authenticated && !dialog.is_not_smtp);
    cr_assert_not(dialog_is_repeatable(&dialog));
}

Test(dialog, a_mail_may_have_been_taken_from_its_last_octet_to_its_final_reply) {
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r"), 7);
    cr_assert_not(dialog_awaits_final_reply(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n"), 7);
    cr_assert(dialog_awaits_final_reply(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "CMAIL FROM:<b@c>\r\n"), 7);
    cr_assert(dialog_awaits_final_reply(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "S250 ok\r\n"), 7);
    cr_assert_not(dialog_awaits_final_reply(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CBDAT 4\r\n", "Cabcd"), 7);
    cr_assert_not(dialog_awaits_final_reply(&dialog), "more chunks are to come");
    run(SCRIPT(GREETED, RECIPIENT, "CBDAT 4 LAST\r\n", "Cabc"), 7);
    cr_assert_not(dialog_awaits_final_reply(&dialog), "an octet is missing");
    run(SCRIPT(GREETED, RECIPIENT, "CBDAT 4 LAST\r\n", "Cabcd"), 7);
    cr_assert(dialog_awaits_final_reply(&dialog));
    run(SCRIPT(GREETED, RECIPIENT, "CBDAT 4 LAST\r\n", "Cabcd", "CMAIL FROM:<b@c>\r\nRCPT TO:<d@e>\r\nBDAT 9 LAST\r\n",
               "Cabc"),
        7);
    cr_assert(dialog_awaits_final_reply(&dialog), "of the first, whatever becomes of the second");
}

/* Three recipients of which one is refused, and a mail of which the content is complete. */
#define TWO_OF_THREE                                                                                                   \
    "CMAIL FROM:<a@b> PRDR\r\nRCPT TO:<1@e>\r\nRCPT TO:<2@e>\r\nRCPT TO:<3@e>\r\n",                                    \
        "S250 1\r\n250 2\r\n550 3\r\n250 4\r\n"

static void run_prdr(const char *const *script, size_t step) {
    run(SCRIPT(GREETED), step);
    dialog_note_prdr(&dialog, true);
    for (; *script != NULL; script++)
        feed((*script)[0], *script + 1, strlen(*script + 1), step);
}

Test(dialog, a_353_under_prdr_is_followed_by_a_reply_for_each_recipient_and_the_final_one) {
    for (size_t step = 1; step < 40; step++) {
        run_prdr(SCRIPT(TWO_OF_THREE, "CBDAT 4 LAST\r\nabcdQUIT\r\n", "S353 go\r\n250 1\r\n"), step);
        cr_assert(dialog_is_clear(&dialog) && dialog_awaits_final_reply(&dialog));
        cr_assert_not(dialog_only_quit_is_open(&dialog));
        feed('S', "550 3\r\n", 7, step);
        cr_assert(dialog_awaits_final_reply(&dialog) && dialog_mails_accepted(&dialog) == 0);
        feed('S', "250 ok\r\n", 8, step);
        cr_assert(!dialog_awaits_final_reply(&dialog) && dialog_mails_accepted(&dialog) == 1);
        cr_assert(dialog_only_quit_is_open(&dialog));
    }
}

Test(dialog, a_mail_under_prdr_may_be_answered_as_any_other_and_the_next_one_is_counted_anew) {
    run_prdr(SCRIPT(TWO_OF_THREE, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "S250 ok\r\n", RECIPIENT, "CDATA\r\n",
                    "S354 go\r\n", "Cx\r\n.\r\n", "S353 go\r\n250 1\r\n"),
             5);
    cr_assert(dialog_awaits_final_reply(&dialog) && dialog_mails_accepted(&dialog) == 1);
    feed('S', "550 none\r\n", 10, 5);
    cr_assert(dialog_is_between_transactions(&dialog) && dialog_mails_accepted(&dialog) == 1);
}

Test(dialog, a_421_among_the_replies_of_prdr_ends_them_all) {
    run_prdr(SCRIPT(TWO_OF_THREE, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "S353 go\r\n421 no\r\n"), 5);
    dialog_accept_421(&dialog);
    cr_assert_not(dialog_owes_reply(&dialog));
    cr_assert(dialog_is_between_transactions(&dialog));
}

Test(dialog, a_353_that_was_not_offered_may_hide_that_a_mail_was_taken) {
    run(SCRIPT(GREETED, TWO_OF_THREE, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\nQUIT\r\n", "S353 go\r\n"), 5);
    cr_assert(!dialog_is_clear(&dialog) && dialog_may_hide_acceptance(&dialog));
    cr_assert_not(dialog_only_quit_is_open(&dialog), "what can't be read isn't known to be all");
    run(SCRIPT(GREETED, RECIPIENT, "CDATA\r\n", "S250 go\r\n"), 5);
    cr_assert_not(dialog_may_hide_acceptance(&dialog));
}
