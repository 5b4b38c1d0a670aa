/* The bench's own tools against those of others, and against each other: what one says it has sent, the other says it
 * has got. A load or a sink that miscounts would make every other figure wrong. */
#include "postfix.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* smtp-sink does not serve as root. */
#define SMTP_SINK "exec smtp-sink -c -u $([ $(id -u) = 0 ] && echo postfix || id -un) 127.0.0.1:%u 100"

static void begin_smtp_sink(struct scene *scene) {
    char command[200];
    int status = 1;
    snprintf(command, sizeof command, SMTP_SINK, scene->port);
    spawn(scene, "smtp-sink.log", (const char *const[]){"sh", "-c", command, NULL});
    /* A connection that says nothing counts as a session of smtp-sink only when it ends. */
    uint64_t limit = now_ms() + 5000;
    while (status != 0) {
        cr_assert(now_ms() < limit, "smtp-sink does not listen");
        free(shell(&status, "grep -q ':%04X 00000000:0000 0A' /proc/net/tcp", scene->port));
    }
}

static json_t *load_at(struct scene *scene, unsigned port, const char *options) {
    scene->port = port;
    return load_run(scene, "%s", options);
}

Test(bench, what_load_has_sent_is_what_smtp_sink_has_got) {
    struct scene scene;
    scene_begin(&scene, false);
    begin_smtp_sink(&scene);
    json_t *result = load_run(&scene, "--concurrency 5 --sessions 60 --mails 3 --size uniform:1-20000");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert_eq(figure(result, "mails"), 180);
    json_decref(result);
    WAIT_FOR(file_has(&scene, "smtp-sink.log", "quit=60 mesg=180"), 5000);
    result = load_run(&scene, "--rate 200 --arrivals poisson --sessions 60 --pipelining");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(file_has(&scene, "smtp-sink.log", "quit=120 mesg=240"), 5000);
    scene_end(&scene);
}

Test(bench, what_smtp_source_has_sent_is_what_sink_has_got) {
    struct scene scene;
    struct test_sink sink;
    int status;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "sink", "");
    free(shell(&status, "smtp-source -s 10 -m 300 -l 5000 127.0.0.1:%u 2>&1", sink.port));
    cr_assert_eq(status, 0);
    cr_assert_eq(sink_figure(&sink, "mails"), 300);
    json_int_t sessions = sink_figure(&sink, "sessions");
    /* -d: all mails of a sender in one session. */
    free(shell(&status, "smtp-source -d -s 10 -m 300 127.0.0.1:%u 2>&1", sink.port));
    cr_assert_eq(status, 0);
    cr_assert_eq(sink_figure(&sink, "mails"), 600);
    cr_assert_eq(sink_figure(&sink, "sessions"), sessions + 10);
    cr_assert_eq(sink_figure(&sink, "faults"), 0);
    scene_end(&scene);
}

Test(bench, what_load_has_sent_in_clear_and_in_tls_is_what_postfix_has_got) {
    struct scene scene;
    struct test_postfix postfix;
    int status;
    char main_cf[400];
    scene_begin(&scene, false);
    free(shell(&status,
               "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s/key -out %s/cert -subj "
               "/CN=mx.example.test 2>&1",
               scene.dir, scene.dir));
    cr_assert_eq(status, 0);
    snprintf(main_cf, sizeof main_cf,
             "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = %s/cert\nsmtpd_tls_key_file = %s/key\n"
             "smtpd_tls_loglevel = 1\n",
             scene.dir, scene.dir);
    postfix_begin(&scene, &postfix, "pf", false, main_cf);
    json_t *result =
        load_at(&scene, postfix.port,
                "--concurrency 4 --sessions 40 --mails 2 --size lognormal:4000,1 --starttls 25 --pipelining");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert_eq(figure(result, "mails"), 80);
    cr_assert_eq(figure(result, "encrypted"), 10);
    json_decref(result);
    WAIT_FOR(postfix_log_count(&postfix, "status=sent") == 80, 20000);
    WAIT_FOR(postfix_log_count(&postfix, "disconnect from") == 40, 5000);
    cr_assert_eq(postfix_log_count(&postfix, "TLS connection established"), 10);
    cr_assert_eq(postfix_log_count(&postfix, "lost connection"), 0);
    postfix_end(&postfix);
    scene_end(&scene);
}

Test(bench, what_postfix_has_relayed_in_tls_is_what_sink_has_got) {
    struct scene scene;
    struct test_postfix postfix;
    struct test_sink sink;
    int status;
    char main_cf[200];
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "sink", "--starttls");
    snprintf(main_cf, sizeof main_cf, "relay_transport = smtp:[127.0.0.1]:%u\nsmtp_tls_security_level = encrypt\n",
             sink.port);
    postfix_begin(&scene, &postfix, "pf", false, main_cf);
    free(shell(&status, "smtp-source -s 5 -m 30 -l 30000 -f a@client.test -t user@example.test 127.0.0.1:%u 2>&1",
               postfix.port));
    cr_assert_eq(status, 0);
    WAIT_FOR(postfix_log_count(&postfix, "status=sent (250 2.0.0 sink queued") == 30, 20000);
    cr_assert_eq(sink_figure(&sink, "mails"), 30);
    cr_assert_eq(sink_figure(&sink, "encrypted"), sink_figure(&sink, "sessions"));
    postfix_end(&postfix);
    scene_end(&scene);
}

