/* The Postfix configurations that operators copy (conf/postfix), where the inner server is slow, hangs or says no to
 * the question and not to the mail, where the disk is full, and where all smtpd are busy: no good mail may be lost by
 * it. */
#include "reference_site.h"
#include "talk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define HEAR_MS 90000

/* --- an inner server that takes its time --- */

/* Postern before the host as conf/postfix/README.md has it, so that its deadlines are in the way, too. */
static void begin_postern(struct reference_site *site) {
    char *readme = shell(NULL, "sed -n 's/^ *\\(check-timeout = [0-9]*s\\) .*/\\1/p' conf/postfix/README.md");
    cr_assert_eq(strncmp(readme, "check-timeout = ", 16), 0, "README.md has no check-timeout: %s", readme);
    postern_tier(&site->scene, "primary", "");
    postern_lines(
        &site->scene,
        "check = mail\ncheck-from = check@filter.invalid\ncheck-rcpt = postmaster@example.test\nproxy = v2\n%s\n",
        readme);
    postern_backend(&site->scene, "vm", site->host.port, "");
    postern_start(&site->scene);
    free(readme);
}

static bool is_up(struct reference_site *site) {
    char *health = row_value(&site->scene, "servers", "vm", "health");
    bool is = strcmp(health, "up") == 0;
    free(health);
    return is;
}

static void expect_mail_in_spite_of_pause(const char *reference, unsigned pause) {
    struct reference_site site;
    site_begin(&site, reference, NULL, NULL);
    atomic_store(&site.inner.greeting_ms, pause);
    begin_postern(&site);
    WAIT_FOR(is_up(&site), 80000);
    struct talk talk;
    talk_begin(&talk, NULL, site.scene.port);
    talk.patience_ms = HEAR_MS;
    talk_steps(&talk, reference,
               (const char *const[]){"2", "EHLO mx.sender.test\r\n", "2", "MAIL FROM:<a@sender.test>\r\n", "2",
                                     "RCPT TO:<user@example.test>\r\n", "2", "DATA\r\n", "3",
                                     "Subject: hello\r\n\r\nhello\r\n.\r\n", "250 2.0.0 queued", NULL});
    talk_end(&talk);
    cr_assert_eq(atomic_load(&site.inner.mails), 1);
    site_end(&site);
}

Test(reference_limits, an_inner_server_that_pauses_6_s_before_its_greeting_gets_its_mail, .timeout = 240) {
    expect_mail_in_spite_of_pause("vm", 6000);
}

Test(reference_limits, an_inner_server_that_pauses_20_s_before_its_greeting_gets_its_mail, .timeout = 240) {
    expect_mail_in_spite_of_pause("vm", 20000);
}

Test(reference_limits, an_inner_server_that_pauses_20_s_gets_its_mail_from_the_strict_host, .timeout = 240) {
    expect_mail_in_spite_of_pause("strict", 20000);
}

/* A client from `source` (NULL: any address) asks postern for user@example.test; the answer must begin with `code`. */
static void expect_at_rcpt(struct reference_site *site, const char *source, const char *code) {
    struct talk talk;
    talk_begin(&talk, source, site->scene.port);
    talk.patience_ms = HEAR_MS;
    talk_steps(&talk, code,
               (const char *const[]){"220", "EHLO mx.sender.test\r\n", "250", "MAIL FROM:<a@sender.test>\r\n", "250",
                                     "RCPT TO:<user@example.test>\r\n", code, NULL});
    talk_end(&talk);
}

/* The host gives up before postern's `reply` does, and its 450 is remembered: the next client does not wait. */
static void expect_450_of_hanging(const char *reference, const char *stage) {
    struct reference_site site;
    site_begin(&site, reference, NULL, NULL);
    scripted_answer(&site.inner, stage, "");
    postern_tier(&site.scene, "primary", "check = ehlo\nproxy = v2\n");
    postern_backend(&site.scene, "vm", site.host.port, "");
    postern_start(&site.scene);
    expect_at_rcpt(&site, NULL, "450 4.1.1 ");
    WAIT_FOR(postfix_log_has(&site.host, "status=undeliverable"), 40000);
    unsigned questions = scripted_heard(&site.inner, "MAIL FROM");
    cr_assert(site_hears(&site, SITE_FROM SITE_TO "QUIT", "\n450 4.1.1 "));
    cr_assert_eq(scripted_heard(&site.inner, "MAIL FROM"), questions);
    site_end(&site);
}

