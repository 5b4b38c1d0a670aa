/* A stop: whoever has no mail under way hears 421 at once, a mail under way gets its reply first, and what has to be
 * cut in the end is named. */
#include "hand.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENT "stop-timeout = 60s\n"

static struct hand hand;

Test(stop, a_mail_at_its_dot_gets_its_250_and_comes_once) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_DOT);
    hand_stop(&hand);
    hand_say(&hand, "250 2.0.0 queued\r\n");
    talk_expect(&hand.client, "250 2.0.0 queued");
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    cr_assert(!log_has(&hand.scene, "possibly doubled"));
    hand_end(&hand);
}

Test(stop, a_client_in_content_may_end_it_and_hears_its_250) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_CONTENT);
    hand_stop(&hand);
    for (unsigned i = 0; i < 20; i++) {
        talk_tell(&hand.client, "more of it\r\n");
        talk_await(&hand.host, "more of it\r\n");
    }
    /* The next mail is in the same group: it has not begun for its sender, and hears the 421. */
    talk_tell(&hand.client, ".\r\nMAIL FROM:<next@client.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n");
    talk_await(&hand.host, "DATA\r\n");
    hand_say(&hand, "250 2.0.0 queued\r\n");
    talk_expect(&hand.client, "250 2.0.0 queued");
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    hand_end(&hand);
}

Test(stop, before_content_a_client_is_not_waited_for) {
    static const enum hand_stage stages[] = {HAND_GREETED, HAND_MAIL, HAND_RCPT};
    for (unsigned i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        hand_begin(&hand, PATIENT);
        hand_session(&hand, stages[i]);
        hand_stop(&hand);
        talk_expect(&hand.client, "421 4.3.2");
        talk_tell(&hand.client, "NOOP\r\n"); /* too late, and no reason for a reset */
        talk_expect(&hand.client, "closed");
        hand_expect_exit(&hand, 5000);
        hand_end(&hand);
    }
}

Test(stop, a_command_that_awaits_its_reply_hears_421_in_its_place) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_MAIL);
    talk_tell(&hand.client, "RCPT TO:<bob@example.test>\r\nDATA\r\n");
    talk_await(&hand.host, "DATA\r\n");
    hand_stop(&hand);
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    hand_end(&hand);
}

Test(stop, who_waits_for_a_greeting_or_in_the_queue_hears_421) {
    struct talk waiting;
    hand_begin(&hand, PATIENT);
    talk_begin(&hand.client, NULL, hand.scene.port);
    hand_take(&hand); /* it never greets */
    talk_begin(&waiting, NULL, hand.scene.port);
    WAIT_FOR(info_figure(&hand.scene, "sessions") == 2, 5000);
    hand_stop(&hand);
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&waiting, "421 4.3.2");
    talk_end(&waiting);
    hand_expect_exit(&hand, 5000);
    hand_end(&hand);
}

static void expect_doubled_line(void) {
    char *line = shell(NULL, "grep 'mail possibly doubled' %s/postern.log", hand.scene.dir);
    cr_assert(strstr(line, "client=127.0.0.1:") != NULL && strstr(line, "server=vm1") != NULL &&
                  strstr(line, "helo=\"client.test\" from=\"<ann@client.test>\"") != NULL &&
                  strstr(line, "phase=dot") != NULL,
              "%s", line);
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1, "one line: %s", line);
    free(line);
}

Test(stop, a_mail_that_is_cut_at_its_dot_is_named) {
    hand_begin(&hand, "stop-timeout = 300ms\n");
    hand_session(&hand, HAND_DOT);
    hand_stop(&hand);
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 10000);
    expect_doubled_line();
    hand_end(&hand);
}

Test(stop, a_mail_that_is_cut_in_its_content_can_not_come_twice_and_is_not_named) {
    hand_begin(&hand, "stop-timeout = 300ms\n");
    hand_session(&hand, HAND_CONTENT);
    hand_stop(&hand);
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 10000);
    cr_assert(!log_has(&hand.scene, "possibly doubled"));
    hand_end(&hand);
}

Test(stop, a_second_signal_ends_it_at_once_with_the_same_lines) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_DOT);
    hand_stop(&hand);
    kill(hand.scene.postern, SIGINT);
    talk_expect(&hand.client, "421 4.3.2");
    hand_expect_exit(&hand, 10000);
    expect_doubled_line();
    char *left = shell(NULL, "ls %s/control.sock 2>&1", hand.scene.dir);
    cr_assert(strstr(left, "No such file") != NULL, "%s", left);
    free(left);
    hand_end(&hand);
}

Test(stop, an_idle_session_inside_tls_is_not_waited_for) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_TLS);
    hand_stop(&hand);
    talk_expect(&hand.client, "closed"); /* in clear nothing may be said */
    hand_expect_exit(&hand, 5000);
    cr_assert(!log_has(&hand.scene, "possibly doubled"));
    hand_end(&hand);
}

