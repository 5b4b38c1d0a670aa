/* Dialogs with real Postfix backends that end them early. */
#include "postfix.h"
#include "talk.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Its backend has left the only session, and nobody has taken its place. */
static bool is_parked(struct scene *scene) {
    return sessions_show(scene, "parked");
}

static void begin(struct scene *scene, struct test_postfix postfixes[2], const char *main_cf) {
    scene_begin(scene, false);
    postfix_begin(scene, &postfixes[0], "pf1", true, main_cf);
    postfix_begin(scene, &postfixes[1], "pf2", true, main_cf);
    postern_lines(scene, "[timeouts]\nclient = 1m\n");
    postern_tier(scene, "primary", "proxy = v2\nbalance = roundrobin\n");
    postern_backend(scene, "pf1", postfixes[0].port, "");
    postern_backend(scene, "pf2", postfixes[1].port, "");
    postern_start(scene);
}

static void end(struct scene *scene, struct test_postfix postfixes[2]) {
    postfix_end(&postfixes[0]);
    postfix_end(&postfixes[1]);
    scene_end(scene);
}

/* Postfix says 421 4.4.2 to a client that is silent for smtpd_timeout. */
Test(dialogs, a_backend_that_tires_of_a_silent_client_is_replaced_when_it_speaks_again) {
    struct scene scene;
    struct test_postfix postfixes[2];
    struct talk talk;
    begin(&scene, postfixes, "smtpd_timeout = 2s\n");
    talk_open(&talk, NULL, scene.port);
    talk_envelope(&talk);
    WAIT_FOR(is_parked(&scene), 10000);
    talk_exchange(&talk, "RCPT TO:<other@example.test>\r\n", "250");
    talk_exchange(&talk, "DATA\r\n", "354");
    talk_exchange(&talk, ".\r\n", "250 2.0.0 Ok: queued");
    talk_exchange(&talk, "QUIT\r\n", "221");
    talk_end(&talk);
    WAIT_FOR(log_has(&scene, "said 421; it is replayed") && log_has(&scene, "replays=1"), 5000);
    WAIT_FOR(postfix_log_count(&postfixes[0], "status=sent") + postfix_log_count(&postfixes[1], "status=sent") == 2,
             5000);
    cr_assert_not(log_has_by_now(&scene, "ejected"));
    end(&scene, postfixes);
}

Test(dialogs, between_two_mails_a_lost_backend_costs_nothing_and_quit_is_answered) {
    struct scene scene;
    struct test_postfix postfixes[2];
    struct talk talk;
    begin(&scene, postfixes, "smtpd_timeout = 1s\n");
    talk_open(&talk, NULL, scene.port);
    for (unsigned i = 0; i < 2; i++) {
        talk_transaction(&talk);
        talk_exchange(&talk, ".\r\n", "250");
        WAIT_FOR(is_parked(&scene), 10000);
    }
    talk_exchange(&talk, "QUIT\r\n", "221 2.0.0 mx.example.test Bye");
    talk_end(&talk);
    WAIT_FOR(postfix_log_count(&postfixes[0], "status=sent") + postfix_log_count(&postfixes[1], "status=sent") == 2,
             5000);
    end(&scene, postfixes);
}

