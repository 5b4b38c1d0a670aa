/* The Postfix configurations that operators copy (conf/postfix), with real Postfix and real Amavis: what they must
 * promise. */
#include "amavis.h"
#include "postfix.h"
#include "talk.h"
#include "unbound.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT "203.0.113.5"
#define HELLO  "EHLO mx.sender.test\nMAIL FROM:<a@sender.test>\nRCPT TO:<user@example.test>\n"
#define HEADER                                                                                                         \
    "From: a@sender.test\\r\\nTo: user@example.test\\r\\nSubject: hello\\r\\nMessage-ID: <1@sender.test>\\r\\nDate: "  \
    "Tue, 24 Nov 2026 23:00:00 +0000\\r\\n\\r\\n"
#define GTUBE "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

/* A host with everything around it. */
struct site {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink inner;
    struct test_amavis amavis;
    struct test_postfix host;
};

static const char dns[] = "  local-data: \"sender.test. MX 10 mx.sender.test.\"\n"
                          "  local-data: \"mx.sender.test. A " CLIENT "\"\n"
                          "  local-data-ptr: \"" CLIENT " mx.sender.test\"\n"
                          "  local-data: \"nullmx.test. MX 0 .\"\n"
                          "  local-data: \"9.113.0.203.zen.spamhaus.org. A 127.0.0.4\"\n"
                          "  local-data: \"8.113.0.203.zen.spamhaus.org. A 127.255.255.254\"\n";

/* `amavis`: the file of conf/postfix/amavis; NULL: the filter is the inner server itself. */
static void site_begin(struct site *site, const char *reference, const char *amavis) {
    struct reference_options options = {.back_port = free_port(), .plain = true};
    memset(site, 0, sizeof *site);
    scene_begin(&site->scene, true);
    sink_begin(&site->scene, &site->inner, "inner", "");
    unbound_begin_as_system(&site->scene, &site->unbound, dns);
    options.resolver = site->unbound.address;
    options.inner_port = options.filter_port = site->inner.port;
    options.recipients = "other@example.test OK\n";
    if (amavis != NULL) {
        options.filter_port = site->amavis.port = free_port();
        amavis_begin(&site->scene, &site->amavis, amavis,
                     strcmp(reference, "vm-queue") == 0 ? options.back_port : site->inner.port);
    }
    postfix_begin_reference(&site->scene, &site->host, reference, &options);
}

static void site_end(struct site *site) {
    postfix_end(&site->host);
    if (site->amavis.pid != 0)
        amavis_end(&site->amavis);
    scene_end(&site->scene);
}

static bool hears(struct site *site, const char *client, const char *script, const char *reply) {
    char *heard = talk_lines(site->host.port, client, script);
    bool does = strstr(heard, reply) != NULL;
    if (!does)
        fprintf(stderr, "%s\nwas answered\n%s\nwithout: %s\n", script, heard, reply);
    free(heard);
    return does;
}

static bool takes_user(struct site *site) {
    char *heard = talk_lines(site->host.port, CLIENT, HELLO "QUIT");
    bool does = strstr(heard, "\n250 2.1.5 ") != NULL;
    free(heard);
    return does;
}

/* Postern before the host, with the probe that README tells operators to configure. */
static void begin_postern(struct site *site) {
    postern_tier(&site->scene, "primary",
                 "check = mail\ncheck-from = check@filter.invalid\ncheck-rcpt = postmaster@example.test\nproxy = "
                 "v2\ninter = 500ms\nfastinter = 300ms\n");
    postern_backend(&site->scene, "vm", site->host.port, "");
    postern_start(&site->scene);
}

static bool health_is(struct site *site, const char *health) {
    char *is = row_value(&site->scene, "servers", "vm", "health");
    bool does = strcmp(is, health) == 0;
    free(is);
    return does;
}

/* --- as it is written --- */

static void expect_silent_check(const char *reference) {
    struct scene scene;
    struct test_postfix host;
    scene_begin(&scene, true);
    postfix_build_reference(&scene, &host, reference, &(struct reference_options){0});
    char *said = shell(NULL,
                       "exec 2>&1; postfix -c %s check; cat %s/mail.log 2>/dev/null; postconf -c %s -nx >/dev/null; "
                       "postconf -c %s -Mx >/dev/null; postconf -c %s -Px >/dev/null",
                       host.dir, host.dir, host.dir, host.dir, host.dir);
    cr_assert_str_eq(said, "", "%s: %s", reference, said);
    free(said);
    scene_end(&scene);
}