/* Content of any size and at any place of its lines, in clear and in TLS, comes through octet by octet. */
Test(bench, load_and_sink_agree_on_each_octet) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "sink", "--starttls");
    for (unsigned size = 2; size < 300; size += size < 80 ? 1 : 37) {
        char options[100];
        snprintf(options, sizeof options, "--size uniform:%u-2000 --seed %u --mails 3 --starttls %u", size, size,
                 size % 2 * 100);
        json_t *result = load_at(&scene, sink.port, options);
        ASSERT_ALL_ACCEPTED(result);
        char *hash = sink_text(&sink, "last_hash");
        cr_assert_eq(sink_figure(&sink, "last_octets"), figure(result, "mail_octets"), "%s", options);
        cr_assert_str_eq(hash, json_string_value(json_object_get(result, "last_hash")), "%s", options);
        free(hash);
        json_decref(result);
    }
    scene_end(&scene);
}

Test(bench, a_dot_is_a_dot_to_the_sink_wherever_it_stands) {
    struct scene scene;
    struct test_sink sink;
    int status;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "sink", "");
    /* Stuffed dots, dots inside lines, a line end without CR before a dot, and each octet in a packet of its own. */
    char *said =
        shell(&status,
              "perl -MIO::Socket::INET -e '"
              "$s = IO::Socket::INET->new(\"127.0.0.1:%u\"); $s->autoflush; setsockopt($s, 6, 1, 1); <$s>;"
              "for (\"HELO a\", \"MAIL FROM:<>\", \"RCPT TO:<b>\", \"DATA\") { print $s \"$_\\r\\n\"; <$s> }"
              "print $s $_ for split //, \"H: v\\r\\n\\r\\n..\\r\\n..a.b\\r\\n.\\n.\\r.\\r\\nx.\\r\\n.\\r\\n\";"
              "print scalar <$s>'",
              sink.port);
    cr_assert_eq(strncmp(said, "250 ", 4), 0, "%s", said);
    cr_assert_eq(sink_figure(&sink, "mails"), 1);
    /* Of 34 octets, four dots are stuffing and three end it: "H: v\r\n\r\n" ".\r\n" ".a.b\r\n" "\n" "\r.\r\n" "x.\r\n".
     */
    cr_assert_eq(sink_figure(&sink, "last_octets"), 8 + 3 + 6 + 1 + 4 + 4);
    free(said);
    scene_end(&scene);
}

Test(bench, load_says_where_a_session_ended) {
    static const struct {
        const char *fault, *outcome, *at, *phase;
        unsigned patience_s; /* short where it is what ends the session */
    } cases[] = {
        {"refuse", "dropped", "dropped_at", "connect", 20},
        {"hang", "timed_out", "timed_out_at", "greeting", 2},
        {"banner-421", "tempfailed", "tempfailed_at", "greeting", 20},
        {"banner-554", "refused", "refused_at", "greeting", 20},
        {"mail-die", "dropped", "dropped_at", "mail", 20},
        {"mail-421", "tempfailed", "tempfailed_at", "mail", 20},
        {"rcpt-die", "dropped", "dropped_at", "rcpt", 20},
        {"dot-silent", "timed_out", "timed_out_at", "dot", 2},
        {"dot-close", "dropped", "dropped_at", "dot", 20},
        {"dot-550", "refused", "refused_at", "dot", 20},
    };
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "sink", "");
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sink_fault(&sink, cases[i].fault);
        char options[80];
        snprintf(options, sizeof options, "--concurrency 3 --sessions 6 --patience %u", cases[i].patience_s);
        json_t *result = load_at(&scene, sink.port, options);
        cr_assert_eq(figure(result, cases[i].outcome), 6, "%s: %s", cases[i].fault, json_dumps(result, 0));
        cr_assert_eq(figure(json_object_get(result, cases[i].at), cases[i].phase), 6, "%s", cases[i].fault);
        json_decref(result);
    }
    scene_end(&scene);
}

Test(bench, load_holds_15000_idle_sessions) {
    struct scene scene;
    struct test_sink sink;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 15100)
        cr_skip_test("RLIMIT_NOFILE is %llu", (unsigned long long)limit.rlim_max);
    scene_begin(&scene, true);
    sink_begin(&scene, &sink, "sink", "");
    scene.port = sink.port;
    pid_t load =
        load_begin(&scene, "load.json", "--sessions 15000 --rate 5000 --hold 600 --patience 60 --source 127.0.0.0/16");
    WAIT_FOR(sink_figure(&sink, "current") == 15000, 30000);
    json_t *result = load_stop(&scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    scene_end(&scene);
}
