/* What probes find out about a real Postfix, and what they leave in its log. */
#include "postfix.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void start(struct scene *scene, struct test_postfix *postfix, const char *main_cf, const char *tier) {
    postfix_begin(scene, postfix, "pf1", true, main_cf);
    postern_tier(scene, "primary", "");
    postern_lines(scene, "proxy = v2\ninter = 300ms\nfastinter = 200ms\n%s", tier);
    postern_backend(scene, "pf1", postfix->port, "");
    postern_start(scene);
}

static void begin_with(struct scene *scene, struct test_postfix *postfix, const char *main_cf, const char *tier) {
    scene_begin(scene, false);
    start(scene, postfix, main_cf, tier);
}

/* A Postfix with a certificate that ends in `days`; 0: without TLS. */
static void begin(struct scene *scene, struct test_postfix *postfix, unsigned days, const char *tier) {
    char main_cf[400] = "";
    scene_begin(scene, false);
    if (days > 0) {
        int status;
        free(shell(
            &status,
            "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=pf.example.test -days %u -keyout %s/key.pem -out "
            "%s/cert.pem 2>&1",
            days, scene->dir, scene->dir));
        cr_assert_eq(status, 0);
        snprintf(main_cf, sizeof main_cf,
                 "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = %s/cert.pem\nsmtpd_tls_key_file = "
                 "%s/key.pem\nsmtpd_tls_loglevel = 1\n",
                 scene->dir, scene->dir);
    }
    start(scene, postfix, main_cf, tier);
}

static bool has_value(struct scene *scene, const char *key, const char *wanted) {
    char *value = row_value(scene, "servers", "pf1", key);
    bool has = strstr(value, wanted) != NULL;
    free(value);
    return has;
}

static void end(struct scene *scene, struct test_postfix *postfix) {
    char *complaints = shell(
        NULL, "grep -hE 'postfix/smtpd.*(warning|error|fatal|lost connection|SSL_accept)' %s/mail.log", postfix->dir);
    cr_assert_str_eq(complaints, "", "probes leave this in its log:\n%s", complaints);
    free(complaints);
    postfix_end(postfix);
    scene_end(scene);
}

Test(probes, starttls_shakes_hands_with_a_real_postfix_and_tells_when_its_certificate_ends) {
    struct scene scene;
    struct test_postfix postfix;
    begin(&scene, &postfix, 10, "check = starttls\n");
    WAIT_FOR(has_value(&scene, "health", "up"), 5000);
    WAIT_FOR(postfix_log_count(&postfix, "TLS connection established") >= 3, 5000);
    cr_assert(has_value(&scene, "certificate_days", "9"));
    WAIT_FOR(log_has(&scene, "server pf1: its certificate ends in 9 days"), 5000);
    WAIT_FOR(postfix_log_count(&postfix, "starttls=1 quit=1 commands=3") >= 3, 5000);
    end(&scene, &postfix);
}

Test(probes, starttls_fails_a_backend_that_does_not_offer_it) {
    struct scene scene;
    struct test_postfix postfix;
    begin(&scene, &postfix, 0, "check = starttls\n");
    WAIT_FOR(has_value(&scene, "health", "down"), 5000);
    cr_assert(has_value(&scene, "reason", "EHLO: STARTTLS is not offered"));
    end(&scene, &postfix);
}

Test(probes, mail_asks_for_the_recipient_in_clear_and_in_tls) {
    for (unsigned days = 0; days <= 100; days += 100) {
        struct scene scene;
        struct test_postfix postfix;
        begin(&scene, &postfix, days, "check = mail\ncheck-rcpt = user@example.test\n");
        WAIT_FOR(has_value(&scene, "health", "up"), 5000);
        WAIT_FOR(postfix_log_count(&postfix, "mail=1 rcpt=1 rset=1 quit=1") >= 2, 5000);
        cr_assert_eq(postfix_log_count(&postfix, "status="), 0, "a probe must not send mail");
        end(&scene, &postfix);
    }
}

Test(probes, mail_fails_a_backend_that_does_not_take_the_recipient_and_says_its_words) {
    struct scene scene;
    struct test_postfix postfix;
    begin_with(&scene, &postfix, "smtpd_sender_restrictions = reject_unauth_destination\n",
               "check = mail\ncheck-rcpt = user@elsewhere.test\ncheck-from = probe@example.test\n");
    WAIT_FOR(has_value(&scene, "health", "down"), 5000);
    cr_assert(has_value(&scene, "reason", "RCPT: 554 5.7.1 <user@elsewhere.test>: Relay access denied"));
    WAIT_FOR(postfix_log_has(&postfix, "from=<probe@example.test>"), 5000);
    end(&scene, &postfix);
}

Test(probes, a_required_keyword_that_is_missing_fails_a_backend) {
    struct scene scene;
    struct test_postfix postfix;
    begin(&scene, &postfix, 0, "check = ehlo\ncheck-require = PIPELINING XNOSUCH\n");
    WAIT_FOR(has_value(&scene, "health", "down"), 5000);
    cr_assert(has_value(&scene, "reason", "EHLO: XNOSUCH is not offered"));
    end(&scene, &postfix);
}

static bool offers(struct scene *scene, const char *keyword) {
    char *offer = row_value(scene, "tiers", "strict", "offer");
    bool does = strstr(offer, keyword) != NULL;
    free(offer);
    return does;
}

