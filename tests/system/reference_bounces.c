/* The Postfix configurations that operators copy (conf/postfix), and all that could be written to a sender who is
 * mostly forged: real instances before an inner server that refuses what it had promised to take. */
#include "reference_site.h"

#include <stdio.h>
#include <stdlib.h>

/* A mail of the host itself, from a sender of the test's choice. */
static void sendmail(struct reference_site *site, const char *from, const char *to) {
    int status;
    char *said = shell(&status, "printf 'Subject: hello\\n\\nhello\\n' | sendmail -C %s -i -f '%s' -- '%s' 2>&1",
                       site->host.dir, from, to);
    cr_assert(status == 0, "%s", said);
    free(said);
}

static void await_empty_queue(struct reference_site *site) {
    WAIT_FOR(postfix_queue_count(&site->host) == 0, 20000);
}

/* The bounce was written, had nowhere to go, and nothing was written about it. */
static void expect_bounce_to_die(struct reference_site *site, const char *sender, unsigned times) {
    char text[200];
    snprintf(text, sizeof text, "to=<%s>, relay=none", sender); /* error(8) connects to nobody */
    WAIT_FOR(postfix_log_count(&site->host, text) == times, 20000);
    await_empty_queue(site);
    snprintf(text, sizeof text, "RCPT TO:<%s>", sender);
    cr_assert_eq(scripted_heard(&site->inner, text), 0);
    cr_assert_eq(atomic_load(&site->inner.mails), 0, "a notice reached the inner server");
}

/* --- the variant, whose 250 comes first --- */

Test(reference_bounces, what_the_inner_server_refuses_after_the_250_reaches_no_forged_sender, .timeout = 120) {
    struct reference_site site;
    site_begin(&site, "vm-queue", NULL, NULL);
    scripted_answer(&site.inner, ".", "550 5.7.1 not this one\r\n");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "250 2.0.0 Ok: queued as"));
    expect_bounce_to_die(&site, "a@sender.test", 1);
    /* A recipient that was taken at address verification, and is not now. */
    scripted_forget(&site.inner);
    scripted_answer(&site.inner, "RCPT TO:<user", "550 5.1.1 gone\r\n");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "250 2.0.0 Ok: queued as"));
    expect_bounce_to_die(&site, "a@sender.test", 2);
    scripted_forget(&site.inner);
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "250 2.0.0 Ok: queued as"));
    WAIT_FOR(atomic_load(&site.inner.mails) == 1, 20000);
    site_end(&site);
}

Test(reference_bounces, the_variant_does_not_offer_what_its_inner_server_would_refuse_after_the_250, .timeout = 120) {
    struct reference_site site;
    site_begin(&site, "vm-queue", NULL, NULL);
    cr_assert(site_hears(&site, "EHLO mx.sender.test\nQUIT", "250-8BITMIME\n250 CHUNKING\n"));
    cr_assert(site_hears(&site, "EHLO mx.sender.test\nMAIL FROM:<a@sender.test> SMTPUTF8\nQUIT", "\n555 5.5.4 "));
    site_end(&site);
}

/* Bounces die, so mail that is given up would be lost without a word. */
Test(reference_bounces, mail_that_the_variant_has_taken_outlives_an_inner_server_that_is_down, .timeout = 120) {
    struct reference_site site;
    site_begin(&site, "vm-queue", NULL, NULL);
    cr_assert(site_hears(&site, SITE_FROM SITE_TO "QUIT", "\n250 2.1.5 "));
    scripted_answer(&site.inner, "GREETING", "421 4.3.2 later\r\n");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "250 2.0.0 Ok: queued as"));
    WAIT_FOR(postfix_log_has(&site.host, "status=deferred"), 20000);
    /* It has waited for two hours. */
    postfix_end(&site.host);
    int status;
    char *said =
        shell(&status,
              /* In place: a file's name is its inode. */
              "cd %s/../queue && find deferred active incoming -type f | xargs perl -e 'for (@ARGV) { open my $file, "
              "\"+<\", $_ or die; local $/; my $text = <$file>; $text =~ s/(?<!\\d)(\\d{10})(?!\\d)/abs(time - $1) < "
              "1000 ? $1 - 7200 : $1/ge; seek $file, 0, 0; print $file $text }' 2>&1",
              site.host.dir);
    cr_assert(status == 0, "%s", said);
    free(said);
    postfix_start(&site.host);
    free(shell(NULL, "postqueue -c %s -f", site.host.dir));
    WAIT_FOR(postfix_log_count(&site.host, "status=deferred") >= 2, 20000);
    scripted_forget(&site.inner);
    WAIT_FOR((free(shell(NULL, "postqueue -c %s -f", site.host.dir)), atomic_load(&site.inner.mails) == 1), 30000);
    await_empty_queue(&site);
    cr_assert_eq(atomic_load(&site.inner.mails), 1);
    cr_assert_eq(postfix_log_count(&site.host, "status=bounced"), 0);
    site_end(&site);
}

