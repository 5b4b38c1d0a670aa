/* A session's log line names what the client heard last, and all the octets of it. */
#include "hand.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct scene scene;
static struct test_sink vm, bastion;

static bool is_logged(const char *pattern) {
    int status;
    free(shell(&status, "grep -q '%s' %s/postern.log", pattern, scene.dir));
    return status == 0;
}

/* Speaks from `source` up to the end of the stream; then a line tells of so many octets and of this code. */
static void expect_logged(const char *source, const char *const *steps, const char *code) {
    struct talk talk;
    char pattern[200];
    talk_begin(&talk, source, scene.port);
    talk_steps(&talk, source, steps);
    talk_expect(&talk, "closed");
    snprintf(pattern, sizeof pattern, "session id=.* client=%s:.* out=%zu mails=[0-9]* code=%s ", source, talk.length,
             code);
    WAIT_FOR(is_logged(pattern), 5000);
    talk_end(&talk);
}

#define HELLO    "220", "EHLO client.test\r\n", "250"
#define ENVELOPE "MAIL FROM:<a@client.test>\r\n", "250", "RCPT TO:<b@example.test>\r\n", "250"

static void begin_plain(const char *timeouts) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    postern_lines(&scene, "[timeouts]\n%s", timeouts);
    postern_tier(&scene, "primary", "outlier = 0\n");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_start(&scene);
}

Test(session_log, of_a_mail_that_was_taken_it_names_the_221) {
    begin_plain("");
    expect_logged(
        "127.0.60.1",
        (const char *const[]){HELLO, ENVELOPE, "DATA\r\n", "354", "x\r\n.\r\n", "250", "QUIT\r\n", "221", NULL}, "221");
    scene_end(&scene);
}

Test(session_log, of_a_backend_that_dies_in_content_it_names_our_421) {
    begin_plain("");
    sink_fault(&vm, "data_die");
    expect_logged("127.0.60.2",
                  (const char *const[]){HELLO, ENVELOPE, "DATA\r\n", "354", "x\r\n", "", "y\r\n.\r\n", "421", NULL},
                  "421");
    scene_end(&scene);
}

Test(session_log, of_a_backend_that_dies_at_the_dot_it_names_our_421) {
    begin_plain("");
    sink_fault(&vm, "dot_close");
    expect_logged("127.0.60.3", (const char *const[]){HELLO, ENVELOPE, "DATA\r\n", "354", "x\r\n.\r\n", "421", NULL},
                  "421");
    scene_end(&scene);
}

Test(session_log, of_an_idle_client_it_names_our_421) {
    begin_plain("client = 2s\n");
    expect_logged("127.0.60.4", (const char *const[]){HELLO, "", "421", NULL}, "421");
    scene_end(&scene);
}

