/* Real mail: real senders on one side, real Postfix on the other. */
#include "postfix.h"

#include <stdlib.h>
#include <string.h>

static void begin_pair(struct scene *scene, struct test_postfix postfixes[2], const char *proxy) {
    scene_begin(scene, false);
    postfix_begin(scene, &postfixes[0], "pf1", strcmp(proxy, "none") != 0, "");
    postfix_begin(scene, &postfixes[1], "pf2", strcmp(proxy, "none") != 0, "");
    postern_tier(scene, "primary", "");
    postern_lines(
        scene, "balance = roundrobin\nproxy = %s\ncheck = ehlo\ncheck-require = PIPELINING 8BITMIME\ninter = 300ms\n",
        proxy);
    postern_backend(scene, "pf1", postfixes[0].port, "");
    postern_backend(scene, "pf2", postfixes[1].port, "");
    postern_start(scene);
}

static void end_pair(struct scene *scene, struct test_postfix postfixes[2]) {
    postfix_end(&postfixes[0]);
    postfix_end(&postfixes[1]);
    scene_end(scene);
}

static unsigned count_both(const struct test_postfix postfixes[2], const char *text) {
    return postfix_log_count(&postfixes[0], text) + postfix_log_count(&postfixes[1], text);
}

static void expect_client_named(const char *proxy) {
    struct scene scene;
    struct test_postfix postfixes[2];
    int status;
    begin_pair(&scene, postfixes, proxy);
    char *said = shell(&status,
                       "swaks --server 127.0.0.1 --port %u --local-interface 127.0.9.9 --from a@client.test --to "
                       "user@example.test --body hello 2>&1",
                       scene.port);
    cr_assert(status == 0, "swaks: %s", said);
    free(said);
    /* Postfix names the real client: that is what the PROXY header is for. */
    WAIT_FOR(count_both(postfixes, "client=unknown[127.0.9.9]") == 1, 5000);
    WAIT_FOR(count_both(postfixes, "status=sent") == 1, 5000);
    end_pair(&scene, postfixes);
}

Test(mail, swaks_reaches_postfix_and_proxy_v2_names_the_client) {
    expect_client_named("v2");
}

Test(mail, swaks_reaches_postfix_and_proxy_v1_names_the_client) {
    expect_client_named("v1");
}

Test(mail, parallel_sessions_of_smtp_source_are_all_queued) {
    struct scene scene;
    struct test_postfix postfixes[2];
    int status;
    begin_pair(&scene, postfixes, "v2");
    char *said =
        shell(&status, "smtp-source -s 10 -m 200 -l 4000 -f a@client.test -t user@example.test 127.0.0.1:%u 2>&1",
              scene.port);
    cr_assert(status == 0, "smtp-source: %s", said);
    WAIT_FOR(count_both(postfixes, "status=sent") == 200, 20000);
    cr_assert(postfix_log_count(&postfixes[0], "status=sent") > 60);
    free(said);
    end_pair(&scene, postfixes);
}

Test(mail, a_postfix_that_relays_through_postern_delivers_all) {
    struct scene scene;
    struct test_postfix postfixes[2], sender;
    int status;
    char main_cf[200];
    begin_pair(&scene, postfixes, "v2");
    snprintf(main_cf, sizeof main_cf, "relay_transport = smtp:[127.0.0.1]:%u\n", scene.port);
    postfix_begin(&scene, &sender, "sender", false, main_cf);
    char *said =
        shell(&status, "smtp-source -s 5 -m 50 -f a@client.test -t user@example.test 127.0.0.1:%u 2>&1", sender.port);
    cr_assert(status == 0, "smtp-source: %s", said);
    free(said);
    WAIT_FOR(postfix_log_count(&sender, "status=sent (250 2.0.0 Ok: queued as") == 50, 30000);
    WAIT_FOR(count_both(postfixes, "status=sent") == 50, 10000);
    postfix_end(&sender);
    end_pair(&scene, postfixes);
}

/* A probe every 300 ms must not fill the log of a real MTA with complaints. */
Test(mail, probes_leave_no_complaint_in_postfixs_log) {
    struct scene scene;
    struct test_postfix postfixes[2];
    begin_pair(&scene, postfixes, "v2");
    WAIT_FOR(count_both(postfixes, "disconnect from") >= 10, 20000);
    cr_assert(count_both(postfixes, "lost connection") == 0);
    char *complaints =
        shell(NULL, "grep -hE 'postfix/(smtpd|postscreen).*(warning|error|fatal):' %s/pf*/mail.log", scene.dir);
    cr_assert_str_eq(complaints, "");
    free(complaints);
    cr_assert(count_both(postfixes, "error:") == 0);
    end_pair(&scene, postfixes);
}
