/* What a stop says in each state of a session beside the plain dialog, and to a real Postfix whose mail is at its dot.
 */
#include "hand.h"
#include "postfix.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct scene scene;
static struct test_sink sink;
static struct hand hand;

/* `listen` and `sections` as postern.ini has them; the sink is the only backend, in a tier of this name and options. */
static void begin(const char *listen, const char *sections, const char *tier) {
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, "stop-timeout = 60s\n");
    postern_listen(&scene, listen);
    postern_lines(&scene, "%s", sections);
    postern_tier(&scene, "strict", tier);
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
}

/* The client has said its steps; now postern is stopped: the client hears that and the end, and the stop ends. */
static void expect_421(const char *const *steps, const char *last) {
    struct talk talk;
    talk_begin(&talk, NULL, scene.port);
    talk_steps(&talk, last, steps);
    WAIT_FOR(info_figure(&scene, "sessions") == 1, 5000);
    kill(scene.postern, SIGTERM);
    const char *reply = talk_hear(&talk, 15000);
    cr_assert(strstr(reply, last) != NULL, "\"%s\" instead of %s", reply, last);
    talk_expect(&talk, "closed");
    talk_end(&talk);
    scene_end(&scene);
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(stop_states, in_the_gates_dialog_a_client_hears_421) {
    begin("", "[gate]\npregreet-wait = 0s\n", "gate = on\n");
    expect_421(SAYS("220", "EHLO client.test\r\n", "250", "MAIL FROM:<a@client.test>\r\n", "250"), "421 4.3.2");
}

/* Says so many EHLO and QUIT, and reads none of the answers. */
static int begin_deaf(unsigned hellos) {
    int small = 1, segment = 300;
    struct talk talk;
    cr_assert_eq(talk_prepare(&talk, NULL), 0);
    setsockopt(talk.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(talk.fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    cr_assert_eq(talk_connect(&talk, "127.0.0.1", scene.port), 0);
    char *said = shell(NULL, "yes 'EHLO client.test\r' | head -n %u; printf 'QUIT\\r\\n'", hellos);
    talk_tell(&talk, said);
    free(said);
    return talk.fd;
}

/* The answers are more than the sockets hold; where the rest is stuck nobody knows, so it is each of them once. */
Test(stop_states, a_client_in_the_gate_that_reads_nothing_is_cut_in_time_with_its_line) {
    int clients[29];
    unsigned count = sizeof clients / sizeof clients[0];
    char label[61], global[300];
    memset(label, 'x', 60);
    label[60] = '\0';
    snprintf(global, sizeof global, "stop-timeout = 500ms\nhostname = %s.%s.%s.test\n", label, label, label);
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, global);
    postern_lines(&scene, "[gate]\npregreet-wait = 0s\npipelining = off\n");
    postern_tier(&scene, "strict", "gate = on\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    for (unsigned i = 0; i < count; i++)
        clients[i] = begin_deaf(9 * (i + 1));
    WAIT_FOR(info_figure(&scene, "gated_total") == count, 5000);
    char *rows = ctl(&scene, NULL, "show sessions");
    cr_assert(strstr(rows, "gate") != NULL, "%s", rows);
    free(rows);
    scene_stop(&scene);
    cr_assert_eq(log_count(&scene, " session id=.* reason="), count);
    for (unsigned i = 0; i < count; i++)
        close(clients[i]);
    scene_end(&scene);
}

Test(stop_states, behind_the_gates_first_line_the_greeting_ends_with_421) {
    begin("", "[gate]\npregreet-wait = 1m\n", "gate = on\n");
    expect_421(SAYS(""), "\r\n421 4.3.2");
}

Test(stop_states, a_client_that_is_refused_at_its_recipients_hears_421) {
    begin("", "[gate]\nrefuse = rcpt\n", "admit = vetted\n");
    expect_421(SAYS("220", "EHLO client.test\r\n", "250"), "421 4.3.2");
}

Test(stop_states, before_the_proxy_header_421_is_said_too) {
    begin("proxy-from = 127.0.0.0/8\nproxy-timeout = 1m\n", "", "");
    expect_421(SAYS(""), "421 4.3.2");
}

Test(stop_states, a_client_whose_backend_is_lost_hears_421) {
    hand_begin(&hand, "stop-timeout = 60s\n");
    hand_session(&hand, HAND_GREETED);
    talk_end(&hand.host);
    WAIT_FOR(sessions_show(&hand.scene, "parked"), 5000);
    hand_stop(&hand);
    talk_expect(&hand.client, "421 4.3.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 5000);
    hand_end(&hand);
}

Test(stop_states, a_client_whose_backend_is_lost_in_content_is_read_to_its_end) {
    hand_begin(&hand, "stop-timeout = 60s\n");
    hand_session(&hand, HAND_CONTENT);
    talk_end(&hand.host);
    WAIT_FOR(sessions_show(&hand.scene, "swallowing"), 5000);
    hand_stop(&hand);
    talk_exchange(&hand.client, "the rest\r\n.\r\n", "421 4.4.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 10000);
    hand_end(&hand);
}

/* The content does not end: `stop-timeout`, or a second signal, does. */
static void expect_421_in_content(const char *global, bool is_hurried) {
    hand_begin(&hand, global);
    hand_session(&hand, HAND_CONTENT);
    talk_end(&hand.host);
    WAIT_FOR(sessions_show(&hand.scene, "swallowing"), 5000);
    hand_stop(&hand);
    if (is_hurried)
        kill(hand.scene.postern, SIGTERM);
    talk_expect(&hand.client, "421 4.4.2");
    talk_expect(&hand.client, "closed");
    hand_expect_exit(&hand, 10000);
    cr_assert(log_has(&hand.scene, "code=421 phase=content "));
    hand_end(&hand);
}

Test(stop_states, a_client_whose_lost_content_does_not_end_in_time_hears_421_all_the_same) {
    expect_421_in_content("stop-timeout = 500ms\n", false);
    expect_421_in_content("stop-timeout = 60s\n", true);
}

Test(stop_states, a_real_postfix_with_its_mail_at_the_dot_sends_it_once) {
    struct test_postfix sender;
    char main_cf[200];
    hand_begin(&hand, "stop-timeout = 60s\n");
    snprintf(main_cf, sizeof main_cf, "relay_transport = smtp:[127.0.0.1]:%u\nsmtp_tls_security_level = none\n",
             hand.scene.port);
    postfix_begin(&hand.scene, &sender, "sender", false, main_cf);
    char *said = shell(
        NULL, "printf 'Subject: once\\n\\nbody\\n' | sendmail -C %s -i -f ann@client.test -- bob@example.test 2>&1",
        sender.dir);
    hand_take(&hand);
    hand_say(&hand, "220 vm1 ESMTP\r\n");
    talk_await(&hand.host, "EHLO ");
    hand_say(&hand, "250-vm1\r\n250 PIPELINING\r\n");
    talk_await(&hand.host, "DATA\r\n");
    hand_say(&hand, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n");
    talk_await(&hand.host, "\r\n.\r\n");
    hand_stop(&hand);
    hand_say(&hand, "250 2.0.0 queued as ONCE\r\n");
    hand_expect_exit(&hand, 10000);
    WAIT_FOR(postfix_log_has(&sender, "status=sent (250 2.0.0 queued as ONCE)"), 10000);
    cr_assert_eq(postfix_log_count(&sender, "status="), 1);
    free(said);
    postfix_end(&sender);
    hand_end(&hand);
}