Test(reference_limits, an_inner_server_that_hangs_at_rcpt_is_a_450_and_no_lost_session, .timeout = 240) {
    expect_450_of_hanging("vm", "RCPT");
}

Test(reference_limits, an_inner_server_that_never_greets_is_a_450_and_no_lost_session, .timeout = 240) {
    expect_450_of_hanging("vm", "GREETING");
}

/* --- a resolver that says nothing --- */

/* Asks nobody and answers nobody; returns its address, which is this test's alone as its port is. */
static void begin_silent_resolver(char ret_address[24]) {
    unsigned port = free_port();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(ret_address, 24, "127.53.%u.%u", port >> 8, port & 255);
    cr_assert_eq(inet_pton(AF_INET, ret_address, &address.sin_addr), 1);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
}

/* With the resolv.conf of README.md, where the default would keep postern waiting for the greeting, and for RCPT. */
Test(reference_limits, a_resolver_that_is_silent_is_a_450_and_no_lost_session, .timeout = 240) {
    struct reference_site site;
    char resolver[24];
    site_build(&site, "vm", NULL, NULL);
    begin_silent_resolver(resolver);
    char *said = shell(NULL,
                       "(echo nameserver %s; sed -n 's/.*\\\\n\\(options [a-z0-9: ]*\\)\\\\n.*/\\1/p' "
                       "conf/postfix/README.md) | tee %s/../queue/etc/resolv.conf",
                       resolver, site.host.dir);
    cr_assert_not_null(strstr(said, "\noptions "), "%s", said);
    free(said);
    postfix_start(&site.host);
    postern_tier(&site.scene, "primary", "proxy = v2\n");
    postern_backend(&site.scene, "vm", site.host.port, "");
    postern_start(&site.scene);
    expect_at_rcpt(&site, "127.0.0.9", "450 4.1.8 "); /* whose name is asked for */
    site_end(&site);
}

/* --- an inner server that says no --- */

/* Users are known from relay_recipients: a refusal is meant for the question, or for now. */
static void expect_450_at_rcpt(const char *reference) {
    static const char *const noes[][2] = {
        {"MAIL FROM:<>", "550 5.7.1 no null senders\r\n"},
        {"MAIL FROM:<>", "421 4.7.0 too many\r\n"},
        {"RCPT TO:<", "550 5.1.1 unknown user\r\n"},
        {"RCPT TO:<", "552 5.2.2 mailbox full\r\n"},
        {"EHLO", "554 5.7.1 go away\r\n"},
        {"GREETING", "554 5.7.1 go away\r\n"},
    };
    struct reference_site site;
    site_begin(&site, reference, NULL, NULL);
    for (size_t i = 0; i < sizeof noes / sizeof *noes; i++) {
        char script[200];
        scripted_forget(&site.inner);
        scripted_answer(&site.inner, noes[i][0], noes[i][1]);
        if (strcmp(noes[i][0], "EHLO") == 0)
            scripted_answer(&site.inner, "HELO", noes[i][1]);
        snprintf(script, sizeof script, SITE_FROM "RCPT TO:<user+%zu@example.test>\nQUIT", i);
        cr_assert(site_hears(&site, script, "\n450 4.1.1 "), "%s", noes[i][1]);
    }
    site_end(&site);
}

Test(reference_limits, what_the_inner_server_holds_against_the_question_bounces_no_mail, .timeout = 120) {
    expect_450_at_rcpt("vm");
}

Test(reference_limits, what_the_inner_server_holds_against_the_question_bounces_no_mail_of_the_strict_host,
     .timeout = 120) {
    expect_450_at_rcpt("strict");
}