Test(reference_bounces, a_mail_from_the_sender_that_asks_for_the_filter_does_not_go_round, .timeout = 120) {
    struct reference_site site;
    site_begin(&site, "vm-queue", NULL, NULL);
    cr_assert(
        site_hears(&site, "EHLO mx.sender.test\nMAIL FROM:<check@filter.invalid>\n" SITE_TO "QUIT", "\n250 2.1.5 "));
    cr_assert(
        site_hears(&site, "EHLO mx.sender.test\nMAIL FROM:<check@filter.invalid>\n" SITE_TO SITE_MAIL, "\n550 5.7.1 "));
    cr_assert(site_hears(
        &site, "EHLO mx.sender.test\nMAIL FROM:<check@filter.invalid>\n" SITE_TO "BDAT 3 LAST\\r\\nhi\\n\nQUIT",
        "\n550 5.7.1 "));
    /* However it came in: a bounce to it has nowhere to go. */
    scripted_answer(&site.inner, ".", "550 5.7.1 not this one\r\n");
    sendmail(&site, "check@filter.invalid", "user@example.test");
    expect_bounce_to_die(&site, "check@filter.invalid", 1);
    cr_assert_eq(postfix_log_count(&site.host, "hop count"), 0);
    site_end(&site);
}

/* --- all three --- */

static void expect_nothing_to_leave(const char *reference) {
    struct reference_site site;
    site_begin(&site, reference, NULL, NULL);
    sendmail(&site, "a@sender.test", "b@sender.test");
    scripted_answer(&site.inner, ".", "550 5.7.1 not this one\r\n");
    sendmail(&site, "a@sender.test", "user@example.test");
    expect_bounce_to_die(&site, "a@sender.test", 2);
    cr_assert_eq(postfix_log_count(&site.host, "to=<b@sender.test>, relay=none"), 1);
    /* Mail still flows. */
    scripted_forget(&site.inner);
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "250 2.0.0 "));
    WAIT_FOR(atomic_load(&site.inner.mails) == 1, 20000);
    WAIT_FOR(postfix_log_has(&site.host, "client=mx.sender.test[" SITE_CLIENT "]:40000"), 5000);
    /* What remains, as the header says: a sender forged in our own domains. */
    scripted_answer(&site.inner, "RCPT TO:<user", "550 5.1.1 gone\r\n");
    sendmail(&site, "forged@example.test", "user@example.test");
    WAIT_FOR(scripted_heard(&site.inner, "RCPT TO:<forged@example.test>") == 1, 20000);
    await_empty_queue(&site);
    site_end(&site);
}

Test(reference_bounces, nothing_leaves_a_vm_for_strangers, .timeout = 120) {
    expect_nothing_to_leave("vm");
}

Test(reference_bounces, nothing_leaves_a_vm_with_the_filter_behind_the_queue_for_strangers, .timeout = 120) {
    expect_nothing_to_leave("vm-queue");
}

Test(reference_bounces, nothing_leaves_the_strict_host_for_strangers, .timeout = 120) {
    expect_nothing_to_leave("strict");
}

/* Each 451 would be a mail to postmaster, when things fail. */
static void expect_no_notices(const char *reference) {
    struct reference_site site;
    site_begin(&site, reference, NULL, "smtpd_proxy_timeout=2s");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO "QUIT", "\n250 2.1.5 "));
    scripted_answer(&site.inner, "EHLO", "554 5.3.0 no\r\n");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "\n451 4.3.0 "));
    scripted_forget(&site.inner);
    scripted_answer(&site.inner, "DATA", "");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO SITE_MAIL, "\n451 4.3.0 "));
    scripted_forget(&site.inner);
    cr_assert(site_hears(&site, "BOGUS\nEHLO mx.sender.test\nMAIL FROM:<\nQUIT", "\n50"));
    /* What was written at the end of a session is ahead of this. */
    WAIT_FOR(postfix_log_count(&site.host, "disconnect from") == 4, 10000);
    sendmail(&site, "root@example.test", "user@example.test");
    WAIT_FOR(atomic_load(&site.inner.mails) == 1, 20000);
    await_empty_queue(&site);
    cr_assert_eq(atomic_load(&site.inner.mails), 1);
    cr_assert_eq(postfix_log_count(&site.host, "double-bounce"), 0);
    site_end(&site);
}

Test(reference_bounces, a_vm_in_trouble_writes_to_nobody, .timeout = 120) {
    expect_no_notices("vm");
}

Test(reference_bounces, the_strict_host_in_trouble_writes_to_nobody, .timeout = 120) {
    expect_no_notices("strict");
}

/* By default its MX is asked for, which is postern: mail, and the question about its recipient, would go round. */
Test(reference_bounces, a_domain_of_ours_that_transport_does_not_know_waits, .timeout = 120) {
    struct reference_site site;
    site_begin(&site, "vm", NULL, NULL);
    free(shell(NULL,
               "cd %s && echo ours.test >> relay_domains && echo user@ours.test OK >> relay_recipients && postmap -c . "
               "hash:$PWD/relay_recipients && postfix -c . reload 2>&1",
               site.host.dir));
    WAIT_FOR(site_hears(&site, SITE_FROM "RCPT TO:<user@ours.test>\nQUIT", "\n450 4.3.5 <user@ours.test>"), 10000);
    await_empty_queue(&site);
    site_end(&site);
}
