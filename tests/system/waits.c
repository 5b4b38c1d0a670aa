/* Nobody is left waiting: each deadline is one side's and is put off by that side alone, junk is no answer, and who
 * waits for the other's end is given it. */
#include "two_hosts.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

/* --- deadlines --- */

Test(waits, a_client_that_talks_on_does_not_put_off_the_reply_that_it_is_owed) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "[timeouts]\nreply = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"MAIL", "", GOES_ON, 0};
    site.first.rules[1] = (struct scripted_rule){"NOOP", "", GOES_ON, 0};
    talk_open(&talk, NULL, site.scene.port);
    talk_tell(&talk, "MAIL FROM:<a@client.test>\r\n");
    const char *reply = "silent";
    for (unsigned i = 0; i < 100 && strcmp(reply, "silent") == 0; i++) {
        talk_tell(&talk, "NOOP\r\n");
        reply = talk_hear(&talk, 100);
    }
    cr_assert(strncmp(reply, "250 2.1.0", 9) == 0, "%s", reply);
    talk_end(&talk);
    two_hosts_end(&site);
}

/* Nor do octets of a reply that never ends. */
Test(waits, a_reply_that_never_ends_is_not_awaited_for_ever) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "[timeouts]\nreply = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"MAIL", "250-", GOES_ON, 0};
    site.first.rules[1] = (struct scripted_rule){"MAIL", "x", GOES_ON, 100};
    talk_open(&talk, NULL, site.scene.port);
    talk_exchange(&talk, "MAIL FROM:<a@client.test>\r\n", "250 2.1.0 Ok");
    talk_end(&talk);
    two_hosts_end(&site);
}

/* Nor do those of a backend that is told what a lost one knew. */
Test(waits, a_backend_that_drips_in_a_replay_is_not_awaited_for_ever) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "[timeouts]\nreply = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"MAIL", "", HANGS_UP, 0};
    site.second.rules[0] = (struct scripted_rule){"EHLO", "250-", GOES_ON, 0};
    site.second.rules[1] = (struct scripted_rule){"EHLO", "x", GOES_ON, 100};
    talk_open(&talk, NULL, site.scene.port);
    talk_exchange(&talk, "MAIL FROM:<a@client.test>\r\n", "421 4.");
    talk_end(&talk);
    two_hosts_end(&site);
}

Test(waits, words_that_nobody_asked_for_do_not_put_off_the_end_of_a_silent_client) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "[timeouts]\nclient = 1s\n");
    site.first.rules[0] = (struct scripted_rule){"EHLO", "250 are you there?\r\n", GOES_ON, 200};
    talk_begin(&talk, NULL, site.scene.port);
    talk_expect(&talk, "220 ");
    talk_tell(&talk, HELLO);
    const char *reply = "";
    for (unsigned i = 0; i < 100 && strncmp(reply, "421", 3) != 0; i++)
        reply = talk_hear(&talk, TALK_MS);
    cr_assert(strncmp(reply, "421 4.4.2", 9) == 0, "%s", reply);
    talk_end(&talk);
    two_hosts_end(&site);
}