Test(reference_limits, what_the_inner_server_holds_against_the_question_bounces_no_mail_of_the_variant,
     .timeout = 120) {
    expect_450_at_rcpt("vm-queue");
}

/* As main.cf says: without a list the inner server's word is the only one. */
Test(reference_limits, a_site_without_a_list_refuses_unknown_users_by_the_inner_servers_word, .timeout = 120) {
    struct reference_site site;
    site_begin(&site, "vm", NULL, "relay_recipient_maps= unverified_recipient_reject_code=550");
    scripted_answer(&site.inner, "RCPT TO:<nobody", "550 5.1.1 unknown user\r\n");
    cr_assert(site_hears(&site, SITE_FROM "RCPT TO:<nobody@example.test>\nQUIT", "\n550 5.1.1 "));
    cr_assert(site_hears(&site, SITE_FROM "RCPT TO:<anybody@example.test>\nQUIT", "\n250 2.1.5 "));
    site_end(&site);
}

/* --- errors in a session --- */

#define LIST_MEMBERS 20

/* The stale ones first, where a limit would cut off all others. */
static void expect_list_to_be_delivered(const char *reference, bool is_stressed) {
    struct reference_site site;
    char script[4000], recipients[2000] = "";
    size_t length = (size_t)snprintf(script, sizeof script, SITE_FROM);
    for (unsigned i = 0; i < LIST_MEMBERS; i++) {
        length += (size_t)snprintf(script + length, sizeof script - length, "RCPT TO:<%s%u@example.test>\n",
                                   i < 5 ? "stale" : "member", i);
        if (i >= 5)
            snprintf(recipients + strlen(recipients), sizeof recipients - strlen(recipients),
                     "member%u@example.test OK\n", i);
    }
    snprintf(script + length, sizeof script - length, SITE_MAIL);
    site_begin(&site, reference, recipients, is_stressed ? "stress=yes" : NULL);
    cr_assert(site_hears(&site, script, "\n250 2.0.0 queued\n"));
    cr_assert_eq(atomic_load(&site.inner.mails), 1);
    WAIT_FOR(postfix_log_count(&site.host, "550 5.1.1 <stale") == 5, 5000);
    site_end(&site);
}

Test(reference_limits, a_list_with_stale_users_is_delivered_to_all_others_by_the_strict_host, .timeout = 240) {
    expect_list_to_be_delivered("strict", false);
}

/* Postfix's own defaults shrink when all smtpd are busy: to one error, to 10 s. */
Test(reference_limits, a_list_with_stale_users_is_delivered_by_a_vm_all_of_whose_smtpd_are_busy, .timeout = 240) {
    expect_list_to_be_delivered("vm", true);
}

Test(reference_limits, no_rule_of_a_session_changes_when_all_smtpd_are_busy) {
    const char *const references[] = {"vm", "vm-queue", "strict"};
    for (size_t i = 0; i < 3; i++) {
        char *changed =
            shell(NULL,
                  "exec 2>&1; for stress in '' yes; do postconf -c conf/postfix/%s -o stress=$stress -x | grep -v "
                  "'^postscreen_\\|^stress =\\|^process_'; done | sort | uniq -u",
                  references[i]);
        cr_assert_str_eq(changed, "", "%s: %s", references[i], changed);
        free(changed);
    }
}

/* --- the disk --- */

/* A RAM disk for the queue, in a mount namespace of the test's own, so that it ends with it. */
static void mount_queue(struct reference_site *site, const char *size) {
    char path[160], options[64];
    if (unshare(CLONE_NEWNS) != 0)
        cr_skip_test("needs mount(2)");
    cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    snprintf(path, sizeof path, "%s/../queue", site->host.dir);
    snprintf(options, sizeof options, "size=%s,mode=0755", size);
    char *said = shell(NULL, "cp -a %s/etc %s/jail 2>&1", path, site->scene.dir);
    free(said);
    cr_assert_eq(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options), 0);
    free(shell(NULL, "cp -a %s/jail %s/etc", site->scene.dir, path));
}