Test(reference_postfix, postfix_check_has_nothing_to_say_about_a_vm) {
    expect_silent_check("vm");
}

Test(reference_postfix, postfix_check_has_nothing_to_say_about_a_vm_with_the_filter_behind_the_queue) {
    expect_silent_check("vm-queue");
}

Test(reference_postfix, postfix_check_has_nothing_to_say_about_the_strict_host) {
    expect_silent_check("strict");
}

/* Three files hold the same rules; one that is changed or lost in one of them only would be found by spammers first. */
static void expect_to_differ_only_in(const char *reference, const char *names) {
    char *differing = shell(NULL,
                            "(for each in vm %s; do postconf -c conf/postfix/$each -n | sort -u; done) | grep -v "
                            "^config_directory | sort | uniq -u | sed 's/ = .*//; s/ =$//' | uniq | tr '\\n' ' '",
                            reference);
    cr_assert_str_eq(differing, names, "%s differs in: %s", reference, differing);
    free(differing);
}

Test(reference_postfix, all_three_have_the_same_rules_but_for_what_their_comments_explain) {
    expect_to_differ_only_in("vm-queue", "content_filter maximal_queue_lifetime queue_minfree "
                                         "smtpd_discard_ehlo_keywords smtpd_proxy_filter smtpd_proxy_options "
                                         "smtpd_proxy_timeout ");
    expect_to_differ_only_in("strict", "default_process_limit myhostname non_fqdn_reject_code "
                                       "smtpd_client_connection_count_limit smtpd_client_connection_rate_limit ");
}

/* --- a VM --- */

static void expect_250_only_from_the_inner_server(const char *reference) {
    struct site site;
    site_begin(&site, reference, "60-postern");
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "hello\\r\\n.\nQUIT", "250 2.0.0 inner queued"));
    cr_assert_eq(sink_figure(&site.inner, "mails"), 1);
    WAIT_FOR(postfix_log_has(&site.host, "client=mx.sender.test[" CLIENT "]"), 5000);
    /* The inner server's no is the client's no. */
    sink_fault(&site.inner, "dot_550");
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "hello\\r\\n.\nQUIT", "\n550 "));
    /* It is lost after RCPT: a 4xx at the dot, and nothing is kept. */
    sink_fault(&site.inner, "refuse");
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "hello\\r\\n.\nQUIT", "354 End data"));
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "hello\\r\\n.\nQUIT", "\n451 4."));
    cr_assert_eq(sink_figure(&site.inner, "mails"), 1);
    WAIT_FOR(postfix_queue_count(&site.host) == 0, 5000);
    cr_assert_eq(postfix_log_count(&site.host, "status=bounced"), 0);
    site_end(&site);
}

Test(reference_postfix, a_vm_says_250_only_when_the_inner_server_has_the_mail, .timeout = 120) {
    expect_250_only_from_the_inner_server("vm");
}

Test(reference_postfix, the_strict_host_says_250_only_when_the_inner_server_has_the_mail, .timeout = 120) {
    expect_250_only_from_the_inner_server("strict");
}

Test(reference_postfix, a_vm_tells_the_client_itself_what_the_filter_rejects, .timeout = 120) {
    struct site site;
    site_begin(&site, "vm", "60-postern");
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER GTUBE "\\r\\n.\nQUIT", "\n554 5.7.0 Reject"));
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "a bare\\rCR\\r\\n.\nQUIT", "\n554 5.7.0 Reject"));
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "hello\\r\\n.\nQUIT", "250 2.0.0"));
    cr_assert_eq(sink_figure(&site.inner, "mails"), 1, "neither verdict nor notice may reach the inner server");
    cr_assert_eq(postfix_queue_count(&site.host), 0);
    site_end(&site);
}

Test(reference_postfix, a_vm_whose_inner_server_is_down_says_450_at_rcpt_and_the_mail_probe_takes_it_out,
     .timeout = 180) {
    struct site site;
    site_begin(&site, "vm", "60-postern");
    begin_postern(&site);
    WAIT_FOR(health_is(&site, "up") && takes_user(&site), 20000);
    sink_fault(&site.inner, "refuse");
    /* What was good counts for 30 s. */
    WAIT_FOR(health_is(&site, "down"), 50000);
    WAIT_FOR(log_has(&site.scene, "450 4.1.1 <postmaster@example.test>"), 5000);
    WAIT_FOR(!takes_user(&site), 50000);
    cr_assert(
        hears(&site, CLIENT, HELLO "QUIT", "\n450 4.1.1 <user@example.test>: Recipient address rejected: unverified"));
    cr_assert_eq(postfix_queue_count(&site.host), 0);
    sink_fault(&site.inner, "none");
    WAIT_FOR(health_is(&site, "up"), 60000);
    /* This user's 450 is renewed after 10 s. */
    WAIT_FOR(takes_user(&site), 30000);
    site_end(&site);
}