Test(dialogs, a_command_drawn_out_octet_by_octet_is_cut_when_its_time_is_over) {
    struct scene scene;
    struct test_sink sink;
    struct talk talk;
    const char *reply = "silent";
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_lines(&scene, "[timeouts]\nclient = 2s\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    talk_open(&talk, NULL, scene.port);
    for (unsigned i = 0; i < 15 && strcmp(reply, "silent") == 0; i++) {
        talk_tell(&talk, "N");
        reply = talk_hear(&talk, 500);
    }
    cr_assert_eq(strncmp(reply, "421 4.4.2", 9), 0, "%s", reply);
    talk_end(&talk);
    WAIT_FOR(log_has(&scene, "the client was idle past"), 5000); /* another thread writes it */
    scene_end(&scene);
}

/* What a reply answered otherwise would mean: the client believes that a recipient was accepted who is not. */
Test(dialogs, where_the_new_backend_answers_otherwise_the_client_hears_421_and_believes_nothing_wrong) {
    struct scene scene;
    struct test_sink sink;
    struct test_postfix postfix;
    struct talk talk;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postfix_begin(&scene, &postfix, "pf2", false, "message_size_limit = 52428800\nsmtpd_sender_restrictions = defer\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_tier(&scene, "second", "");
    postern_backend(&scene, "pf2", postfix.port, "");
    postern_start(&scene);
    await_up(&scene, "pf2");
    talk_open(&talk, NULL, scene.port);
    talk_envelope(&talk);
    kill_child(&scene, sink.pid, SIGKILL);
    WAIT_FOR(is_parked(&scene), 5000);
    talk_exchange(&talk, "DATA\r\n", "421 4.3.2");
    WAIT_FOR(log_has(&scene, "replay: it answers otherwise"), 5000);
    talk_end(&talk);
    postfix_end(&postfix);
    scene_end(&scene);
}

static void make_certificate(struct scene *scene, char *main_cf, size_t size) {
    int status;
    free(shell(&status,
               "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=pf.example.test -days 30 -keyout %s/key.pem -out "
               "%s/cert.pem 2>&1",
               scene->dir, scene->dir));
    cr_assert_eq(status, 0);
    snprintf(main_cf, size,
             "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = %s/cert.pem\nsmtpd_tls_key_file = %s/key.pem\n",
             scene->dir, scene->dir);
}

Test(dialogs, tls_passes_through_untouched_and_a_backend_lost_inside_it_means_a_close) {
    struct scene scene;
    struct test_postfix postfix;
    char main_cf[400];
    int status;
    scene_begin(&scene, false);
    make_certificate(&scene, main_cf, sizeof main_cf);
    postfix_begin(&scene, &postfix, "pf1", true, main_cf);
    postern_tier(&scene, "primary", "proxy = v2\n");
    postern_backend(&scene, "pf1", postfix.port, "");
    postern_start(&scene);
    char *said = shell(&status, "swaks --tls --server 127.0.0.1:%u --from a@client.test --to user@example.test 2>&1",
                       scene.port);
    cr_assert(status == 0 && strstr(said, "TLS started") != NULL, "%s", said);
    free(said);
    WAIT_FOR(log_has(&scene, "phase=tls"), 5000);
    char port[12];
    snprintf(port, sizeof port, "%u", scene.port);
    pid_t client = spawn(&scene, "tls.out",
                         (const char *const[]){"sh", "-c",
                                               "sleep 20 | openssl s_client -starttls smtp -connect 127.0.0.1:$0; "
                                               "echo ended",
                                               port, NULL});
    WAIT_FOR(file_has(&scene, "tls.out", "Verification"), 10000);
    postfix_end(&postfix);
    WAIT_FOR(log_has(&scene, "finished inside TLS") || log_has(&scene, "the backend reset"), 10000);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    cr_assert_not(log_has_by_now(&scene, "it is replayed"));
    kill_child(&scene, client, SIGKILL);
    scene_end(&scene);
}

/* As Exim does as a client. */
Test(dialogs, a_client_that_half_closes_behind_quit_hears_221_and_is_no_lost_connection) {
    struct scene scene;
    struct test_postfix postfixes[2];
    begin(&scene, postfixes, "");
    for (unsigned i = 0; i < 20; i++) {
        struct talk talk;
        talk_open(&talk, NULL, scene.port);
        talk_tell(&talk, "QUIT\r\n");
        shutdown(talk.fd, SHUT_WR);
        talk_expect(&talk, "221 2.0.0");
        talk_expect(&talk, "closed");
        talk_end(&talk);
    }
    WAIT_FOR(postfix_log_count(&postfixes[0], "quit=1") + postfix_log_count(&postfixes[1], "quit=1") >= 20, 10000);
    cr_assert_eq(postfix_log_count(&postfixes[0], "lost connection"), 0);
    cr_assert_eq(postfix_log_count(&postfixes[1], "lost connection"), 0);
    end(&scene, postfixes);
}
