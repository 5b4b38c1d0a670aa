/* Rule by rule: a dialog that breaks it and its neighbour that does not, before real Postfix with the reference
 * configuration of the strict host (conf/postfix/strict). Postern's answer is the gate's, and Postfix' log knows
 * nothing of that client; the same dialog said to that Postfix itself is refused as well, since behind STARTTLS the
 * gate sees nothing. Both answers stand in lb/gate/RULES.md, which is held to what was heard here. */
#include "postfix.h"
#include "talk.h"
#include "unbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAR_MS   20000u
#define LINES_MAX 7

#define EHLO "EHLO client.test\r\n"
#define MAIL "MAIL FROM:<a@sender.test>\r\n"
#define RCPT "RCPT TO:<user@example.test>\r\n"
#define NONE "RCPT TO:<nobody@example.test>\r\n"

/* Each line is said when the reply to the one before has come; all of these but the last must be 2xx. */
struct rule_case {
    const char *rule; /* the first column of RULES.md's table */
    const char *gate; /* the gate's answer to the last line */
    const char *postfix;
    const char *violation[LINES_MAX];
    const char *neighbour[LINES_MAX]; /* its last line is answered 2xx through the gate */
    const char *direct[LINES_MAX];    /* what breaks the rule of Postfix, where that takes other lines */
};

static const struct rule_case cases[] = {
    {"pipelining", "421 4.7.0", "554 5.5.0", {EHLO MAIL}, {EHLO, MAIL RCPT}, {0}},
    {"HTTP", "521 5.5.1", "221 2.7.0", {"GET / HTTP/1.1\r\n"}, {EHLO}, {0}},
    {"helo-required", "503 5.5.1", "503 5.5.1", {MAIL}, {"HELO client.test\r\n", MAIL}, {0}},
    {"helo-syntax",
     "501 5.5.2",
     "501 5.5.2",
     {"EHLO -client-\r\n", MAIL, RCPT},
     {"EHLO my_client.test\r\n", MAIL, RCPT},
     {0}},
    {"helo-fqdn",
     "450 4.7.1",
     "450 4.5.2",
     {"EHLO client\r\n", MAIL, RCPT},
     {"EHLO [192.0.2.77]\r\n", MAIL, RCPT},
     {0}},
    {"helo-fqdn, an address", "450 4.7.1", "450 4.5.2", {"EHLO 192.0.2.77\r\n", MAIL, RCPT}, {EHLO, MAIL, RCPT}, {0}},
    {"sender-syntax",
     "501 5.1.7",
     "501 5.1.7",
     {EHLO, "MAIL FROM:<a b@sender.test>\r\n"},
     {EHLO, "MAIL FROM:<\"a b\"@sender.test>\r\n"},
     {0}},
    {"sender-syntax, unclear",
     "450 4.1.7",
     "250 2.1.0",
     {EHLO, "MAIL FROM:<a:b@sender.test>\r\n"},
     {EHLO, "MAIL FROM: a@sender.test\r\n"},
     {0}},
    {"parameters",
     "455 4.5.4",
     "555 5.5.4",
     {EHLO, "MAIL FROM:<a@sender.test> XOORG=x\r\n"},
     {EHLO, "MAIL FROM:<a@sender.test> BODY=8BITMIME\r\n"},
     {0}},
    {"sender-fqdn",
     "450 4.1.8",
     "450 4.5.2",
     {EHLO, "MAIL FROM:<a@sender>\r\n", RCPT},
     {EHLO, "MAIL FROM:<>\r\n", RCPT},
     {0}},
    {"sender-domain",
     "450 4.1.8",
     "450 4.1.8",
     {EHLO, "MAIL FROM:<a@unknown.test>\r\n", RCPT},
     {EHLO, "MAIL FROM:<a@plain.test>\r\n", RCPT},
     {0}},
    {"sender-null-mx",
     "550 5.7.27",
     "550 5.7.27",
     {EHLO, "MAIL FROM:<a@null.test>\r\n", RCPT},
     {EHLO, MAIL, RCPT},
     {0}},
    {"recipient-fqdn",
     "450 4.1.3",
     "450 4.5.2",
     {EHLO, MAIL, "RCPT TO:<user>\r\n"},
     {EHLO, MAIL, "RCPT TO:<postmaster>\r\n"},
     {0}},
    {"relay",
     "554 5.7.1",
     "554 5.7.1",
     {EHLO, MAIL, "RCPT TO:<user@other.test>\r\n"},
     {EHLO, MAIL, "RCPT TO:<@relay.test:user@example.test>\r\n"},
     {0}},
    {"relay, below a domain of ours",
     "454 4.7.1",
     "550 5.1.1",
     {EHLO, MAIL, "RCPT TO:<user@below.example.test>\r\n"},
     {EHLO, MAIL, RCPT},
     {0}},
    {"relay, an address",
     "454 4.7.1",
     "554 5.7.1",
     {EHLO, MAIL, "RCPT TO:<user@[192.0.2.99]>\r\n"},
     {EHLO, MAIL, RCPT},
     {0}},
    {"recipient-routing",
     "554 5.7.1",
     "554 5.7.1",
     {EHLO, MAIL, "RCPT TO:<user%other.test@example.test>\r\n"},
     {EHLO, MAIL, "RCPT TO:<user+x@example.test>\r\n"},
     {0}},
    {"recipient-routing, quoted",
     "554 5.7.1",
     "554 5.7.1",
     {EHLO, MAIL, "RCPT TO:<\"user@other.test\"@example.test>\r\n"},
     {EHLO, MAIL, "RCPT TO:<\"user\"@example.test>\r\n"},
     {0}},
    {"recipients", "550 5.1.1", "550 5.1.1", {EHLO, MAIL, NONE}, {EHLO, MAIL, "RCPT TO:<USER@Example.TEST>\r\n"}, {0}},
    {"max-recipients",
     "452 4.5.3",
     "452 4.5.3",
     {EHLO, MAIL, NONE, NONE, NONE, RCPT},
     {EHLO, MAIL, RCPT},
     {EHLO, MAIL, RCPT, RCPT, RCPT, RCPT}},
    {"size",
     "452 4.3.1",
     "552 5.3.4",
     {EHLO, "MAIL FROM:<a@sender.test> SIZE=15728641\r\n"},
     {EHLO, "MAIL FROM:<a@sender.test> SIZE=15728640\r\n"},
     {0}},
    {"VRFY", "252 2.0.0", "502 5.5.1", {EHLO, "VRFY user\r\n"}, {EHLO, "NOOP\r\n"}, {0}},
};

