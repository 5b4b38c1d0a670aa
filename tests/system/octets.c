/* Every octet once, in order, and nobody left waiting: whatever the two sides do to the segments, the turns of the loop
 * and the ends of their connections, what was said arrives, and whoever waits for nothing is told so. */
#include "scripted.h"
#include "talk.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define HELLO    "EHLO client.test\r\n"
#define ENVELOPE "MAIL FROM:<a@client.test>\r\nRCPT TO:<user@example.test>\r\n"
#define HEAR_MS  10000u

/* Two hosts; sessions begin with the first one, and the second one is the one to go on with. */
struct site {
    struct scene scene;
    struct scripted first, second;
};

static void begin(struct site *site, const char *sections) {
    scene_begin(&site->scene, false);
    scripted_begin(&site->first);
    scripted_begin(&site->second);
    postern_begin_with(&site->scene, "workers = 1\n", "",
                       "%s[tier primary]\ncheck = none\noutlier = 0\n[tier second]\ncheck = none\n"
                       "[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n"
                       "[backend vm2]\ntier = second\naddress = 127.0.0.1:%u\n",
                       sections, site->first.port, site->second.port);
}

/* Nothing is left of any session. */
static void end(struct site *site) {
    WAIT_FOR(info_figure(&site->scene, "sessions") == 0, 15000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") == 0, 5000);
    scripted_end(&site->first);
    scripted_end(&site->second);
    scene_end(&site->scene);
}

/* What both sides do from here on until end_turn() comes in one turn of the loop. */
static void hold_turn(struct site *site) {
    siginfo_t info;
    kill(site->scene.postern, SIGSTOP);
    cr_assert_eq(waitid(P_PID, (id_t)site->scene.postern, &info, WSTOPPED), 0);
}

static void end_turn(struct site *site) {
    kill(site->scene.postern, SIGCONT);
}

static void add(char *text, size_t size, const char *more) {
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", more);
}

static void begin_anew(struct scripted *host) {
    atomic_store(&host->told_length, 0);
    host->told[0] = '\0';
}

static void expect_told(struct scripted *host, const char *wanted, const char *what) {
    uint64_t limit = now_ms() + HEAR_MS;
    while (strlen(host->told) < strlen(wanted) && now_ms() < limit)
        pause_ms(5);
    cr_assert_str_eq(host->told, wanted, "%s: the host was told \"%s\"", what, host->told);
}

static void expect_reply(struct talk *talk, const char *begins) {
    const char *reply = talk_hear(talk, HEAR_MS);
    cr_assert(strncmp(reply, begins, strlen(begins)) == 0, "\"%s\" instead of %s; heard: %s", reply, begins,
              talk->heard);
}

static void expect_replies(struct talk *talk, unsigned count, const char *begins) {
    for (unsigned i = 0; i < count; i++)
        expect_reply(talk, begins);
}

/* The host has the beginning of a session, and has not greeted it yet. */
static void begin_held(struct site *site, struct talk *talk, const char *early, size_t length) {
    unsigned sessions = atomic_load(&site->first.sessions);
    atomic_store(&site->first.is_held, true);
    talk_begin(talk, NULL, site->scene.port);
    talk_say(talk, early, length);
    WAIT_FOR(atomic_load(&site->first.sessions) > sessions, 5000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") >= (length > 0), 5000);
}

/* --- early talk --- */

static const char early[] = HELLO ENVELOPE;

Test(octets, early_talk_arrives_once_wherever_it_is_cut_by_the_greeting) {
    struct site site;
    begin(&site, "[timeouts]\nhedge-after = 0\n");
    for (size_t cut = 1; cut < sizeof early - 1; cut++) {
        struct talk talk;
        begin_anew(&site.first);
        begin_held(&site, &talk, early, cut);
        hold_turn(&site);
        atomic_store(&site.first.is_held, false);
        pause_ms(10); /* the greeting is on its way; what comes too late is no failure */
        talk_say(&talk, early + cut, sizeof early - 1 - cut);
        end_turn(&site);
        expect_told(&site.first, early, "cut");
        expect_reply(&talk, "220 ");
        expect_replies(&talk, 3, "250");
        talk_end(&talk);
    }
    end(&site);
}

/* The first host greets and says 421 in one segment: what was said to it so far must be told to the next one. */
Test(octets, early_talk_is_not_lost_with_a_host_that_greets_and_goes) {
    struct site site;
    begin(&site, "[timeouts]\nhedge-after = 0\n");
    site.first.rules[0] = (struct scripted_rule){"GREETING", "220 first\r\n421 4.3.2 going down\r\n", HANGS_UP, 0};
    for (size_t cut = 1; cut < sizeof early - 1; cut += 3) {
        struct talk talk;
        begin_anew(&site.second);
        begin_held(&site, &talk, early, cut);
        atomic_store(&site.second.is_held, true);
        atomic_store(&site.first.is_held, false);
        expect_reply(&talk, "220 first");
        talk_say(&talk, early + cut, sizeof early - 1 - cut);
        atomic_store(&site.second.is_held, false);
        expect_told(&site.second, early, "behind 421");
        expect_replies(&talk, 3, "250");
        talk_end(&talk);
    }
    end(&site);
}

/* --- pieces --- */

static const char *const a_mail[] = {"220 ",   HELLO,
                                     "250",    "MAIL FROM:<a@client.test>\r\n",
                                     "250",    "RCPT TO:<user@example.test>\r\n",
                                     "250",    "DATA\r\n",
                                     "354",    "Subject: x\r\n\r\n..dot\r\n\r\n.\r\n",
                                     "250",    "QUIT\r\n",
                                     "221",    "",
                                     "closed", NULL};

/* Says each step octet by octet. */
static void say_octets(const char *const *steps, unsigned port) {
    struct talk talk;
    talk_begin(&talk, NULL, port);
    for (unsigned i = 0; steps[i] != NULL; i += 2) {
        if (strcmp(steps[i], "closed") == 0)
            break;
        expect_reply(&talk, steps[i]);
        for (const char *at = steps[i + 1]; *at != '\0'; at++)
            talk_say(&talk, at, 1);
    }
    talk_end(&talk);
}

Test(octets, a_mail_said_and_answered_octet_by_octet_arrives_as_it_was_said) {
    struct site site;
    char wanted[500] = "";
    begin(&site, "");
    for (unsigned i = 1; a_mail[i] != NULL; i += 2)
        add(wanted, sizeof wanted, a_mail[i]);
    for (unsigned piece = 1; piece < 9; piece++) {
        begin_anew(&site.first);
        site.first.piece = piece;
        say_octets(a_mail, site.scene.port);
        expect_told(&site.first, wanted, "octet by octet");
        begin_anew(&site.first);
        talk_script("in pieces", NULL, site.scene.port, a_mail);
        expect_told(&site.first, wanted, "step by step");
    }
    end(&site);
}

/* --- a lost host --- */

/* The host resets in the turn in which the first octets of a command come: the rest must be heard, and the command
 * reach the next host whole. */
Test(octets, half_a_command_goes_on_with_the_next_host) {
    static const char command[] = "NOOP half\r\n";
    struct site site;
    begin(&site, "");
    for (size_t cut = 0; cut < sizeof command - 1; cut++) {
        struct talk talk;
        site.first.rules[0] = (struct scripted_rule){"EHLO", "250 first\r\n", GOES_ON, 0};
        site.first.rules[1] = (struct scripted_rule){"EHLO", "", RESETS, 200};
        unsigned ended = atomic_load(&site.first.ended);
        begin_anew(&site.second);
        talk_begin(&talk, NULL, site.scene.port);
        expect_reply(&talk, "220 ");
        talk_say(&talk, HELLO, sizeof HELLO - 1);
        expect_reply(&talk, "250");
        hold_turn(&site);
        talk_say(&talk, command, cut);
        WAIT_FOR(atomic_load(&site.first.ended) > ended, 5000);
        end_turn(&site);
        WAIT_FOR(info_figure(&site.scene, "sessions") == 1, 5000);
        talk_say(&talk, command + cut, sizeof command - 1 - cut);
        expect_reply(&talk, "250");
        expect_told(&site.second, HELLO "NOOP half\r\n", "the next host");
        talk_end(&talk);
    }
    end(&site);
}

/* More commands in one segment than may await a reply: the rest was held, and must not go with the host. */
Test(octets, commands_that_waited_for_replies_of_a_lost_host_are_told_to_the_next) {
    struct site site;
    char commands[2000] = "";
    begin(&site, "");
    for (unsigned i = 0; i < 60; i++)
        add(commands, sizeof commands, i % 2 == 0 ? "RSET\r\n" : "NOOP\r\n");
    for (unsigned way = 0; way < 4; way++) {
        struct talk talk;
        bool is_gone = way >= 2; /* when they come */
        unsigned ended = atomic_load(&site.first.ended);
        enum scripted_end end = way % 2 == 0 ? RESETS : HANGS_UP;
        site.first.rules[0] = (struct scripted_rule){is_gone ? "EHLO" : "RSET", "", end, is_gone ? 200 : 0};
        begin_anew(&site.second);
        talk_begin(&talk, NULL, site.scene.port);
        expect_reply(&talk, "220 ");
        talk_say(&talk, HELLO, sizeof HELLO - 1);
        expect_reply(&talk, "250");
        if (is_gone)
            hold_turn(&site);
        talk_say(&talk, commands, strlen(commands));
        if (is_gone) {
            WAIT_FOR(atomic_load(&site.first.ended) > ended, 5000);
            end_turn(&site);
        }
        expect_replies(&talk, 60, "250");
        cr_assert_str_eq(site.second.told + strlen(HELLO), commands);
        talk_end(&talk);
    }
    end(&site);
}

Test(octets, a_client_that_has_half_closed_is_not_kept_for_a_lost_host) {
    struct site site;
    begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"NOOP", "250 ok\r\n", RESETS, 0};
    for (unsigned i = 0; i < 3; i++) {
        struct talk talk;
        const char *last = i == 0 ? "NOOP\r\n" : i == 1 ? "NOOP\r\nNO" : "NOOP\r\nRSET\r\n";
        talk_begin(&talk, NULL, site.scene.port);
        expect_reply(&talk, "220 ");
        talk_say(&talk, HELLO, sizeof HELLO - 1);
        expect_reply(&talk, "250");
        talk_say(&talk, last, strlen(last));
        shutdown(talk.fd, SHUT_WR);
        expect_replies(&talk, i == 2 ? 2 : 1, "250");
        expect_reply(&talk, "closed");
        talk_end(&talk);
    }
    end(&site);
}

/* --- deadlines --- */

Test(octets, a_client_that_talks_on_does_not_put_off_the_reply_that_it_is_owed) {
    struct site site;
    struct talk talk;
    begin(&site, "[timeouts]\nreply = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"MAIL", "", GOES_ON, 0};
    site.first.rules[1] = (struct scripted_rule){"NOOP", "", GOES_ON, 0};
    talk_begin(&talk, NULL, site.scene.port);
    expect_reply(&talk, "220 ");
    talk_say(&talk, HELLO, sizeof HELLO - 1);
    expect_reply(&talk, "250");
    talk_say(&talk, "MAIL FROM:<a@client.test>\r\n", 27);
    const char *reply = "silent";
    for (unsigned i = 0; i < 100 && strcmp(reply, "silent") == 0; i++) {
        talk_say(&talk, "NOOP\r\n", 6);
        reply = talk_hear(&talk, 100);
    }
    cr_assert(strncmp(reply, "250 2.1.0", 9) == 0, "%s", reply);
    talk_end(&talk);
    end(&site);
}

/* Nor do octets of a reply that never ends. */
Test(octets, a_reply_that_never_ends_is_not_awaited_for_ever) {
    struct site site;
    struct talk talk;
    begin(&site, "[timeouts]\nreply = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"MAIL", "250-", GOES_ON, 0};
    site.first.rules[1] = (struct scripted_rule){"MAIL", "x", GOES_ON, 100};
    talk_begin(&talk, NULL, site.scene.port);
    expect_reply(&talk, "220 ");
    talk_say(&talk, HELLO, sizeof HELLO - 1);
    expect_reply(&talk, "250");
    talk_say(&talk, "MAIL FROM:<a@client.test>\r\n", 27);
    expect_reply(&talk, "250 2.1.0 Ok");
    talk_end(&talk);
    end(&site);
}

Test(octets, words_that_nobody_asked_for_do_not_put_off_the_end_of_a_silent_client) {
    struct site site;
    struct talk talk;
    begin(&site, "[timeouts]\nclient = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"EHLO", "250 are you there?\r\n", GOES_ON, 200};
    talk_begin(&talk, NULL, site.scene.port);
    expect_reply(&talk, "220 ");
    talk_say(&talk, HELLO, sizeof HELLO - 1);
    const char *reply = "";
    for (unsigned i = 0; i < 100 && strncmp(reply, "421", 3) != 0; i++)
        reply = talk_hear(&talk, HEAR_MS);
    cr_assert(strncmp(reply, "421 4.4.2", 9) == 0, "%s", reply);
    talk_end(&talk);
    end(&site);
}

/* It asks for ever more and reads nothing; neither is memory taken for it, nor is it the host's fault. */
Test(octets, a_client_that_reads_nothing_ends_by_its_own_deadline) {
    static char help[100000];
    struct site site;
    struct talk talk;
    int octets = 2048;
    begin(&site, "[timeouts]\nclient = 2s\nreply = 1s\n");
    for (size_t at = 0; at + 20 < sizeof help; at += 15)
        memcpy(help + at, "214-some help\r\n", 15);
    add(help, sizeof help, "214 end\r\n");
    site.first.rules[0] = (struct scripted_rule){"HELP", help, GOES_ON, 0};
    talk_begin(&talk, NULL, site.scene.port);
    setsockopt(talk.fd, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    expect_reply(&talk, "220 ");
    talk_say(&talk, HELLO, sizeof HELLO - 1);
    expect_reply(&talk, "250");
    for (uint64_t limit = now_ms() + 20000; !log_has(&site.scene, "end=") && now_ms() < limit; pause_ms(100))
        send(talk.fd, "HELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\n", 30, MSG_NOSIGNAL | MSG_DONTWAIT);
    cr_assert(log_has(&site.scene, "end=cR reason=\"the client took nothing of what it was told for `client`\""));
    cr_assert_eq(server_figure(&site.scene, "vm1", "failures"), 0);
    talk_end(&talk);
    end(&site);
}

/* --- what is no SMTP --- */

static const char *const junk[] = {"HTTP/1.1 500\r\n", "250-a\r\n550 b\r\n", "250 bare\n", "\x16\x03\x01\r\n"};

Test(octets, what_is_no_smtp_is_never_passed_on) {
    struct site site;
    begin(&site, "");
    for (unsigned i = 0; i < 4 * sizeof junk / sizeof junk[0]; i++) {
        static const char *const lines[] = {"EHLO", "MAIL", "RCPT", "QUIT"};
        site.first.rules[0] = (struct scripted_rule){lines[i % 4], junk[i / 4], HANGS_UP, 0};
        site.first.rules[0].end = i % 2 == 0 ? HANGS_UP : GOES_ON;
        talk_script(lines[i % 4], NULL, site.scene.port, a_mail);
    }
    end(&site);
}

/* Behind the 354 nothing is beyond recall yet; behind the first octet of content the client hears 421, and where the
 * reply to its dot would stand. */
Test(octets, a_host_that_loses_its_mind_in_content_is_answered_for_at_the_dot) {
    static const char *const at_dot[] = {
        "220 ",   HELLO,      "250", "MAIL FROM:<a@client.test>\r\n",   "250",       "RCPT TO:<user@example.test>\r\n",
        "250",    "DATA\r\n", "354", "Subject: x\r\n\r\ntext\r\n.\r\n", "421 4.3.0", "",
        "closed", NULL};
    struct site site;
    struct talk talk;
    begin(&site, "");
    for (unsigned i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        char answer[100];
        snprintf(answer, sizeof answer, "354 go\r\n%s", junk[i]);
        site.first.rules[0] = (struct scripted_rule){"DATA", answer, GOES_ON, 0};
        talk_script("behind 354", NULL, site.scene.port, a_mail);
        site.first.rules[0] = (struct scripted_rule){".", junk[i], GOES_ON, 0};
        talk_script("at the dot", NULL, site.scene.port, at_dot);
    }
    cr_assert_eq(atomic_load(&site.second.mails), sizeof junk / sizeof junk[0]);
    site.first.rules[0] = (struct scripted_rule){"Subject", junk[0], GOES_ON, 50};
    talk_begin(&talk, NULL, site.scene.port);
    expect_reply(&talk, "220 ");
    talk_say(&talk, HELLO, sizeof HELLO - 1);
    expect_reply(&talk, "250");
    talk_say(&talk, ENVELOPE "DATA\r\n", sizeof ENVELOPE - 1 + 6);
    expect_replies(&talk, 2, "250");
    expect_reply(&talk, "354");
    talk_say(&talk, "Subject: x\r\n", 12);
    cr_assert_str_eq(talk_hear(&talk, 500), "silent");
    talk_say(&talk, "text\r\n.\r\n", 9);
    expect_reply(&talk, "421 4.3.0");
    expect_reply(&talk, "closed");
    talk_end(&talk);
    end(&site);
}

/* --- much at once --- */

#define MANY 1000u

static char *many(const char *text) {
    char *all = calloc(MANY, strlen(text) + 1);
    for (unsigned i = 0; i < MANY; i++)
        memcpy(all + i * strlen(text), text, strlen(text));
    return all;
}

/* These and nothing else are heard next. */
static void expect_octets(struct talk *talk, const char *wanted) {
    size_t length = strlen(wanted), heard = 0;
    char octets[4096];
    while (heard < length) {
        struct pollfd poll_fd = {.fd = talk->fd, .events = POLLIN};
        ssize_t got = poll(&poll_fd, 1, HEAR_MS) > 0 ? recv(talk->fd, octets, sizeof octets, 0) : 0;
        cr_assert(got > 0, "%zu octets of %zu, and then no more", heard, length);
        cr_assert((size_t)got <= length - heard && memcmp(octets, wanted + heard, (size_t)got) == 0,
                  "other octets behind %zu", heard);
        heard += (size_t)got;
    }
}

/* 80 kB of replies; they and the recipients come in full receives with parts of lines held. */
Test(octets, a_thousand_recipients_in_one_go_each_hear_their_reply) {
    static const char refusal[] = "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown abcd\r\n";
    static char told[SCRIPTED_TOLD_MAX];
    struct site site;
    begin(&site, "");
    char *recipients = many("RCPT TO:<nobody@example.test>\r\n"), *refusals = many(refusal);
    snprintf(told, sizeof told, HELLO "%s", recipients);
    site.first.rules[0] = (struct scripted_rule){"RCPT", refusal, GOES_ON, 0};
    for (unsigned piece = 0; piece < 3; piece++) {
        struct talk talk;
        site.first.piece = piece * 1000;
        begin_anew(&site.first);
        talk_begin(&talk, NULL, site.scene.port);
        expect_reply(&talk, "220 ");
        talk_say(&talk, HELLO, sizeof HELLO - 1);
        expect_reply(&talk, "250");
        atomic_store(&site.first.is_held, true);
        talk_say(&talk, recipients, strlen(recipients));
        atomic_store(&site.first.is_held, false);
        expect_octets(&talk, refusals);
        expect_told(&site.first, told, "recipients");
        talk_end(&talk);
    }
    free(recipients);
    free(refusals);
    end(&site);
}

/* --- the end --- */

/* As Exim, which waits for the client's end behind its 221. */
Test(octets, a_host_that_waits_for_the_end_behind_its_221_is_given_it) {
    static const char *const steps[] = {"220 ", HELLO, "250", "QUIT\r\n", "221 ", NULL};
    struct site site;
    begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"QUIT", "221 2.0.0 Bye\r\n", GOES_ON, 0};
    uint64_t began = now_ms();
    for (unsigned i = 0; i < 60; i++) {
        talk_script("QUIT", NULL, site.scene.port, steps);
        WAIT_FOR(atomic_load(&site.first.ended) == i + 1, 5000);
    }
    cr_assert(now_ms() - began < 60000, "a second or more for each session");
    end(&site);
}

/* A script that has said all, QUIT too, and half-closed, still waits for the reply to its mail. */
Test(octets, a_client_that_says_all_and_half_closes_hears_all_replies) {
    struct site site;
    struct talk talk;
    begin(&site, "");
    talk_begin(&talk, NULL, site.scene.port);
    expect_reply(&talk, "220 ");
    talk_say(&talk, HELLO, sizeof HELLO - 1);
    expect_reply(&talk, "250");
    talk_say(&talk, ENVELOPE "DATA\r\n", sizeof ENVELOPE - 1 + 6);
    expect_replies(&talk, 2, "250");
    expect_reply(&talk, "354");
    atomic_store(&site.first.is_held, true);
    talk_say(&talk, "x\r\n.\r\nQUIT\r\n", 12);
    shutdown(talk.fd, SHUT_WR);
    const char *reply = talk_hear(&talk, 3000); /* longer than anybody waits for the end of a session that is over */
    cr_assert_str_eq(reply, "silent");
    atomic_store(&site.first.is_held, false);
    expect_reply(&talk, "250");
    expect_reply(&talk, "221");
    expect_reply(&talk, "closed");
    cr_assert_eq(atomic_load(&site.first.mails), 1);
    talk_end(&talk);
    end(&site);
}
