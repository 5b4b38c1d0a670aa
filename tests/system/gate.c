/* The gate before a strict host: what it takes never costs a clean client its mail, and what it refuses never reaches
 * the host. Real unbound; the host is a sink that counts, or real Postfix (tests/system/gate_rules.c). */
#include "scripted.h"
#include "talk.h"
#include "unbound.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct scene scene;
static struct test_sink bastion;
static struct test_unbound unbound;

#define DNS_DATA                                                                                                       \
    "  local-data: \"sender.test. 300 IN MX 10 mail.sender.test.\"\n"                                                  \
    "  local-data: \"mail.sender.test. 300 IN A 127.0.0.9\"\n"                                                         \
    "  local-data: \"example.test. 300 IN A 127.0.0.9\"\n"                                                             \
    "  local-data: \"plain.test. 300 IN A 127.0.0.9\"\n"                                                               \
    "  local-data: \"null.test. 300 IN MX 0 .\"\n"

/* An outage: only the strict tier is there. `global`: further options of [global], `gate`: of [gate]; `tiers`: sections
 * before it. */
/* `primary`: the port of vm1, in a tier before the strict one; 0: none. */
static void begin_with(const char *global, const char *gate, unsigned primary) {
    scene_begin(&scene, false);
    sink_begin(&scene, &bastion, "bastion", "");
    unbound_begin(&scene, &unbound, DNS_DATA);
    free(shell(NULL,
               "cd %s && echo 127.0.60.0/24 > allow && printf 'example.test\\n' > domains && "
               "printf 'user@example.test\\nother@example.test\\n' > recipients && printf '127.0.60.66 REJECT\\n' > "
               "access",
               scene.dir));
    postern_global(&scene, global);
    postern_lines(&scene,
                  "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = "
                  "127.0.0.1:%u\n[gate]\nrelay-domains-file = %s/domains\nrecipients-file = "
                  "%s/recipients\naccess-file = %s/access\n%s",
                  scene.dir, unbound.port, scene.dir, scene.dir, scene.dir, gate);
    if (primary != 0) {
        postern_tier(&scene, "primary", "check = none\n");
        postern_backend(&scene, "vm1", primary, "");
    }
    postern_tier(&scene, "strict", "admit = vetted\ngate = on\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
}

static void begin(void) {
    begin_with("", "pregreet-wait = 50ms\n", 0);
}

static void end(void) {
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 5000);
    scene_end(&scene);
}

static void script(const char *name, const char *const *steps) {
    talk_script(name, "127.0.60.1", scene.port, steps);
}

#define SCRIPT(name, ...) script(name, (const char *const[]){__VA_ARGS__, NULL})
#define HELO              "220", "EHLO client.test\r\n", "250"
#define MAIL              "MAIL FROM:<a@sender.test>\r\n", "250 2.1.0"
#define RCPT              "RCPT TO:<user@example.test>\r\n"

TestSuite(gate, .init = begin, .fini = end);

Test(gate, a_clean_mail_passes_and_the_host_sees_it_once) {
    SCRIPT("plain", HELO, MAIL, RCPT, "250", "DATA\r\n", "354", "Subject: x\r\n\r\nhello\r\n.\r\n", "250", "QUIT\r\n",
           "221", "", "closed");
    SCRIPT("grouped", HELO, "MAIL FROM:<a@plain.test>\r\n" RCPT "RCPT TO:<other@example.test>\r\nDATA\r\n", "250", "",
           "250", "", "250", "", "354", "hello\r\n.\r\nQUIT\r\n", "250", "", "221");
    SCRIPT("bounce", HELO, "MAIL FROM:<>\r\n", "250", "RCPT TO:<postmaster>\r\n", "250", "DATA\r\n", "354", ".\r\n",
           "250", "MAIL FROM:<a@sender.test>\r\n", "250", RCPT, "250", "RSET\r\n", "250", "QUIT\r\n", "221");
    cr_assert_eq(sink_figure(&bastion, "mails"), 3);
    WAIT_FOR(log_has(&scene, "takes over from the gate"), 5000);
}