Test(stop, a_session_inside_tls_whose_client_awaits_an_answer_is_waited_for) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_TLS);
    talk_tell(&hand.client, "\x17the dot");
    talk_await(&hand.host, "the dot");
    hand_stop(&hand);
    WAIT_FOR(log_has(&hand.scene, "1 inside STARTTLS"), 10000); /* the line that tells of the wait */
    hand_say(&hand, "\x17taken\r\n");
    talk_expect(&hand.client, "\x17taken");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    cr_assert(!log_has(&hand.scene, "possibly doubled"));
    hand_end(&hand);
}

/* More than a command: a group with content, as Exim sends it, whose replies trickle in. */
static void say_group(void) {
    char group[601];
    memset(group, 'g', sizeof group - 1);
    group[0] = '\x17';
    memcpy(group + sizeof group - 5, "LAST", 5);
    talk_tell(&hand.client, group);
    talk_await(&hand.host, "LAST");
    hand_say(&hand, "\x17mail ok\r\n");
    talk_expect(&hand.client, "\x17mail ok");
}

Test(stop, a_group_inside_tls_is_waited_for_between_its_replies) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_TLS);
    say_group();
    hand_stop(&hand);
    WAIT_FOR(log_has(&hand.scene, "1 inside STARTTLS"), 10000);
    hand_say(&hand, "\x17taken\r\n");
    talk_expect(&hand.client, "\x17taken");
    talk_end(&hand.host); /* the client has said QUIT, for all that is known */
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    cr_assert(!log_has(&hand.scene, "possibly doubled"));
    hand_end(&hand);
}

Test(stop, a_group_inside_tls_that_is_ended_is_named) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_TLS);
    say_group();
    free(ctl(&hand.scene, NULL, "shutdown sessions server vm1"));
    WAIT_FOR(server_figure(&hand.scene, "vm1", "sessions") == 0, 30000);
    talk_expect(&hand.client, "closed");
    cr_assert(log_has(&hand.scene, "mail possibly doubled"));
    hand_end(&hand);
}

Test(stop, a_session_that_has_ended_by_quit_is_not_logged_as_cut) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_DOT);
    talk_tell(&hand.client, "QUIT\r\n");
    talk_await(&hand.host, "QUIT\r\n");
    hand_stop(&hand);
    hand_say(&hand, "250 2.0.0 queued\r\n221 2.0.0 Bye\r\n");
    talk_expect(&hand.client, "250 2.0.0 queued");
    talk_expect(&hand.client, "221 2.0.0");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    cr_assert(log_has(&hand.scene, "mails=1 code=221 phase=quit vetted=no replays=0 end=-- "));
    hand_end(&hand);
}

/* --- content that is answered for each recipient (PRDR) --- */

static void begin_prdr(const char *offer, const char *mail) {
    hand_begin(&hand, PATIENT);
    talk_begin(&hand.client, NULL, hand.scene.port);
    hand_take(&hand);
    hand_say(&hand, "220 vm1\r\n");
    talk_expect(&hand.client, "220");
    hand_exchange(&hand, "EHLO client.test\r\n", offer);
    hand_exchange(&hand, mail, "250 2.1.0 Ok\r\n");
    hand_exchange(&hand, "RCPT TO:<ann@example.test>\r\n", "250 2.1.5 Ok\r\n");
    hand_exchange(&hand, "RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Ok\r\n");
    hand_exchange(&hand, "DATA\r\n", "354 go\r\n");
    talk_tell(&hand.client, "x\r\n.\r\nQUIT\r\n");
    talk_await(&hand.host, "QUIT\r\n");
    hand_say(&hand, "353 each for himself\r\n");
    talk_expect(&hand.client, "353");
}

Test(stop, a_mail_that_is_answered_for_each_recipient_is_waited_for_up_to_its_final_reply) {
    begin_prdr("250-vm1\r\n250 PRDR\r\n", "MAIL FROM:<a@client.test> PRDR\r\n");
    hand_stop(&hand);
    WAIT_FOR(log_has(&hand.scene, "1 whose mail awaits its final reply"), 10000);
    hand_say(&hand, "250 ann\r\n550 bob\r\n");
    talk_expect(&hand.client, "250 ann");
    talk_expect(&hand.client, "550 bob");
    hand_say(&hand, "250 taken for some\r\n");
    talk_expect(&hand.client, "250 taken");
    talk_expect(&hand.client, "221 2.0.0");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    cr_assert(log_has(&hand.scene, "mails=1 "));
    cr_assert(!log_has(&hand.scene, "possibly doubled"));
    hand_end(&hand);
}

Test(stop, a_final_reply_that_can_not_be_followed_is_waited_for_and_not_taken_for_the_end) {
    begin_prdr("250-vm1\r\n250 DSN\r\n", "MAIL FROM:<a@client.test>\r\n");
    free(ctl(&hand.scene, NULL, "shutdown sessions server vm1"));
    WAIT_FOR(server_figure(&hand.scene, "vm1", "sessions") == 0, 30000);
    talk_expect(&hand.client, "closed");
    WAIT_FOR(log_has(&hand.scene, "mail possibly doubled"), 5000);
    hand_end(&hand);
}

