/* Every octet once, and in order: whatever the two sides do to the segments, the turns of the loop and the ends of
 * their connections. */
#include "two_hosts.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void add(char *text, size_t size, const char *more) {
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", more);
}

/* --- early talk --- */

static const char early[] = HELLO ENVELOPE;

Test(octets, early_talk_arrives_once_wherever_it_is_cut_by_the_greeting) {
    struct two_hosts site;
    two_hosts_begin(&site, "[timeouts]\nhedge-after = 0\n");
    for (size_t cut = 1; cut < sizeof early - 1; cut++) {
        struct talk talk;
        scripted_begin_anew(&site.first);
        two_hosts_begin_held(&site, &talk, early, cut);
        two_hosts_hold_turn(&site);
        unsigned replies = atomic_load(&site.first.replies);
        atomic_store(&site.first.is_held, false);
        WAIT_FOR(atomic_load(&site.first.replies) > replies, 5000);
        talk_say(&talk, early + cut, sizeof early - 1 - cut);
        two_hosts_end_turn(&site);
        scripted_expect_told(&site.first, early, "cut");
        talk_expect(&talk, "220 ");
        talk_expect_each(&talk, 3, "250");
        talk_end(&talk);
    }
    two_hosts_end(&site);
}

/* The first host greets and says 421 in one segment: what was said to it so far must be told to the next one. */
Test(octets, early_talk_is_not_lost_with_a_host_that_greets_and_goes) {
    struct two_hosts site;
    two_hosts_begin(&site, "[timeouts]\nhedge-after = 0\n");
    site.first.rules[0] = (struct scripted_rule){"GREETING", "220 first\r\n421 4.3.2 going down\r\n", HANGS_UP, 0};
    for (size_t cut = 1; cut < sizeof early - 1; cut += 3) {
        struct talk talk;
        scripted_begin_anew(&site.second);
        two_hosts_begin_held(&site, &talk, early, cut);
        atomic_store(&site.second.is_held, true);
        atomic_store(&site.first.is_held, false);
        talk_expect(&talk, "220 first");
        talk_say(&talk, early + cut, sizeof early - 1 - cut);
        atomic_store(&site.second.is_held, false);
        scripted_expect_told(&site.second, early, "behind 421");
        talk_expect_each(&talk, 3, "250");
        talk_end(&talk);
    }
    two_hosts_end(&site);
}

/* --- pieces --- */

/* Says each step octet by octet. */
static void say_octets(const char *const *steps, unsigned port) {
    struct talk talk;
    talk_begin(&talk, NULL, port);
    for (unsigned i = 0; steps[i] != NULL; i += 2) {
        if (strcmp(steps[i], "closed") == 0)
            break;
        talk_expect(&talk, steps[i]);
        for (const char *at = steps[i + 1]; *at != '\0'; at++)
            talk_say(&talk, at, 1);
    }
    talk_end(&talk);
}

Test(octets, site_mail_said_and_answered_octet_by_octet_arrives_as_it_was_said) {
    struct two_hosts site;
    char wanted[500] = "";
    two_hosts_begin(&site, "");
    for (unsigned i = 1; two_hosts_mail[i] != NULL; i += 2)
        add(wanted, sizeof wanted, two_hosts_mail[i]);
    for (unsigned piece = 1; piece < 9; piece++) {
        scripted_begin_anew(&site.first);
        site.first.piece = piece;
        say_octets(two_hosts_mail, site.scene.port);
        scripted_expect_told(&site.first, wanted, "octet by octet");
        scripted_begin_anew(&site.first);
        talk_script("in pieces", NULL, site.scene.port, two_hosts_mail);
        scripted_expect_told(&site.first, wanted, "step by step");
    }
    two_hosts_end(&site);
}

/* --- a lost host --- */

/* The host resets in the turn in which the first octets of a command come: the rest must be heard, and the command
 * reach the next host whole. */