Test(gate, what_breaks_a_rule_never_reaches_the_host) {
    SCRIPT("early", "220", "EHLO client.test\r\nMAIL FROM:<a@sender.test>\r\n", "421 4.7.0", "", "closed");
    SCRIPT("behind starttls", HELO, "STARTTLS\r\nEHLO client.test\r\n", "421 4.7.0", "", "closed");
    SCRIPT("http", "220", "GET / HTTP/1.1\r\n", "521 5.5.1", "", "closed");
    SCRIPT("tls", "220", "\x16\x03\x01\x02", "521 5.5.1", "", "closed");
    SCRIPT("a balancer that is not listed", "220", "PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\nEHLO client.test\r\n",
           "421 4.7.0", "", "closed");
    SCRIPT("bare LF", HELO, "MAIL FROM:<a@sender.test>\n", "421 4.7.0", "", "closed");
    SCRIPT("bare CR", HELO, "NOOP\rNOOP\r\n", "421 4.7.0", "", "closed");
    SCRIPT("unknown sender domain", HELO, "MAIL FROM:<a@unknown.test>\r\n", "250", RCPT, "450 4.1.8", "QUIT\r\n", "221",
           "", "closed");
    SCRIPT("null mx", HELO, "MAIL FROM:<a@null.test>\r\n", "250", RCPT, "550 5.7.27");
    SCRIPT("relay", HELO, MAIL, "RCPT TO:<user@other.test>\r\n", "554 5.7.1", "DATA\r\n", "554 5.5.1");
    SCRIPT("unknown user", HELO, MAIL, "RCPT TO:<nobody@example.test>\r\n", "550 5.1.1");
    SCRIPT("chunk", HELO, MAIL, "RCPT TO:<nobody@example.test>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "550 5.1.1", "",
           "554 5.5.1", "", "250 2.0.0");
    talk_script("access", "127.0.60.66", scene.port,
                (const char *const[]){HELO, MAIL, RCPT, "554 5.7.1 <unknown[127.0.60.66]>", NULL});
    talk_script("not vetted", "127.0.61.1", scene.port, (const char *const[]){"421 4.3.2", "", "closed", NULL});
    WAIT_FOR(log_has(&scene, "rule=sender-null-mx reply=\"550 5.7.27"), 5000);
    WAIT_FOR(sink_figure(&bastion, "sessions") == sink_figure(&bastion, "probes"), 5000);
    cr_assert_eq(sink_figure(&bastion, "mails"), 0);
}

static bool is_recorded(const char *client, const char *text) {
    char *known = ctl(&scene, NULL, "show reputation %s", client);
    bool is = strstr(known, text) != NULL;
    free(known);
    return is;
}

Test(gate, a_client_that_talks_in_its_wait_is_cut_and_one_that_waited_once_need_not_wait_again) {
    struct talk talk;
    talk_begin(&talk, "127.0.60.7", scene.port);
    talk_tell(&talk, "EHLO early.test\r\n");
    cr_assert_not_null(strstr(talk_hear(&talk, 10000), "421 4.7.0"), "%s", talk.heard);
    talk_expect(&talk, "closed");
    talk_end(&talk);
    for (unsigned i = 0; i < 2; i++) {
        talk_begin(&talk, "127.0.60.8", scene.port);
        const char *greeting = talk_hear(&talk, 10000);
        bool is_teased = strncmp(greeting, "220-", 4) == 0;
        cr_assert(strstr(greeting, "220 mx.example.test ESMTP\r\n") != NULL, "%s", greeting);
        cr_assert(i == 0 ? is_teased : true, "%s", greeting);
        talk_tell(&talk, "QUIT\r\n");
        cr_assert_not_null(strstr(talk_hear(&talk, 10000), "221 2.0.0"));
        talk_end(&talk);
    }
    WAIT_FOR(is_recorded("127.0.60.7", "talked before the greeting: 1"), 5000);
}