/* The probe's sender is asked about at the filter. */
Test(reference_postfix, a_vm_whose_filter_is_dead_is_taken_out, .timeout = 120) {
    struct site site;
    site_begin(&site, "vm", "60-postern");
    amavis_end(&site.amavis);
    site.amavis.pid = 0;
    begin_postern(&site);
    WAIT_FOR(health_is(&site, "down"), 20000);
    WAIT_FOR(log_has(&site.scene, "450 4.1.7 <check@filter.invalid>: Sender address rejected: unverified address"),
             5000);
    amavis_begin(&site.scene, &site.amavis, "60-postern", site.inner.port);
    WAIT_FOR(health_is(&site, "up"), 60000);
    site_end(&site);
}

/* --- a VM with the filter behind the queue --- */

Test(reference_postfix, the_variant_says_250_first_and_throws_spam_away_without_a_word, .timeout = 120) {
    struct site site;
    site_begin(&site, "vm-queue", "60-postern-queue");
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER "hello\\r\\n.\nQUIT", "250 2.0.0 Ok: queued as"));
    WAIT_FOR(sink_figure(&site.inner, "mails") == 1, 20000);
    cr_assert(hears(&site, CLIENT, HELLO "DATA\n" HEADER GTUBE "\\r\\n.\nQUIT", "250 2.0.0 Ok: queued as"));
    WAIT_FOR(file_has(&site.scene, "amavis.log", "Blocked SPAM {DiscardedInbound,Quarantined}"), 20000);
    WAIT_FOR(postfix_queue_count(&site.host) == 0, 20000);
    cr_assert_eq(sink_figure(&site.inner, "mails"), 1, "neither spam nor a notice of it may leave");
    cr_assert_eq(postfix_log_count(&site.host, "status=bounced"), 0);
    WAIT_FOR(postfix_log_has(&site.host, "postfix/10025/smtpd"), 5000);
    site_end(&site);
}

/* --- the strict host --- */

struct dialog {
    const char *script;
    const char *reply;
};

static void expect_each(struct site *site, const char *client, const struct dialog *dialogs, size_t count) {
    for (size_t i = 0; i < count; i++)
        cr_assert(hears(site, client, dialogs[i].script, dialogs[i].reply), "%s", dialogs[i].script);
}

#define EXPECT_EACH(site, client, ...)                                                                                 \
    expect_each(site, client, (const struct dialog[]){__VA_ARGS__},                                                    \
                sizeof((const struct dialog[]){__VA_ARGS__}) / sizeof(struct dialog))

#define FROM "EHLO mx.sender.test\nMAIL FROM:<a@sender.test>\nRCPT TO:"

Test(reference_postfix, the_strict_host_relays_for_nobody, .timeout = 120) {
    struct site site;
    site_begin(&site, "strict", NULL);
    const char *const clients[] = {CLIENT, "127.0.0.1"};
    for (size_t i = 0; i < 2; i++)
        EXPECT_EACH(&site, clients[i], {FROM "<a@elsewhere.test>\nQUIT", "\n554 5.7.1 <a@elsewhere.test>: Relay"},
                    {FROM "<user@sub.elsewhere.example.test.test>\nQUIT", "\n554 5.7.1 "},
                    {FROM "<user%elsewhere.test@example.test>\nQUIT", "\n554 5.7.1 "},
                    {FROM "<elsewhere.test!user@example.test>\nQUIT", "\n554 5.7.1 "},
                    {FROM "<\"user@elsewhere.test\"@example.test>\nQUIT", "\n554 5.7.1 "},
                    {FROM "<@example.test:user@elsewhere.test>\nQUIT", "\n554 5.7.1 "});
    char *heard = talk_lines(site.host.plain_port, NULL, FROM "<a@elsewhere.test>\nQUIT");
    cr_assert_not_null(strstr(heard, "\n554 5.7.1 "), "without a PROXY header: %s", heard);
    free(heard);
    site_end(&site);
}

