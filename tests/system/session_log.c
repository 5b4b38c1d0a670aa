/* A session's log line names what the client heard last, and all the octets of it. */
#include "hand.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct scene scene;
static struct test_sink vm, bastion;

/* Speaks from `source` up to the end of the stream; then a line tells of so many octets and of this code. */
static void expect_logged(const char *source, const char *const *steps, const char *code) {
    struct talk talk;
    char pattern[200];
    const char *reply = "";
    talk_begin(&talk, source, scene.port);
    for (unsigned i = 0; steps[i] != NULL; i++) {
        if (i % 2 == 1)
            talk_say(&talk, steps[i], strlen(steps[i]));
        else if (steps[i][0] != '\0') {
            reply = talk_hear(&talk, 15000);
            cr_assert(strncmp(reply, steps[i], strlen(steps[i])) == 0, "%s: \"%s\" for %s", source, reply, steps[i]);
        }
    }
    cr_assert_str_eq(talk_hear(&talk, 15000), "closed");
    snprintf(pattern, sizeof pattern, "session id=.* client=%s:.* out=%zu mails=[0-9]* code=%s ", source, talk.length,
             code);
    for (uint64_t until = now_ms() + 5000;;) {
        int status;
        free(shell(&status, "grep -q '%s' %s/postern.log", pattern, scene.dir));
        if (status == 0)
            break;
        char *line = shell(NULL, "grep 'session id=.* client=%s:' %s/postern.log", source, scene.dir);
        cr_assert(now_ms() < until, "heard: %s\nnot logged: %s\nlogged: %s", talk.heard, pattern, line);
        free(line);
        pause_ms(20);
    }
    talk_end(&talk);
}

#define HELLO    "220", "EHLO client.test\r\n", "250"
#define ENVELOPE "MAIL FROM:<a@client.test>\r\n", "250", "RCPT TO:<b@example.test>\r\n", "250"

static void begin_plain(const char *timeouts) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    postern_begin(&scene,
                  "[timeouts]\n%s[tier primary]\noutlier = 0\n[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n",
                  timeouts, vm.port);
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
    begin_plain("client = 300ms\n");
    expect_logged("127.0.60.4", (const char *const[]){HELLO, "", "421", NULL}, "421");
    scene_end(&scene);
}

/* Only the strict tier is there; 127.0.62.0/24 is vetted. */
static void begin_strict(const char *refuse) {
    scene_begin(&scene, false);
    sink_begin(&scene, &bastion, "bastion", "");
    free(shell(NULL, "echo 127.0.62.0/24 > %s/allow; echo 127.0.62.9 > %s/deny", scene.dir, scene.dir));
    postern_begin(&scene,
                  "[reputation]\nallow-file = %s/allow\ndeny-file = %s/deny\n[dns]\nservers = 127.0.0.1:1\n"
                  "[gate]\nrefuse = %s\npregreet-wait = 0\nsender-domain = off\n[tier strict]\nadmit = vetted\n"
                  "gate = on\n[backend bastion]\ntier = strict\naddress = 127.0.0.1:%u\n",
                  scene.dir, scene.dir, refuse, bastion.port);
    WAIT_FOR(log_has(&scene, "server bastion health starting -> up"), 10000);
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
    talk_say(&talk, "MAIL FROM:<a@client.test>\r\n", 27);
    cr_assert_eq(strncmp(talk_hear(&talk, 15000), "503", 3), 0);
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
    talk_say(&talk, "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@example.test>\r\n", 53);
    cr_assert_eq(strncmp(talk_hear(&talk, 15000), "250", 3), 0);
    cr_assert_eq(strncmp(talk_hear(&talk, 15000), "450", 3), 0);
    talk_end(&talk);
    WAIT_FOR(log_has(&scene, " code=450 "), 5000);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    cr_assert_eq(info_figure(&scene, "refused_total"), 2);
    cr_assert_eq(info_figure(&scene, "sessions_total"), 2);
    scene_end(&scene);
}

/* --- inside TLS, where all that is known is who spoke last --- */

static struct hand hand;

static void reset(int *fd) {
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(*fd);
    *fd = -1;
}

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
    hand_client_says(&hand, clients_last);
    hand_await(&hand, clients_last);
}

Test(session_log, a_client_that_closes_inside_tls_with_the_last_octets_unread_has_finished) {
    begin_in_tls("");
    hand_say(&hand, "\x17"
                    "221 and close_notify\r\n");
    hand_client_hears(&hand, "\x17");
    reset(&hand.client.fd);
    expect_end("end=-- ");
}

Test(session_log, a_client_that_resets_inside_tls_behind_its_farewell_has_finished) {
    begin_in_tls("\x15\x03\x03"
                 "bye");
    reset(&hand.client.fd);
    expect_end("end=-- ");
}

Test(session_log, a_client_that_resets_inside_tls_while_it_speaks_has_not_finished) {
    begin_in_tls("\x17the beginning of content, which is longer than any alert");
    reset(&hand.client.fd);
    expect_end("end=CR reason=\"the client reset");
}

Test(session_log, a_backend_that_dies_inside_tls_while_the_client_awaits_it_has_not_finished) {
    begin_in_tls("\x17the end of content, which is longer than any alert");
    close(hand.fd);
    hand.fd = -1;
    expect_end("end=SR reason=\"the backend ended inside TLS");
}

Test(session_log, a_backend_that_closes_with_the_clients_farewell_unread_has_finished) {
    begin_in_tls("\x15\x03\x03"
                 "bye");
    reset(&hand.fd);
    expect_end("end=-- ");
}

Test(session_log, a_backend_that_closes_inside_tls_behind_its_own_last_word_has_finished) {
    begin_in_tls("");
    close(hand.fd);
    hand.fd = -1;
    expect_end("end=-- ");
}