Test(gate, the_host_s_own_refusals_are_passed_on_and_a_host_that_is_gone_costs_a_451) {
    sink_fault(&bastion, "mail-451");
    SCRIPT("MAIL", HELO, MAIL, RCPT "RCPT TO:<other@example.test>\r\n", "451 4.3.1 no room", "", "451 4.3.1",
           "RSET\r\n", "250");
    sink_fault(&bastion, "banner-554-policy");
    SCRIPT("greeting", HELO, MAIL, RCPT, "554 5.7.1", "QUIT\r\n", "221");
    sink_fault(&bastion, "reset");
    SCRIPT("gone", HELO, MAIL, RCPT "RCPT TO:<other@example.test>\r\nQUIT\r\n", "451 4.4.1", "", "451 4.4.1", "", "221",
           "", "closed");
    sink_fault(&bastion, "none");
}

Test(gate, a_flood_of_junk_never_reaches_the_host_and_a_good_client_s_mail_passes_meanwhile) {
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", scene.port);
    free(shell(NULL, "echo 127.62.0.0/16 >> %s/allow", scene.dir));
    free(ctl(&scene, NULL, "reload"));
    spawn(&scene, "junk.json",
          (const char *const[]){"build/bench/junk", "--target", target, "--source", "127.62.0.0/20", "--rate", "400",
                                "--seconds", "4", NULL});
    json_t *result = load_run(&scene, "--rate 10 --sessions 30 --source 127.0.60.1");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(file_has(&scene, "junk.json", "}}"), 30000);
    WAIT_FOR(file_has(&scene, "junk.json", "\"sessions\":1600,\"late\":0,\"answered\":1600,"), 5000);
    cr_assert_eq(sink_figure(&bastion, "mails"), 30);
    WAIT_FOR(sink_figure(&bastion, "sessions") == sink_figure(&bastion, "probes") + 30, 5000);
}

/* A client in the middle of what `steps` say. */
static void talk_through(struct talk *talk, const char *const *steps) {
    talk_begin(talk, "127.0.60.1", scene.port);
    talk_steps(talk, "client", steps);
}

#define IN_RELAY  "220", "EHLO client.test\r\n", "250", MAIL_LINE, "250", RCPT, "250"
#define MAIL_LINE "MAIL FROM:<a@sender.test>\r\n"

Test(gate, a_client_that_half_closes_behind_quit_hears_221_though_the_host_is_silent) {
    struct talk talk;
    sink_fault(&bastion, "quit-silent");
    talk_through(&talk, (const char *const[]){IN_RELAY, "QUIT\r\n", NULL});
    shutdown(talk.fd, SHUT_WR);
    talk_expect(&talk, "221");
    talk_expect(&talk, "closed");
    talk_end(&talk);
}

Test(gate, behind_the_221_nothing_more_is_said_by_a_shutdown) {
    struct talk talk;
    sink_fault(&bastion, "quit-open");
    talk_through(&talk, (const char *const[]){IN_RELAY, "RSET\r\n", "250", "QUIT\r\n", "221", NULL});
    free(ctl(&scene, NULL, "shutdown sessions server bastion"));
    talk_expect(&talk, "closed");
    talk_end(&talk);
}

Test(gate, a_host_that_dies_in_content_with_bare_line_ends_is_told_of_at_its_end) {
    struct talk talk;
    sink_fault(&bastion, "data-die");
    talk_through(&talk, (const char *const[]){IN_RELAY, "DATA\r\n", "354", "Subject: x\r\n", NULL});
    WAIT_FOR(log_has(&scene, "the backend closed in mid-session"), 5000);
    talk_exchange(&talk, "\r\nhello\n.\r\n", "421 4.4.2");
    talk_end(&talk);
}

Test(gate, of_a_host_s_greeting_that_refuses_only_the_reply_itself_goes_on) {
    sink_fault(&bastion, "banner-554-more");
    SCRIPT("more", HELO, MAIL, RCPT "RCPT TO:<other@example.test>\r\n", "554 5.7.1 you are listed\r\n", "",
           "554 5.7.1 you are listed\r\n", "NOOP\r\n", "250 2.0.0");
    sink_fault(&bastion, "none");
}