Test(probes, a_gated_tier_offers_what_its_host_does_and_what_it_lacks_is_said_once) {
    struct scene scene;
    struct test_postfix primary, strict;
    scene_begin(&scene, false);
    postfix_begin(&scene, &primary, "pf1", false, "");
    postfix_begin(&scene, &strict, "pf2", false,
                  "smtpd_discard_ehlo_keywords = chunking\nsmtpd_authorized_xclient_hosts = 127.0.0.1\n");
    postern_tier(&scene, "primary", "inter = 200ms\n");
    postern_backend(&scene, "pf1", primary.port, "");
    postern_tier(&scene, "strict", "gate = on\ninter = 200ms\n");
    postern_backend(&scene, "pf2", strict.port, "");
    postern_start(&scene);
    WAIT_FOR(offers(&scene, "PIPELINING"), 5000);
    cr_assert(offers(&scene, "SIZE 10240000") && offers(&scene, "SMTPUTF8"));
    cr_assert(!offers(&scene, "CHUNKING") && !offers(&scene, "XCLIENT"));
    WAIT_FOR(log_has(&scene, "tier strict offers less than other tiers do: it lacks CHUNKING (tier primary)"), 5000);
    WAIT_FOR(log_has(&scene, "server pf2 offers XCLIENT to postern"), 5000);
    WAIT_FOR(postfix_log_count(&strict, "disconnect from") >= 5, 5000);
    cr_assert_eq(log_count(&scene, "offers less than other tiers do"), 1);
    cr_assert_eq(log_count(&scene, "XCLIENT to postern"), 1);
    free(shell(NULL,
               "postconf -c %s -e smtpd_discard_ehlo_keywords= smtpd_authorized_xforward_hosts=127.0.0.1 && "
               "postfix -c %s reload",
               strict.dir, strict.dir));
    WAIT_FOR(offers(&scene, "CHUNKING"), 5000);
    WAIT_FOR(log_has(&scene, "tier strict offers all that other tiers do"), 5000);
    WAIT_FOR(log_count(&scene, "server pf2 offers XCLIENT and XFORWARD to postern") == 1, 5000);
    cr_assert_not(log_has_by_now(&scene, "server pf1 offers"));
    postfix_end(&primary);
    postfix_end(&strict);
    scene_end(&scene);
}

/* As postscreen does, which waits 6 seconds for early talkers. */
Test(probes, a_backend_that_greets_late_is_up_when_the_timeout_allows_it) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "pf1", "--greeting-delay 1500");
    postern_tier(&scene, "primary", "check-timeout = 4s\n");
    postern_backend(&scene, "pf1", sink.port, "");
    postern_start(&scene);
    WAIT_FOR(has_value(&scene, "health", "up"), 5000);
    cr_assert_not(log_has_by_now(&scene, "going-down"));
    scene_end(&scene);
}

Test(probes, by_proxy_version_1_a_real_postfix_is_up) {
    struct scene scene;
    struct test_postfix postfix;
    scene_begin(&scene, false);
    postfix_begin(&scene, &postfix, "pf1", true, "");
    postern_tier(&scene, "primary", "proxy = v1\ninter = 200ms\n");
    postern_backend(&scene, "pf1", postfix.port, "");
    postern_start(&scene);
    WAIT_FOR(has_value(&scene, "health", "up"), 10000);
    WAIT_FOR(postfix_log_count(&postfix, "disconnect from localhost[127.0.0.1]") >= 2, 5000);
    end(&scene, &postfix);
}

/* Its reply to RCPT takes a second: the probe that has begun last awaits it. */
static void begin_slow(struct scene *scene, struct test_postfix *postfix) {
    begin_with(scene, postfix, "smtpd_client_restrictions = sleep 1\n",
               "check = mail\ncheck-rcpt = user@example.test\n");
    WAIT_FOR(has_value(scene, "health", "up"), 10000);
    WAIT_FOR(postfix_log_count(postfix, ": connect from") > postfix_log_count(postfix, "disconnect from"), 10000);
}

static void expect_polite_ends(const struct test_postfix *postfix) {
    WAIT_FOR(postfix_log_count(postfix, "disconnect from") == postfix_log_count(postfix, ": connect from"), 10000);
    cr_assert_eq(postfix_log_count(postfix, "quit=1"), postfix_log_count(postfix, "disconnect from"));
}

Test(probes, a_stop_in_mid_probe_leaves_no_trouble_in_a_backends_log) {
    struct scene scene;
    struct test_postfix postfix;
    begin_slow(&scene, &postfix);
    kill_child(&scene, scene.postern, SIGTERM);
    scene.postern = 0;
    expect_polite_ends(&postfix);
    end(&scene, &postfix);
}

Test(probes, a_server_deleted_in_mid_probe_is_left_politely) {
    struct scene scene;
    struct test_postfix postfix;
    int status;
    begin_slow(&scene, &postfix);
    char *answer = ctl(&scene, &status, "del server pf1");
    cr_assert_eq(status, 0, "%s", answer);
    free(answer);
    expect_polite_ends(&postfix);
    end(&scene, &postfix);
}

Test(probes, a_stop_waits_not_for_long_for_a_backend_that_says_nothing) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    sink_fault(&sink, "hang");
    postern_tier(&scene, "primary", "check-timeout = 10m\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    WAIT_FOR(sink_figure(&sink, "current") > 0, 5000);
    kill_child(&scene, scene.postern, SIGTERM);
    scene.postern = 0;
    scene_end(&scene);
}