static void unmount_queue(struct reference_site *site) {
    char path[160];
    snprintf(path, sizeof path, "%s/../queue", site->host.dir);
    postfix_end(&site->host);
    cr_assert_eq(umount2(path, MNT_DETACH), 0);
}

static void fill_queue(struct reference_site *site) {
    free(shell(NULL, "dd if=/dev/zero of=%s/../queue/fill bs=64k 2>&1", site->host.dir));
}

static void free_queue(struct reference_site *site) {
    free(shell(NULL, "rm %s/../queue/fill", site->host.dir));
}

/* verify(8) awaits for 1000 s what it could not ask; postfix-forget.timer does the reload. */
static void expect_recovery_from_full_disk(const char *reference, const char *main_cf) {
    struct reference_site site;
    site_build(&site, reference, NULL, main_cf);
    mount_queue(&site, "64M");
    postfix_start(&site.host);
    struct talk talk;
    talk_begin(&talk, NULL, site.host.port);
    talk.patience_ms = HEAR_MS;
    talk_exchange(&talk, "PROXY TCP4 203.0.113.5 127.0.0.1 40000 25\r\n", "2");
    talk_exchange(&talk, "EHLO mx.sender.test\r\n", "2");
    talk_exchange(&talk, "MAIL FROM:<a@sender.test>\r\n", "2");
    fill_queue(&site);
    talk_tell(&talk, "RCPT TO:<postmaster@example.test>\r\n");
    WAIT_FOR(postfix_log_has(&site.host, "No space left on device"), 20000);
    cr_assert(site_hears(&site, SITE_FROM "QUIT", "\n452 4.3.1 "));
    free_queue(&site);
    char *said = shell(NULL, "postfix -c %s reload 2>&1", site.host.dir);
    const char *reply = talk_hear(&talk, HEAR_MS);
    cr_assert_eq(strncmp(reply, "250 2.1.5", 9), 0, "who waited: %s (%s)", reply, said);
    talk_end(&talk);
    free(said);
    cr_assert(site_hears(&site, SITE_FROM "RCPT TO:<postmaster@example.test>\nQUIT", "\n250 2.1.5 "));
    cr_assert_eq(atomic_load(&site.inner.mails), 0, "a full disk was written about");
    unmount_queue(&site);
    site_end(&site);
}

Test(reference_limits, a_disk_that_was_full_leaves_no_recipient_at_450, .timeout = 240) {
    expect_recovery_from_full_disk("vm", NULL);
}

Test(reference_limits, a_disk_that_was_full_leaves_no_recipient_at_450_on_the_strict_host, .timeout = 240) {
    expect_recovery_from_full_disk("strict", NULL);
}

/* Its disk holds accepted mail, so that it can fill up in any time: it refuses while those that have begun still fit.
 */
Test(reference_limits, the_variant_refuses_at_mail_what_may_not_fit_and_loses_no_question, .timeout = 120) {
    struct reference_site site;
    site_build(&site, "vm-queue", NULL, NULL);
    mount_queue(&site, "500M");
    postfix_start(&site.host);
    cr_assert(site_hears(&site, SITE_FROM "QUIT", "\n452 4.3.1 "));
    unmount_queue(&site);
    site_end(&site);
}

Test(reference_limits, the_timer_that_forgets_runs_a_reload_for_what_a_full_disk_logs) {
    char *said =
        shell(NULL, "grep -c 'No space left on device. | grep -q . && postfix reload' "
                    "conf/postfix/systemd/postfix-forget.service; grep -l postfix-forget.timer "
                    "conf/postfix/README.md; for each in vm vm-queue strict; do postconf -c conf/postfix/$each "
                    "-h address_verify_map; done");
    cr_assert_str_eq(said, "1\nconf/postfix/README.md\n\n\n\n");
    free(said);
}