/* Only the strict tier is there; 127.0.62.0/24 is vetted. */
static void begin_strict(const char *refuse) {
    scene_begin(&scene, false);
    sink_begin(&scene, &bastion, "bastion", "");
    free(shell(NULL, "echo 127.0.62.0/24 > %s/allow; echo 127.0.62.9 > %s/deny", scene.dir, scene.dir));
    postern_lines(&scene,
                  "[reputation]\nallow-file = %s/allow\ndeny-file = %s/deny\n[dns]\nservers = "
                  "127.0.0.1:1\n[gate]\nrefuse = %s\npregreet-wait = 0\nsender-domain = off\n",
                  scene.dir, scene.dir, refuse);
    postern_tier(&scene, "strict", "admit = vetted\ngate = on\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
}

Test(session_log, of_a_session_in_the_gate_it_names_the_gates_last_reply) {
    begin_strict("greeting");
    expect_logged("127.0.62.1", (const char *const[]){HELLO, "QUIT\r\n", "221", NULL}, "221");
    expect_logged("127.0.62.2", (const char *const[]){HELLO, "GET / HTTP/1.1\r\n", "521", NULL}, "521");
    expect_logged("127.0.62.3", (const char *const[]){HELLO, ENVELOPE, "QUIT\r\n", "221", NULL}, "221");
    expect_logged("127.0.62.9", (const char *const[]){"554", NULL}, "554");
    expect_logged("127.0.63.1", (const char *const[]){"421", NULL}, "421");
    struct talk talk;
    talk_begin(&talk, "127.0.62.4", scene.port);
    talk_hear(&talk, 15000);
    talk_exchange(&talk, "MAIL FROM:<a@client.test>\r\n", "503");
    talk_end(&talk); /* without QUIT */
    WAIT_FOR(log_has(&scene, " code=503 "), 5000);
    scene_end(&scene);
}

Test(session_log, of_a_session_refused_at_its_recipients_it_names_the_last_reply) {
    begin_strict("rcpt");
    expect_logged("127.0.63.1",
                  (const char *const[]){HELLO, "MAIL FROM:<a@client.test>\r\n", "250", "RCPT TO:<b@example.test>\r\n",
                                        "450", "QUIT\r\n", "221", NULL},
                  "221");
    struct talk talk;
    talk_begin(&talk, "127.0.63.2", scene.port);
    talk_hear(&talk, 15000);
    talk_exchange(&talk, "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@example.test>\r\n", "250");
    talk_expect(&talk, "450");
    talk_end(&talk);
    WAIT_FOR(log_has(&scene, " code=450 "), 5000);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    cr_assert_eq(info_figure(&scene, "refused_total"), 2);
    cr_assert_eq(info_figure(&scene, "sessions_total"), 2);
    scene_end(&scene);
}

/* --- inside TLS, where all that is known is who spoke last --- */

static struct hand hand;

static void expect_end(const char *line) {
    WAIT_FOR(log_has(&hand.scene, "session id="), 10000);
    char *log = shell(NULL, "grep 'session id=' %s/postern.log", hand.scene.dir);
    cr_assert(strstr(log, line) != NULL, "%s\nwanted: %s", log, line);
    free(log);
    hand_end(&hand);
}

static void begin_in_tls(const char *clients_last) {
    hand_begin(&hand, "");
    hand_session(&hand, HAND_TLS);
    if (clients_last[0] == '\0')
        return;
    talk_tell(&hand.client, clients_last);
    talk_await(&hand.host, clients_last);
}

Test(session_log, a_client_that_closes_inside_tls_with_the_last_octets_unread_has_finished) {
    begin_in_tls("");
    hand_say(&hand, "\x17"
                    "221 and close_notify\r\n");
    talk_expect(&hand.client, "\x17");
    talk_reset(&hand.client);
    expect_end("end=-- ");
}

Test(session_log, a_client_that_resets_inside_tls_behind_its_farewell_has_finished) {
    begin_in_tls("\x15\x03\x03"
                 "bye");
    talk_reset(&hand.client);
    expect_end("end=-- ");
}

Test(session_log, a_client_that_resets_inside_tls_while_it_speaks_has_not_finished) {
    begin_in_tls("\x17the beginning of content, which is longer than any alert");
    talk_reset(&hand.client);
    expect_end("end=CR reason=\"the client reset");
}

Test(session_log, a_backend_that_dies_inside_tls_while_the_client_awaits_it_has_not_finished) {
    begin_in_tls("\x17the end of content, which is longer than any alert");
    talk_end(&hand.host);
    expect_end("end=SR reason=\"the backend ended inside TLS");
}

Test(session_log, a_backend_that_closes_with_the_clients_farewell_unread_has_finished) {
    begin_in_tls("\x15\x03\x03"
                 "bye");
    talk_reset(&hand.host);
    expect_end("end=-- ");
}

Test(session_log, a_backend_that_closes_inside_tls_behind_its_own_last_word_has_finished) {
    begin_in_tls("");
    talk_end(&hand.host);
    expect_end("end=-- ");
}