Test(reference_postfix, the_strict_host_takes_only_users_that_exist, .timeout = 120) {
    struct site site;
    site_begin(&site, "strict", NULL);
    EXPECT_EACH(&site, CLIENT, {FROM "<nobody@example.test>\nQUIT", "\n550 5.1.1 <nobody@example.test>: Recipient"},
                {FROM "<user@nosub.example.test>\nQUIT", "\n550 5.1.1 "}, {FROM "<user@bare>\nQUIT", "\n450 4.5.2 "},
                {FROM "<USER+ext@EXAMPLE.test>\nQUIT", "\n250 2.1.5 "}, {FROM "<postmaster>\nQUIT", "\n250 2.1.5 "});
    site_end(&site);
}

Test(reference_postfix, the_strict_host_refuses_by_itself_what_the_gate_refuses, .timeout = 120) {
    struct site site;
    site_begin(&site, "strict", NULL);
#define TO "MAIL FROM:<a@sender.test>\nRCPT TO:<user@example.test>\nQUIT"
    EXPECT_EACH(&site, CLIENT, {"MAIL FROM:<a@sender.test>\nQUIT", "\n503 5.5.1 "}, {"EHLO a..b\n" TO, "\n501 5.5.2 "},
                {"EHLO bare\n" TO, "\n450 4.5.2 <bare>: Helo"}, {"EHLO 203.0.113.5\n" TO, "\n450 4.5.2 "},
                {"EHLO [203.0.113.5]\n" TO, "\n250 2.1.5 "},
                {"EHLO mx.sender.test\nMAIL FROM:a@sender.test\nQUIT", "\n250 2.1.0 "},
                {"EHLO mx.sender.test\nMAIL FROM:<a b\nQUIT", "\n501 5."},
                {"EHLO mx.sender.test\nMAIL FROM:<a@bare>\nRCPT TO:<user@example.test>\nQUIT", "\n450 4.5.2 <a@bare>"},
                {"EHLO mx.sender.test\nMAIL FROM:<a@nosuch.test>\nRCPT TO:<user@example.test>\nQUIT", "\n450 4.1.8 "},
                {"EHLO mx.sender.test\nMAIL FROM:<a@nullmx.test>\nRCPT TO:<user@example.test>\nQUIT", "\n550 5.7.27 "},
                {"EHLO mx.sender.test\nMAIL FROM:<a@sender.test> SIZE=15728641\nQUIT", "\n552 5.3.4 "},
                {"EHLO mx.sender.test\nVRFY user@example.test\nQUIT", "\n502 5.5.1 "},
                {"GET / HTTP/1.1", "\n221 2.7.0 "}, {"Subject: hello", "\n221 2.7.0 "},
                {"\\x16\\x03\\x01\\x02", "\n221 2.7.0 "},
                {"EHLO mx.sender.test\\r\\nMAIL FROM:<a@sender.test>", "\n554 5.5.0 "},
                {FROM "<user@example.test>\nDATA\\r\\n" HEADER "\\r\\n.", "\n554 5.5.0 "});
    EXPECT_EACH(&site, "203.0.113.9", {"EHLO mx.sender.test\n" TO, "\n554 5.7.1 Service unavailable; Client host"});
    EXPECT_EACH(&site, "203.0.113.8", {"EHLO mx.sender.test\n" TO, "\n250 2.1.5 "});
    site_end(&site);
}

/* SMTP smuggling (CVE-2023-51764): what stands behind a false end must not become a second mail. */
Test(reference_postfix, only_crlf_dot_crlf_ends_a_mail_on_the_strict_host, .timeout = 120) {
    struct site site;
    site_begin(&site, "strict", NULL);
    const char *const ends[] = {"\\r\\n.\\n", "\\n.\\n", "\\n.\\r\\n", "\\r.\\r", "\\r\\n.\\r"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char script[1024];
        snprintf(script, sizeof script,
                 HELLO "DATA\n" HEADER
                       "one%sMAIL FROM:<b@sender.test>\\r\\nRCPT TO:<other@example.test>\\r\\nDATA\\r\\n"
                       "Subject: two\\r\\n\\r\\ntwo\\r\\n.\nQUIT",
                 ends[i]);
        cr_assert(hears(&site, CLIENT, script, "\n250 2.0.0 inner queued\n221 "), "%s", ends[i]);
        cr_assert_eq(sink_figure(&site.inner, "mails"), (json_int_t)i + 1, "%s", ends[i]);
    }
    free(talk_lines(site.host.port, "203.0.113.99", "QUIT"));
    WAIT_FOR(postfix_log_has(&site.host, "[203.0.113.99]"), 5000); /* what came before is there, too */
    cr_assert_not(postfix_log_has(&site.host, "b@sender.test"));
    site_end(&site);
}