/* README.md's sum in small: sixteenths of a mail and of the RAM disk. The filter makes all wait until all are there. */
Test(reference_limits, what_all_sessions_send_at_once_fits_the_queue, .timeout = 240) {
    struct reference_site site;
    struct statvfs space;
    char path[160];
    site_build(&site, "vm", NULL, "message_size_limit=983040");
    mount_queue(&site, "28M");
    postfix_start(&site.host);
    postern_tier(&site.scene, "primary", "proxy = v2\nmax-sessions = 24\n");
    postern_backend(&site.scene, "vm", site.host.port, "");
    postern_start(&site.scene);
    cr_assert(site_hears(&site, SITE_FROM SITE_TO "RCPT TO:<postmaster@example.test>\nQUIT", "\n250 2.1.5 "));
    atomic_store(&site.inner.greeting_ms, 20000);
    pid_t load = load_begin(&site.scene, "load", "--sessions 24 --concurrency 24 --size 980000 --patience 100");
    snprintf(path, sizeof path, "%s/../queue", site.host.dir);
    WAIT_FOR(statvfs(path, &space) == 0 && (space.f_blocks - space.f_bavail) * space.f_bsize > 24 * 980000, 15000);
    /* Nothing is refused for want of room meanwhile. */
    cr_assert(site_hears(&site, SITE_FROM "RCPT TO:<postmaster@example.test>\nQUIT", "\n250 2.1.5 "));
    json_t *result = load_end(&site.scene, load, "load");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    cr_assert_eq(atomic_load(&site.inner.mails), 24);
    unmount_queue(&site);
    site_end(&site);
}

/* A number out of a file of conf/postfix, by a sed expression. */
static unsigned long number(const char *file, const char *expression) {
    char *text = shell(NULL, "sed -nE 's/%s/\\1/p' conf/postfix/%s | head -n 1", expression, file);
    unsigned long value = strtoul(text, NULL, 10);
    cr_assert(value > 0, "%s has no %s", file, expression);
    free(text);
    return value;
}

/* README.md's sum, with the numbers of the files themselves, in MB. */
Test(reference_limits, what_all_sessions_send_at_once_fits_the_queue_and_a_host_of_2_gb) {
    const char *const references[] = {"vm", "strict"};
    unsigned long queue = number("systemd/var-spool-postfix.mount", "^Options=size=([0-9]+)M.*");
    unsigned long work = number("systemd/var-lib-amavis-tmp.mount", "^Options=size=([0-9]+)M.*");
    unsigned long filters = number("amavis/60-postern", "^.max_servers = ([0-9]+);");
    for (size_t i = 0; i < 2; i++) {
        char file[40];
        snprintf(file, sizeof file, "%s/master.cf", references[i]);
        unsigned long sessions = number(file, "^2525 .* ([0-9]+) +smtpd");
        snprintf(file, sizeof file, "%s/main.cf", references[i]);
        unsigned long mail = number(file, "^message_size_limit = ([0-9]+)") / 1000000 + 1;
        cr_assert(queue >= sessions * mail + mail * 3 / 2, "%s: %lu MB for %lu sessions", references[i], queue,
                  sessions);
        cr_assert(work >= filters * 50);
        cr_assert(300 + 3 * sessions + 20 + queue + 150 + 100 * filters + work <= 2048);
    }
    cr_assert_eq(number("vm/master.cf", "^2525 .* ([0-9]+) +smtpd"),
                 number("README.md", "^ *max-sessions = ([0-9]+) .*") + 2);
    cr_assert_eq(number("vm-queue/master.cf", "^2525 .* ([0-9]+) +smtpd"),
                 number("vm/master.cf", "^2525 .* ([0-9]+) +smtpd"));
    cr_assert(number("vm-queue/main.cf", "^queue_minfree = ([0-9]+)") / 1000000 >=
              number("vm-queue/master.cf", "^2525 .* ([0-9]+) +smtpd") * 16 + filters * 18);
    /* A child of Amavis is kept free for the question whether it is alive. */
    cr_assert(number("vm-queue/master.cf", "^smtp-amavis .* ([0-9]+) +smtp") <
              number("amavis/60-postern-queue", "^.max_servers = ([0-9]+);"));
}