Test(stop, a_client_that_connects_meanwhile_hears_421_or_is_refused) {
    struct test_sink sink;
    struct scene scene;
    unsigned served = 0;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, PATIENT "workers = 2\n");
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    for (unsigned i = 0;; i++) {
        struct talk talk;
        cr_assert_eq(talk_prepare(&talk, NULL), 0);
        if (i == 100)
            kill(scene.postern, SIGTERM);
        int result = talk_connect(&talk, "127.0.0.1", scene.port);
        cr_assert(result == 0 || result == -ECONNREFUSED, "%s", strerror(-result));
        if (result == 0) {
            const char *reply = talk_hear(&talk, 15000);
            cr_assert(strncmp(reply, "220", 3) == 0 || strncmp(reply, "421 4.3.2", 9) == 0, "%u: %s", i, reply);
            served++;
        }
        talk_end(&talk);
        if (result < 0)
            break;
    }
    cr_assert(served >= 100);
    scene_end(&scene);
}

/* --- the operator ends sessions on one backend --- */

Test(stop, shutdown_sessions_ends_those_inside_tls_too_and_says_how_many_must_wait) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_TLS);
    char *said = ctl(&hand.scene, NULL, "shutdown sessions server vm1");
    cr_assert(strstr(said, "1 sessions told to end, 1 of them ") != NULL, "%s", said);
    free(said);
    talk_expect(&hand.client, "closed");
    WAIT_FOR(server_figure(&hand.scene, "vm1", "sessions") == 0, 5000);
    hand_end(&hand);
}

Test(stop, a_deleted_server_is_free_in_the_end_whatever_its_sessions_do) {
    hand_begin(&hand, "stop-timeout = 300ms\n");
    hand_session(&hand, HAND_DOT);
    free(ctl(&hand.scene, NULL, "del server vm1 force"));
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    WAIT_FOR(info_figure(&hand.scene, "sessions") == 0, 5000);
    expect_doubled_line();
    hand_end(&hand);
}

Test(stop, a_transaction_is_ended_by_shutdown_sessions_behind_its_reply) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_RCPT);
    free(ctl(&hand.scene, NULL, "shutdown sessions server vm1"));
    hand_exchange(&hand, "DATA\r\n", "354 go\r\n");
    talk_tell(&hand.client, "x\r\n.\r\n");
    talk_await(&hand.host, "x\r\n.\r\n");
    hand_say(&hand, "250 2.0.0 queued\r\n");
    talk_expect(&hand.client, "250 2.0.0 queued");
    talk_expect(&hand.client, "421 4.3.2");
    hand_end(&hand);
}

Test(stop, a_client_that_does_not_go_on_with_its_transaction_hears_421_from_shutdown_sessions) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_MAIL);
    free(ctl(&hand.scene, NULL, "shutdown sessions server vm1"));
    talk_expect(&hand.client, "421 4.3.2");
    hand_end(&hand);
}

Test(stop, who_is_not_greeted_yet_asks_another_server_when_sessions_of_one_are_shut_down) {
    struct test_sink sink;
    hand_begin(&hand, PATIENT);
    talk_begin(&hand.client, NULL, hand.scene.port);
    hand_take(&hand); /* it never greets */
    sink_begin(&hand.scene, &sink, "vm2", "");
    free(ctl(&hand.scene, NULL, "add server vm2 tier primary address 127.0.0.1:%u", sink.port));
    free(ctl(&hand.scene, NULL, "shutdown sessions server vm1"));
    talk_expect(&hand.client, "220 ");
    hand_end(&hand);
}

Test(stop, wait_drained_waits_for_the_sessions_of_a_server_that_is_deleted_meanwhile) {
    hand_begin(&hand, PATIENT);
    hand_session(&hand, HAND_DOT);
    char program[100], socket_path[100];
    snprintf(program, sizeof program, "%s/posternctl", hand.scene.build);
    snprintf(socket_path, sizeof socket_path, "%s/control.sock", hand.scene.dir);
    free(ctl(&hand.scene, NULL, "set server vm1 state drain"));
    spawn(&hand.scene, "first",
          (const char *const[]){program, "-s", socket_path, "wait", "drained", "vm1", "1s", NULL});
    spawn(&hand.scene, "second",
          (const char *const[]){program, "-s", socket_path, "wait", "drained", "vm1", "1m", NULL});
    WAIT_FOR(info_figure(&hand.scene, "control_clients") == 3, 5000); /* and the one that asks */
    free(ctl(&hand.scene, NULL, "del server vm1 force"));
    WAIT_FOR(file_has(&hand.scene, "first", "server vm1 "), 5000);
    cr_assert(file_has(&hand.scene, "first", "still has 1 sessions") && !file_has(&hand.scene, "second", "drained"));
    hand_say(&hand, "250 2.0.0 queued\r\n");
    talk_expect(&hand.client, "250 2.0.0 queued");
    talk_expect(&hand.client, "421 4.3.2");
    WAIT_FOR(file_has(&hand.scene, "second", "server vm1 is drained"), 5000);
    hand_end(&hand);
}