Test(octets, half_a_command_goes_on_with_the_next_host) {
    static const char command[] = "NOOP half\r\n";
    struct two_hosts site;
    two_hosts_begin(&site, "");
    for (size_t cut = 0; cut < sizeof command - 1; cut++) {
        struct talk talk;
        site.first.rules[0] = (struct scripted_rule){"EHLO", "250 first\r\n", GOES_ON, 0};
        site.first.rules[1] = (struct scripted_rule){"EHLO", "", RESETS, 200};
        unsigned ended = atomic_load(&site.first.ended);
        scripted_begin_anew(&site.second);
        talk_open(&talk, NULL, site.scene.port);
        two_hosts_hold_turn(&site);
        talk_say(&talk, command, cut);
        WAIT_FOR(atomic_load(&site.first.ended) > ended, 5000);
        two_hosts_end_turn(&site);
        WAIT_FOR(info_figure(&site.scene, "sessions") == 1, 5000);
        talk_say(&talk, command + cut, sizeof command - 1 - cut);
        talk_expect(&talk, "250");
        scripted_expect_told(&site.second, HELLO "NOOP half\r\n", "the next host");
        talk_end(&talk);
    }
    two_hosts_end(&site);
}

/* More commands in one segment than may await a reply: the rest was held, and must not go with the host. */
Test(octets, commands_that_waited_for_replies_of_a_lost_host_are_told_to_the_next) {
    struct two_hosts site;
    char commands[2000] = "";
    two_hosts_begin(&site, "");
    for (unsigned i = 0; i < 60; i++)
        add(commands, sizeof commands, i % 2 == 0 ? "RSET\r\n" : "NOOP\r\n");
    for (unsigned way = 0; way < 4; way++) {
        struct talk talk;
        bool is_gone = way >= 2; /* when they come */
        unsigned ended = atomic_load(&site.first.ended);
        enum scripted_end end = way % 2 == 0 ? RESETS : HANGS_UP;
        site.first.rules[0] = (struct scripted_rule){is_gone ? "EHLO" : "RSET", "", end, is_gone ? 200 : 0};
        scripted_begin_anew(&site.second);
        talk_open(&talk, NULL, site.scene.port);
        if (is_gone)
            two_hosts_hold_turn(&site);
        talk_tell(&talk, commands);
        if (is_gone) {
            WAIT_FOR(atomic_load(&site.first.ended) > ended, 5000);
            two_hosts_end_turn(&site);
        }
        talk_expect_each(&talk, 60, "250");
        cr_assert_str_eq(site.second.told + strlen(HELLO), commands);
        talk_end(&talk);
    }
    two_hosts_end(&site);
}

Test(octets, a_client_that_has_half_closed_is_not_kept_for_a_lost_host) {
    struct two_hosts site;
    two_hosts_begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"NOOP", "250 ok\r\n", RESETS, 0};
    for (unsigned i = 0; i < 3; i++) {
        struct talk talk;
        const char *last = i == 0 ? "NOOP\r\n" : i == 1 ? "NOOP\r\nNO" : "NOOP\r\nRSET\r\n";
        talk_open(&talk, NULL, site.scene.port);
        talk_tell(&talk, last);
        shutdown(talk.fd, SHUT_WR);
        talk_expect_each(&talk, i == 2 ? 2 : 1, "250");
        talk_expect(&talk, "closed");
        talk_end(&talk);
    }
    two_hosts_end(&site);
}

/* --- much at once --- */

#define MANY 1000u

static char *many(const char *text) {
    char *all = calloc(MANY, strlen(text) + 1);
    for (unsigned i = 0; i < MANY; i++)
        memcpy(all + i * strlen(text), text, strlen(text));
    return all;
}

/* 80 kB of replies; they and the recipients come in full receives with parts of lines held. */
Test(octets, a_thousand_recipients_in_one_go_each_hear_their_reply) {
    static const char refusal[] = "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown abcd\r\n";
    static char told[SCRIPTED_TOLD_MAX];
    struct two_hosts site;
    two_hosts_begin(&site, "");
    char *recipients = many("RCPT TO:<nobody@example.test>\r\n"), *refusals = many(refusal);
    snprintf(told, sizeof told, HELLO "%s", recipients);
    site.first.rules[0] = (struct scripted_rule){"RCPT", refusal, GOES_ON, 0};
    for (unsigned piece = 0; piece < 3; piece++) {
        struct talk talk;
        site.first.piece = piece * 1000;
        scripted_begin_anew(&site.first);
        talk_open(&talk, NULL, site.scene.port);
        atomic_store(&site.first.is_held, true);
        talk_tell(&talk, recipients);
        atomic_store(&site.first.is_held, false);
        talk_expect_each(&talk, MANY, refusal);
        scripted_expect_told(&site.first, told, "recipients");
        talk_end(&talk);
    }
    free(recipients);
    free(refusals);
    two_hosts_end(&site);
}