Test(gate, a_host_that_refuses_its_client_ends_the_session_in_its_own_words) {
    static const struct scripted_rule refusals[] = {
        {"GREETING", "521 5.7.1 not you\r\n", HANGS_UP, 0}, {"GREETING", "421 4.7.0 not you\r\n", HANGS_UP, 0},
        {"EHLO", "521 5.7.1 not you\r\n", HANGS_UP, 0},     {"EHLO", "421 4.7.0 not you\r\n", HANGS_UP, 0},
        {"MAIL", "521 5.7.1 not you\r\n", HANGS_UP, 0},     {"MAIL", "421 4.7.0 not you\r\n", HANGS_UP, 0},
    };
    struct scripted host;
    scripted_begin(&host);
    host.rules[0].line = "none";
    host.rules[1] = (struct scripted_rule){"EHLO", "250-scripted\r\n250 STARTTLS\r\n", GOES_ON, 0};
    free(ctl(&scene, NULL, "set server bastion state maint"));
    free(ctl(&scene, NULL, "add server hand tier strict address 127.0.0.1:%u", host.port));
    await_up(&scene, "hand");
    for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        host.rules[0] = refusals[i];
        SCRIPT(refusals[i].line, HELO, MAIL, RCPT "RCPT TO:<other@example.test>\r\n", refusals[i].reply, "", "closed");
        if (strcmp(refusals[i].line, "MAIL") != 0)
            SCRIPT("starttls", HELO, "STARTTLS\r\n", refusals[i].reply, "", "closed");
        host.rules[0].line = "none";
    }
    WAIT_FOR(log_has(&scene, "code=521 ") && log_has(&scene, "code=421 "), 5000);
    cr_assert_eq(server_figure(&scene, "hand", "failures"), 0);
    cr_assert_eq(info_figure(&scene, "refused_total"), 0, "they are the host's words");
    scripted_end(&host);
}

Test(gate, an_access_file_s_521_ends_the_session_and_counts_as_our_own_refusal) {
    free(shell(NULL, "echo '127.0.60.67 521 5.7.1 Listed' >> %s/access", scene.dir));
    free(ctl(&scene, NULL, "reload"));
    talk_script("521", "127.0.60.67", scene.port,
                (const char *const[]){HELO, MAIL, RCPT "NOOP\r\n", "521 5.7.1", "", "closed", NULL});
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    cr_assert_eq(info_figure(&scene, "refused_total"), 1);
}

Test(gate_full, a_client_whose_commands_can_t_be_kept_for_the_handover_is_told_so_at_once, .fini = end) {
    static struct talk talks[48];
    char mail[2049];
    begin_with("workers = 1\nmax-sessions = 60\n", "pregreet-wait = 0s\n", 0);
    memset(mail, ' ', sizeof mail); /* blanks behind an address are taken, as Postfix takes them */
    memcpy(mail, "MAIL FROM:<a@sender.test>", 25);
    memcpy(mail + 2046, "\r\n", 3);
    for (unsigned i = 0; i < 44; i++) {
        talk_open(&talks[i], "127.0.60.1", scene.port);
        talk_say(&talks[i], mail, 2048);
        talk_expect(&talks[i], "250");
    }
    talk_exchange(&talks[43], RCPT, "421 4.3.0");
    talk_expect(&talks[43], "closed");
    for (unsigned i = 0; i < 44; i++)
        talk_end(&talks[i]);
}

Test(gate_replay, a_session_that_comes_to_the_strict_host_by_a_replay_can_t_smuggle_either, .fini = end) {
    struct test_sink vm1;
    struct talk talk;
    unsigned port = free_port();
    begin_with("", "pregreet-wait = 50ms\n", port);
    sink_begin_at(&scene, &vm1, "vm1", "127.0.0.1", port, "");
    talk_through(&talk,
                 (const char *const[]){"220 vm1", "EHLO client.test\r\n", "250", MAIL_LINE, "250", RCPT, "250", NULL});
    kill_child(&scene, vm1.pid, SIGKILL);
    talk_exchange(&talk, "DATA\r\n", "354");
    talk_exchange(&talk, "Subject: x\r\n\r\nhello\n.\r\n", "421 4.7.0");
    talk_end(&talk);
    WAIT_FOR(sink_figure(&bastion, "current") == 0, 5000);
    cr_assert_eq(sink_figure(&bastion, "mails"), 0);
}