/* The client that access-file and client_access refuse. */
static const struct rule_case barred = {"access", "554 5.7.1", "554 5.7.1", {EHLO, MAIL, RCPT}, {0}, {0}};

static struct scene scene;
static struct test_unbound unbound;
static struct test_sink inner;
static struct test_postfix host;

static const char dns[] = "  local-data: \"sender.test. MX 10 mail.sender.test.\"\n"
                          "  local-data: \"mail.sender.test. A 192.0.2.80\"\n"
                          "  local-data: \"plain.test. A 192.0.2.80\"\n"
                          "  local-data: \"null.test. MX 0 .\"\n";

static void begin(void) {
    struct reference_options options = {.clients = "192.0.2.66 REJECT no\n", .main_cf = "smtpd_recipient_limit=3"};
    scene_begin(&scene, false);
    sink_begin(&scene, &inner, "inner", "");
    unbound_begin_as_system(&scene, &unbound, dns);
    options.inner_port = options.filter_port = inner.port;
    options.resolver = unbound.address;
    postfix_begin_reference(&scene, &host, "strict", &options);
    free(shell(NULL,
               "cd %s && echo 192.0.2.0/24 > allow && echo example.test > domains && echo user@example.test > "
               "recipients && echo 192.0.2.66 REJECT no > access",
               scene.dir));
    postern_listen(&scene, "proxy-from = 127.0.0.0/8\n");
    postern_lines(&scene,
                  "[reputation]\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:%u\n[gate]\npregreet-wait = "
                  "100ms\nmax-recipients = 3\nrelay-domains-file = %s/domains\nrecipients-file = "
                  "%s/recipients\naccess-file = %s/access\n",
                  scene.dir, unbound.port, scene.dir, scene.dir, scene.dir);
    postern_tier(&scene, "strict", "admit = vetted\ngate = on\nproxy = v2\n");
    postern_backend(&scene, "bastion", host.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
}

static void end(void) {
    postfix_end(&host);
    scene_end(&scene);
}

TestSuite(gate_rules, .init = begin, .fini = end, .timeout = 240);

/* Says the lines as this client; the reply to the last one in `ret_reply`. */
static void say_as(const char *client, unsigned port, const struct rule_case *rule, const char *const *lines,
                   char ret_reply[200]) {
    struct talk talk;
    char header[80];
    snprintf(header, sizeof header, "PROXY TCP4 %s 192.0.2.1 40000 25\r\n", client);
    talk_begin(&talk, NULL, port);
    talk_tell(&talk, header);
    const char *reply = talk_hear(&talk, HEAR_MS);
    for (unsigned i = 0; i < LINES_MAX && lines[i] != NULL; i++) {
        bool is_refused = i > 0 && strcmp(lines[i - 1], NONE) == 0;
        cr_assert(reply[0] == (is_refused ? '5' : '2'), "%s: \"%s\" before: %s", rule->rule, reply, lines[i]);
        talk_tell(&talk, lines[i]);
        reply = talk_hear(&talk, HEAR_MS);
    }
    snprintf(ret_reply, 200, "%.*s", (int)strcspn(reply, "\r\n"), reply);
    talk_end(&talk);
}

static void expect(const struct rule_case *rule, const char *who, const char *reply, const char *code) {
    cr_assert(strncmp(reply, code, strlen(code)) == 0, "%s: %s says \"%s\" instead of %s", rule->rule, who, reply,
              code);
}

/* RULES.md's row; what is there must have been heard. */
static void expect_row(const struct rule_case *rule) {
    char row[200];
    int status;
    snprintf(row, sizeof row, "| %s | `%s` | `%s` |", rule->rule, rule->gate, rule->postfix);
    free(shell(&status, "grep -qF '%s' lb/gate/RULES.md", row));
    cr_assert_eq(status, 0, "lb/gate/RULES.md has no row: %s", row);
}

Test(gate_rules, what_breaks_a_rule_is_refused_by_the_gate_and_the_host_knows_nothing_of_it) {
    char reply[200];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        say_as("192.0.2.77", scene.port, &cases[i], cases[i].violation, reply);
        expect(&cases[i], "the gate", reply, cases[i].gate);
        expect_row(&cases[i]);
    }
    say_as("192.0.2.66", scene.port, &barred, barred.violation, reply);
    expect(&barred, "the gate", reply, barred.gate);
    expect_row(&barred);
    say_as("192.0.2.99", host.port, &cases[0], cases[0].neighbour, reply);
    WAIT_FOR(postfix_log_has(&host, "connect from unknown[192.0.2.99]"), 5000); /* what came before is there, too */
    cr_assert_eq(postfix_log_count(&host, "192.0.2.77") + postfix_log_count(&host, "192.0.2.66"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        say_as("192.0.2.77", scene.port, &cases[i], cases[i].neighbour, reply);
        expect(&cases[i], "the gate, to the neighbour,", reply, "2");
    }
    WAIT_FOR(postfix_log_has(&host, "connect from unknown[192.0.2.77]"), 5000);
}

Test(gate_rules, the_host_refuses_the_same_by_itself) {
    char reply[200], client[20];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct rule_case *rule = &cases[i];
        snprintf(client, sizeof client, "192.0.2.%zu", 100 + i); /* its own limits hold for each client */
        say_as(client, host.port, rule, rule->direct[0] != NULL ? rule->direct : rule->violation, reply);
        expect(rule, "Postfix", reply, rule->postfix);
    }
    say_as("192.0.2.66", host.port, &barred, barred.violation, reply);
    expect(&barred, "Postfix", reply, barred.postfix);
}