/* It asks for ever more and reads nothing; neither is memory taken for it, nor is it the host's fault. */
Test(waits, a_client_that_reads_nothing_ends_by_its_own_deadline) {
    static char help[100000];
    static const char five_questions[] = "HELP\r\nHELP\r\nHELP\r\nHELP\r\nHELP\r\n";
    struct two_hosts site;
    struct talk talk;
    int octets = 2048;
    two_hosts_begin(&site, "[timeouts]\nclient = 2s\nreply = 1s\n");
    for (size_t at = 0; at + 20 < sizeof help; at += 15)
        memcpy(help + at, "214-some help\r\n", 15);
    memcpy(help + strlen(help), "214 end\r\n", sizeof "214 end\r\n");
    site.first.rules[0] = (struct scripted_rule){"HELP", help, GOES_ON, 0};
    talk_begin(&talk, NULL, site.scene.port);
    setsockopt(talk.fd, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    talk_expect(&talk, "220 ");
    talk_exchange(&talk, HELLO, "250");
    WAIT_FOR((send(talk.fd, five_questions, sizeof five_questions - 1, MSG_NOSIGNAL | MSG_DONTWAIT),
              log_has(&site.scene, "end=")),
             20000);
    cr_assert(log_has(&site.scene, "end=cR reason=\"the client took nothing of what it was told for `client`\""));
    cr_assert_eq(server_figure(&site.scene, "vm1", "failures"), 0);
    talk_end(&talk);
    two_hosts_end(&site);
}

/* --- what is no SMTP --- */

static const char *const junk[] = {"HTTP/1.1 500\r\n", "250-a\r\n550 b\r\n", "250 bare\n", "\x16\x03\x01\r\n"};

Test(waits, what_is_no_smtp_is_never_passed_on) {
    struct two_hosts site;
    two_hosts_begin(&site, "");
    for (unsigned i = 0; i < 8 * sizeof junk / sizeof junk[0]; i++) {
        static const char *const lines[] = {"EHLO", "MAIL", "RCPT", "QUIT"};
        static const enum scripted_end ends[] = {HANGS_UP, GOES_ON};
        site.first.rules[0] = (struct scripted_rule){lines[i % 4], junk[i / 8], ends[i / 4 % 2], 0};
        talk_script(lines[i % 4], NULL, site.scene.port, two_hosts_mail);
    }
    two_hosts_end(&site);
}

/* Behind the 354 nothing is beyond recall yet; behind the first octet of content the client hears 421, and where the
 * reply to its dot would stand. */
Test(waits, a_host_that_loses_its_mind_in_content_is_answered_for_at_the_dot) {
    static const char *const at_dot[] = {
        "220 ",   HELLO,      "250", "MAIL FROM:<a@client.test>\r\n",   "250",       "RCPT TO:<user@example.test>\r\n",
        "250",    "DATA\r\n", "354", "Subject: x\r\n\r\ntext\r\n.\r\n", "421 4.3.0", "",
        "closed", NULL};
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "");
    for (unsigned i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        char answer[100];
        snprintf(answer, sizeof answer, "354 go\r\n%s", junk[i]);
        site.first.rules[0] = (struct scripted_rule){"DATA", answer, GOES_ON, 0};
        talk_script("behind 354", NULL, site.scene.port, two_hosts_mail);
        site.first.rules[0] = (struct scripted_rule){".", junk[i], GOES_ON, 0};
        talk_script("at the dot", NULL, site.scene.port, at_dot);
    }
    cr_assert_eq(atomic_load(&site.second.mails), sizeof junk / sizeof junk[0]);
    site.first.rules[0] = (struct scripted_rule){"Subject", junk[0], GOES_ON, 50};
    talk_open(&talk, NULL, site.scene.port);
    talk_tell(&talk, ENVELOPE "DATA\r\n");
    talk_expect_each(&talk, 2, "250");
    talk_expect(&talk, "354");
    talk_tell(&talk, "Subject: x\r\n");
    cr_assert_str_eq(talk_hear(&talk, 500), "silent");
    talk_exchange(&talk, "text\r\n.\r\n", "421 4.3.0");
    talk_expect(&talk, "closed");
    talk_end(&talk);
    two_hosts_end(&site);
}

/* --- the end --- */

/* Some hosts close only when the client has; Exim says its 221 only then, or after 200 ms. Two seconds for each session
 * would be 80 in all. */
Test(waits, a_host_that_waits_for_the_clients_end_behind_quit_is_given_it) {
    struct two_hosts site;
    uint64_t began = now_ms();
    two_hosts_begin(&site, "");
    for (unsigned i = 0; i < 40; i++) {
        struct talk talk;
        bool half_closes = i % 2 == 0;
        site.first.rules[0] = (struct scripted_rule){"QUIT", half_closes ? "" : "221 2.0.0 Bye\r\n", GOES_ON, 0};
        talk_begin(&talk, NULL, site.scene.port);
        talk_expect(&talk, "220 ");
        talk_tell(&talk, HELLO "QUIT\r\n");
        if (half_closes)
            shutdown(talk.fd, SHUT_WR);
        talk_expect(&talk, "250");
        talk_expect(&talk, "221 2.0.0");
        if (half_closes)
            talk_expect(&talk, "closed");
        talk_end(&talk);
        WAIT_FOR(atomic_load(&site.first.ended) == i + 1, 5000);
    }
    cr_assert(now_ms() - began < 60000);
    cr_assert_not(log_has_by_now(&site.scene, "end=SR") || log_has_by_now(&site.scene, "end=CR"));
    two_hosts_end(&site);
}

/* A script that has said all, QUIT too, and half-closed, still waits for the reply to its mail. */
Test(waits, a_client_that_says_all_and_half_closes_hears_all_replies) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "");
    talk_open(&talk, NULL, site.scene.port);
    talk_tell(&talk, ENVELOPE "DATA\r\n");
    talk_expect_each(&talk, 2, "250");
    talk_expect(&talk, "354");
    atomic_store(&site.first.is_held, true);
    talk_tell(&talk, "x\r\n.\r\nQUIT\r\n");
    shutdown(talk.fd, SHUT_WR);
    const char *reply = talk_hear(&talk, 3000); /* longer than anybody waits for the end of a session that is over */
    cr_assert_str_eq(reply, "silent");
    atomic_store(&site.first.is_held, false);
    talk_expect(&talk, "250");
    talk_expect(&talk, "221");
    talk_expect(&talk, "closed");
    cr_assert_eq(atomic_load(&site.first.mails), 1);
    talk_end(&talk);
    two_hosts_end(&site);
}
