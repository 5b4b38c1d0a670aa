/* Dialogs spoken by hand with real Postfix backends that end them early. */
#include "postfix.h"
#include "talk.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Speaks with postern by bash: each word of `script` is a line to say after the last reply, or "+N": silence of N
 * seconds. Returns all that was heard. */
static char *speak(struct scene *scene, const char *script) {
    return shell(
        NULL,
        "bash -c '"
        "exec 3<>/dev/tcp/127.0.0.1/%u || exit 1\n"
        "hear() { while read -t 15 -r line <&3; do echo \"$line\"; [[ $line == ???\\ * ]] && return; done; echo "
        "closed; }\n"
        "hear\n"
        "while read -r word; do\n"
        "  if [[ $word == +* ]]; then sleep ${word#+}; else printf \"%%s\\r\\n\" \"$word\" >&3; hear; fi\n"
        "done' <<'EOF' | tr -d '\\r'\n%s\nEOF\n",
        scene->port, script);
}

static void begin(struct scene *scene, struct test_postfix postfixes[2], const char *main_cf) {
    scene_begin(scene, false);
    postfix_begin(scene, &postfixes[0], "pf1", true, main_cf);
    postfix_begin(scene, &postfixes[1], "pf2", true, main_cf);
    postern_begin(scene,
                  "[timeouts]\nclient = 1m\n[tier primary]\nproxy = v2\nbalance = roundrobin\n"
                  "[backend pf1]\ntier = primary\naddress = 127.0.0.1:%u\n"
                  "[backend pf2]\ntier = primary\naddress = 127.0.0.1:%u\n",
                  postfixes[0].port, postfixes[1].port);
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
    begin(&scene, postfixes, "smtpd_timeout = 2s\n");
    char *heard = speak(&scene, "EHLO client.test\nMAIL FROM:<a@client.test>\nRCPT TO:<user@example.test>\n+4\n"
                                "RCPT TO:<other@example.test>\nDATA\n.\nQUIT");
    cr_assert_null(strstr(heard, "\n421"), "%s", heard);
    cr_assert_null(strstr(heard, "closed"), "%s", heard);
    cr_assert_not_null(strstr(heard, "250 2.0.0 Ok: queued"), "%s", heard);
    WAIT_FOR(log_has(&scene, "said 421; it is replayed") && log_has(&scene, "replays=1"), 5000);
    free(heard);
    WAIT_FOR(postfix_log_count(&postfixes[0], "status=sent") + postfix_log_count(&postfixes[1], "status=sent") == 2,
             5000);
    cr_assert_not(log_has(&scene, "ejected"));
    end(&scene, postfixes);
}

Test(dialogs, between_two_mails_a_lost_backend_costs_nothing_and_quit_is_answered) {
    struct scene scene;
    struct test_postfix postfixes[2];
    begin(&scene, postfixes, "smtpd_timeout = 1s\n");
    char *heard =
        speak(&scene, "EHLO client.test\nMAIL FROM:<a@client.test>\nRCPT TO:<user@example.test>\nDATA\n.\n+3\n"
                      "MAIL FROM:<a@client.test>\nRCPT TO:<user@example.test>\nDATA\n.\n+3\nQUIT");
    cr_assert_null(strstr(heard, "\n421"), "%s", heard);
    cr_assert_not_null(strstr(heard, "221 2.0.0 mx.example.test Bye"), "%s", heard);
    free(heard);
    WAIT_FOR(postfix_log_count(&postfixes[0], "status=sent") + postfix_log_count(&postfixes[1], "status=sent") == 2,
             5000);
    end(&scene, postfixes);
}

Test(dialogs, a_command_drawn_out_octet_by_octet_is_cut_when_its_time_is_over) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_begin(&scene,
                  "[timeouts]\nclient = 2s\n[tier primary]\n[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n",
                  sink.port);
    char *heard =
        shell(NULL,
              "timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/%u; read -r line <&3; printf \"EHLO c\\r\\n\" >&3; "
              "(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do printf N >&3; sleep 0.5; done) 2>/dev/null & "
              "cat <&3; kill $!'",
              scene.port);
    cr_assert_not_null(strstr(heard, "421 4.4.2"), "%s", heard);
    free(heard);
    WAIT_FOR(log_has(&scene, "the client was idle past"), 5000); /* another thread writes it */
    scene_end(&scene);
}

/* What a reply answered otherwise would mean: the client believes that a recipient was accepted who is not. */
Test(dialogs, where_the_new_backend_answers_otherwise_the_client_hears_421_and_believes_nothing_wrong) {
    struct scene scene;
    struct test_sink sink;
    struct test_postfix postfix;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postfix_begin(&scene, &postfix, "pf2", false, "message_size_limit = 52428800\nsmtpd_sender_restrictions = defer\n");
    postern_begin(&scene,
                  "[tier primary]\n[tier second]\n"
                  "[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n"
                  "[backend pf2]\ntier = second\naddress = 127.0.0.1:%u\n",
                  sink.port, postfix.port);
    WAIT_FOR(log_has(&scene, "server pf2 health starting -> up"), 5000);
    free(shell(NULL, "(sleep 1; kill -9 %d) >/dev/null 2>&1 &", (int)sink.pid));
    char *heard = speak(&scene, "EHLO client.test\nMAIL FROM:<a@client.test>\nRCPT TO:<user@example.test>\n+2\nDATA");
    cr_assert_not_null(strstr(heard, "421 4.3.2"), "%s", heard);
    cr_assert_null(strstr(heard, "354"), "%s", heard);
    WAIT_FOR(log_has(&scene, "replay: it answers otherwise"), 5000);
    free(heard);
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
    postern_begin(&scene, "[tier primary]\nproxy = v2\n[backend pf1]\ntier = primary\naddress = 127.0.0.1:%u\n",
                  postfix.port);
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
    cr_assert_not(log_has(&scene, "it is replayed"));
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
        talk_begin(&talk, NULL, scene.port);
        cr_assert(strncmp(talk_hear(&talk, 10000), "220", 3) == 0);
        talk_say(&talk, "EHLO client.test\r\n", 18);
        cr_assert(strncmp(talk_hear(&talk, 10000), "250", 3) == 0);
        talk_say(&talk, "QUIT\r\n", 6);
        shutdown(talk.fd, SHUT_WR);
        cr_assert(strncmp(talk_hear(&talk, 10000), "221 2.0.0", 9) == 0, "%s", talk.heard);
        cr_assert_str_eq(talk_hear(&talk, 10000), "closed");
        talk_end(&talk);
    }
    WAIT_FOR(postfix_log_count(&postfixes[0], "quit=1") + postfix_log_count(&postfixes[1], "quit=1") >= 20, 10000);
    cr_assert_eq(postfix_log_count(&postfixes[0], "lost connection"), 0);
    cr_assert_eq(postfix_log_count(&postfixes[1], "lost connection"), 0);
    end(&scene, postfixes);
}
