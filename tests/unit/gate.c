/* The gate's dialog: each rule with a violation and its neighbour that must pass, and what is answered when. */
#include "lb/gate/gate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config_gate config;
static struct gate_policy policy;
static struct gate gate;
static struct gate_tables *tables;
static struct address client;
static char dir[] = "/tmp/postern-gate-XXXXXX";
static char domains[64], recipients[64], access_path[64];

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void load(void) {
    struct gate_tables *loaded = NULL;
    cr_assert_eq(gate_tables_load(&config, tables, stderr, &loaded), 0);
    gate_tables_free(tables);
    tables = loaded;
    policy.tables = tables;
}

static void begin(void) {
    cr_assert_not_null(mkdtemp(dir));
    snprintf(domains, sizeof domains, "%s/domains", dir);
    snprintf(recipients, sizeof recipients, "%s/recipients", dir);
    snprintf(access_path, sizeof access_path, "%s/access", dir);
    write_file(domains, "example.test\n.sub.test\n");
    write_file(recipients, "User@example.test\n@sub.sub.test\n");
    write_file(access_path, "192.0.2.66 REJECT go away\n192.0.2.67 450 4.7.1 later\nbad.test REJECT\n192.0.2.68 OK\n");
    config = (struct config_gate){
        .relay_domains_file = domains,
        .recipients_file = recipients,
        .recipient_delimiter = (char[]){"+"},
        .access_file = access_path,
        .recipients_max = 5,
        .message_bytes_max = 1000,
        .pipelining = true,
        .helo_required = true,
        .helo_syntax = true,
        .helo_fqdn = true,
        .sender_fqdn = true,
        .sender_domain = true,
        .recipient_fqdn = true,
        .recipient_domain = true,
    };
    cr_assert_eq(address_parse("192.0.2.1", 25, &client), 0);
    policy = (struct gate_policy){.config = &config,
                                  .hostname = "mx.test",
                                  .offer = "PIPELINING\nSIZE 15728640\nSTARTTLS\n8BITMIME\nSMTPUTF8\n",
                                  .client = &client};
    load();
    gate_init(&gate, &policy);
}

static void finish(void) {
    gate_tables_free(tables);
    tables = NULL;
    unlink(domains);
    unlink(recipients);
    unlink(access_path);
    rmdir(dir);
}

TestSuite(gate, .init = begin, .fini = finish);

static struct gate_answer said;

/* The DNS: these domains exist, and the client is called `name`. */
static const char *client_name = "";
static void answer_facts(void) {
    enum gate_fact fact;
    while ((fact = gate_take_wanted(&gate)) != FACT_NOTHING) {
        const char *domain = gate.sender.domain;
        enum mail_domain is = strcmp(domain, "null.test") == 0      ? MAIL_DOMAIN_NULL_MX
                              : strcmp(domain, "unknown.test") == 0 ? MAIL_DOMAIN_UNKNOWN
                              : strcmp(domain, "silent.test") == 0  ? MAIL_DOMAIN_FAILED
                                                                    : MAIL_DOMAIN_TAKES_MAIL;
        if (fact == FACT_CLIENT_NAME)
            gate_on_client_name(&gate, client_name, false);
        else
            gate_on_sender_domain(&gate, gate.sender_serial, is);
    }
}

static enum gate_next take(const char *line) {
    char text[GATE_LINE_MAX + 100];
    int length = snprintf(text, sizeof text, "%s\r\n", line);
    enum gate_next next = gate_take(&gate, &policy, (const uint8_t *)text, (size_t)length, &said);
    if (next == GATE_WAITS) {
        answer_facts();
        next = gate_resume(&gate, &policy, &said);
        cr_assert_neq(next, GATE_WAITS);
    }
    return next;
}

static void says(const char *line, const char *code) {
    enum gate_next next = take(line);
    cr_assert_eq(next, GATE_REPLIES, "%s: %d", line, next);
    cr_assert(strncmp(said.text, code, strlen(code)) == 0, "%s: %s instead of %s", line, said.text, code);
    cr_assert(said.length >= 2 && strcmp(said.text + said.length - 2, "\r\n") == 0 && strlen(said.text) == said.length);
}

static void hands_over(const char *line) {
    enum gate_next next = take(line);
    cr_assert_eq(next, GATE_HANDS_OVER, "%s: %d %s", line, next, said.text);
}

static void envelope(const char *helo, const char *mail) {
    char line[400];
    snprintf(line, sizeof line, "EHLO %s", helo);
    says(line, "250");
    snprintf(line, sizeof line, "MAIL FROM:%s", mail);
    says(line, "250 2.1.0");
}

#define GOOD_RCPT "RCPT TO:<user@example.test>"

Test(gate, a_clean_envelope_reaches_the_host) {
    says("EHLO client.test", "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 15728640\r\n250-STARTTLS\r\n250-8BITMIME\r\n"
                             "250 SMTPUTF8\r\n");
    says("MAIL FROM:<a@sender.test> SIZE=1000 BODY=8BITMIME", "250 2.1.0");
    hands_over("RCPT TO:<USER+ext@Example.Test>");
    gate_init(&gate, &policy);
    says("HELO client.test", "250 mx.test\r\n");
    says("mail from: <>", "250");
    hands_over("rcpt to: <postmaster>");
    policy.offer = "";
    says("EHLO client.test", "250 mx.test\r\n");
}

Test(gate, helo_is_required_and_judged_at_the_recipient) {
    says("MAIL FROM:<a@sender.test>", "503 5.5.1");
    says("EHLO", "501 5.5.4");
    static const struct {
        const char *helo, *code;
    } cases[] = {
        {"-bad-.test", "501 5.5.2 <-bad-.test>"},
        {"a..b", "501 5.5.2"},
        {"[1.2.3]", "501 5.5.2"},
        {"localhost", "450 4.7.1"},
        {"192.0.2.1", "450 4.7.1"},
        {"192.0.2.1.", "450 4.7.1"},
        {"2001:db8::1", "450 4.7.1"},
        {"0.1.2.3", "501 5.5.2"},
        {"[0.1.2.3]", "501 5.5.2"},
        {"[01.02.03.4]", ""},
        {"[192.0.2.1]", ""},
        {"[IPv6:2001:db8::1]", ""},
        {"under_score.test", ""},
        {"client.test.", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        envelope(cases[i].helo, "<a@sender.test>");
        if (cases[i].code[0] == '\0')
            hands_over(GOOD_RCPT);
        else
            says(GOOD_RCPT, cases[i].code);
    }
    config.helo_syntax = config.helo_fqdn = config.helo_required = false;
    gate_init(&gate, &policy);
    says("MAIL FROM:<a@sender.test>", "250");
    hands_over(GOOD_RCPT);
    envelope("a..b", "<>");
    hands_over(GOOD_RCPT);
}

Test(gate, senders) {
    static const struct {
        const char *sender, *code;
    } cases[] = {
        {"<a@local>", "450 4.1.8 <a@local>"},
        {"<a>", "450 4.1.8"},
        {"<a@unknown.test>", "450 4.1.8 <a@unknown.test>: Sender address rejected: Domain not found"},
        {"<a@silent.test>", "450 4.1.8"},
        {"<a@null.test>", "550 5.7.27"},
        {"<>", ""},
        {"<a@[192.0.2.1]>", ""},
        {"<\"a b\"@sender.test>", ""},
        {"<@relay.test:a@sender.test>", ""},
        {"a@sender.test", ""},
        {"<.a..b.@sender.test>", ""},
        {"<a@@sender.test>", ""},
        {"<@sender.test>", ""},
        {"< >", ""},
        {"<postmaster>", "450 4.1.8"},
        {"<SRS0=Ab3d=QM=forwarder.test=bounce-4-xyzxyzxyzxyz-0123456789abcdef-0123456789@sender.test>", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        envelope("client.test", cases[i].sender);
        if (cases[i].code[0] == '\0')
            hands_over(GOOD_RCPT);
        else
            says(GOOD_RCPT, cases[i].code);
    }
    says("RSET", "250");
    says("MAIL FROM:<a b@sender.test>", "501 5.1.7");
    says("MAIL FROM:<a@-sender.test>", "501 5.1.7");
    says("MAIL FROM:<a@sender.test", "501 5.1.7");
    says("MAIL TO:<a@sender.test>", "501 5.5.4");
    says("MAIL FROM:", "501 5.5.4");
    says("MAIL FROM :<a@sender.test>", "501 5.5.4");
    says("MAIL FROM:<a@sender.test>SIZE=3", "450 4.1.7");
    says("MAIL FROM:<a:b@sender.test>", "450 4.1.7");
    says("MAIL FROM:<a@sender.test> SIZE=x", "501 5.5.4");
    says("MAIL FROM:<a@sender.test> XOORG=x", "455 4.5.4");
    says(GOOD_RCPT, "455 4.5.4"); /* 503 could end a mail that may come later */
    says("RSET", "250");
    says(GOOD_RCPT, "503 5.5.1");
    says("MAIL FROM:<a@b\xc3\xa4.test>", "501 5.1.7");
    says("MAIL FROM:<a@b\xc3\xa4.test> SMTPUTF8", "250");
    says("RSET", "250");
    says("MAIL FROM:<\xc3\xa4@sender.test>", "250");
    says("MAIL FROM:<b@sender.test>", "503 5.5.1");
    config.sender_fqdn = config.sender_domain = false;
    envelope("client.test", "<a@unknown.test>");
    hands_over(GOOD_RCPT);
}

Test(gate, a_mail_that_is_too_large_today_is_not_bounced_when_it_is_welcome_tomorrow) {
    says("EHLO client.test", "250");
    says("MAIL FROM:<a@sender.test> SIZE=1001", "452 4.3.1");
    policy.usual_size_max = 2000;
    says("MAIL FROM:<a@sender.test> SIZE=1001", "452 4.3.1");
    says("MAIL FROM:<a@sender.test> SIZE=2001", "552 5.3.4");
    says("MAIL FROM:<a@sender.test> SIZE=1000", "250");
}

#define X50  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X250 X50 X50 X50 X50 X50
#define X256 X250 "xxxxxx"

Test(gate, recipients) {
    static const struct {
        const char *recipient, *code;
    } cases[] = {
        {"<user>", "450 4.1.3"},
        {"<user@local>", "450 4.1.3"},
        {"<user@other.test>", "554 5.7.1 <user@other.test>: Relay access denied"},
        {"<user@[192.0.2.9]>", "454 4.7.1"}, /* it may be the host's own */
        {"<user@below.example.test>", "454 4.7.1"},
        {"<user@not-example.test>", "554 5.7.1"},
        {"<x@y@example.test>", "554 5.7.1"},
        {"<user@b\xc3\xa4.test>", "501 5.1.3"},
        {"<user:x@example.test>", "450 4.1.3"},
        {"<user@example.test> NOTIFY=NEVER", "455 4.5.4"},
        {"<x%other.test@example.test>", "554 5.7.1"},
        {"<other.test!x@example.test>", "554 5.7.1"},
        {"<\"x@other.test\"@example.test>", "554 5.7.1"},
        {"<@a.test:user@other.test>", "554 5.7.1"},
        {"<nobody@example.test>", "550 5.1.1 <nobody@example.test>"},
        {"<x@sub.test>", "554 5.7.1"},
        {"<@a.test,@b.test:user@example.test>", ""},
        {"<any@sub.sub.test>", ""},
        {"<uSER@EXAMPLE.test>", ""},
        {"<postmaster@example.test>", ""},
        {"<Postmaster>", ""},
        {"user@example.test", ""},
        {" \t< user @example.test > ", ""},
        {"<user(comment)@example.test>", ""},
        {"<\"user\"@example.test>", ""},
        {"<user+a..b@example.test>", ""},
        {"<user+" X256 "@example.test>", "450 4.1.3"},
        {"<user+" X250 "@example.test>", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[400];
        envelope("client.test", "<a@sender.test>");
        snprintf(line, sizeof line, "RCPT TO:%s", cases[i].recipient);
        if (cases[i].code[0] == '\0')
            hands_over(line);
        else
            says(line, cases[i].code);
    }
    says("RCPT TO:<>", "501 5.1.3");
    says("RCPT TO:<user user@example.test>", "501 5.1.3");
    says("RCPT FROM:<user@example.test>", "501 5.5.4");
    says("RSET", "250");
    says(GOOD_RCPT, "503 5.5.1");
}

Test(gate, too_many_recipients_may_come_later) {
    envelope("client.test", "<a@sender.test>");
    for (unsigned i = 0; i < 5; i++)
        says("RCPT TO:<nobody@example.test>", "550 5.1.1");
    says(GOOD_RCPT, "452 4.5.3");
    envelope("client.test", "<a@sender.test>");
    hands_over(GOOD_RCPT);
}

Test(gate, tables_that_were_never_readable_refuse_for_now) {
    config.relay_domains_file = (char[]){"/nonexistent/domains"};
    config.recipients_file = (char[]){"/nonexistent/recipients"};
    config.access_file = (char[]){"/nonexistent/access"};
    gate_tables_free(tables);
    tables = NULL;
    load();
    envelope("client.test", "<a@sender.test>");
    says(GOOD_RCPT, "451 4.3.0");
    config.access_file = (char[]){""};
    gate_tables_free(tables);
    tables = NULL;
    load();
    says(GOOD_RCPT, "454 4.7.1");
    config.relay_domains_file = (char[]){""};
    gate_tables_free(tables);
    tables = NULL;
    load();
    says(GOOD_RCPT, "450 4.1.1");
    config.recipients_file = (char[]){""};
    gate_tables_free(tables);
    tables = NULL;
    load();
    hands_over("RCPT TO:<anybody@anywhere.test>");
}

Test(gate, the_access_file_speaks_in_its_own_words) {
    static const struct {
        const char *address, *name, *reply;
    } cases[] = {
        {"192.0.2.66", "", "554 5.7.1 <unknown[192.0.2.66]>: Client host rejected: go away\r\n"},
        {"192.0.2.67", "", "450 4.7.1 <unknown[192.0.2.67]>: Client host rejected: later\r\n"},
        {"192.0.2.70", "mail.bad.test",
         "554 5.7.1 <mail.bad.test[192.0.2.70]>: Client host rejected: Access denied\r\n"},
        {"192.0.2.68", "good.test", ""},
        {"192.0.2.70", "good.test", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(address_parse(cases[i].address, 25, &client), 0);
        client_name = cases[i].name;
        gate_init(&gate, &policy);
        envelope("client.test", "<a@sender.test>");
        if (cases[i].reply[0] == '\0')
            hands_over(GOOD_RCPT);
        else
            says(GOOD_RCPT, cases[i].reply);
    }
    client_name = "";
}

Test(gate, an_answer_about_an_earlier_sender_is_none) {
    envelope("client.test", "<a@sender.test>");
    uint8_t serial = gate.sender_serial;
    cr_assert_eq(gate_take_wanted(&gate), FACT_CLIENT_NAME);
    cr_assert_eq(gate_take_wanted(&gate), FACT_SENDER_DOMAIN);
    gate_on_client_name(&gate, "", false);
    cr_assert_eq(gate_take(&gate, &policy, (const uint8_t *)GOOD_RCPT "\r\n", strlen(GOOD_RCPT) + 2, &said),
                 GATE_WAITS);
    says("RSET", "250");
    says("MAIL FROM:<b@unknown.test>", "250");
    gate_on_sender_domain(&gate, serial, MAIL_DOMAIN_TAKES_MAIL);
    says(GOOD_RCPT, "450 4.1.8 <b@unknown.test>");
}

Test(gate, other_commands) {
    says("NOOP", "250 2.0.0");
    says("VRFY user", "252 2.0.0");
    says("HELP", "214 2.0.0");
    says("EXPN list", "502 5.5.1");
    says("AUTH PLAIN AGEAYg==", "503 5.5.1");
    says("WHAT", "502 5.5.2");
    says("DATA", "503 5.5.1");
    says("BDAT 3 LAST", "503 5.5.1");
    says("STARTTLS", "503 5.5.1 Error: send EHLO first");
    envelope("client.test", "<a@sender.test>");
    says("DATA", "503 5.5.1");
    says("RCPT TO:<nobody@example.test>", "550");
    says("DATA", "554 5.5.1");
    says("STARTTLS now", "501 5.5.4");
    hands_over("STARTTLS");
    cr_assert(gate.awaits_tls);
    policy.offer = "PIPELINING\n";
    says("STARTTLS", "502 5.5.1");
    cr_assert_eq(take("QUIT"), GATE_QUITS);
}

Test(gate, who_does_not_speak_smtp_or_talks_on_is_cut) {
    char line[GATE_LINE_MAX + 50];
    cr_assert_eq(take("GET / HTTP/1.1"), GATE_CUTS_FOREIGN);
    cr_assert_eq(take("Received: by me"), GATE_CUTS_FOREIGN);
    memset(line, 'a', sizeof line);
    line[GATE_LINE_MAX] = '\0';
    cr_assert_eq(take(line), GATE_CUTS_LINE);
    line[GATE_LINE_MAX - 2] = '\0';
    says(line, "502 5.5.2");
    for (unsigned i = 0; i < 19; i++)
        says("WHAT", "502");
    cr_assert_eq(take("WHAT"), GATE_CUTS_TALKER);
    gate_init(&gate, &policy);
    policy.is_stressed = true;
    says("WHAT", "502");
    cr_assert_eq(take("WHAT"), GATE_CUTS_TALKER);
    policy.is_stressed = false;
    gate_init(&gate, &policy);
    for (unsigned i = 0; i < GATE_COMMANDS_MAX; i++)
        says("NOOP", "250");
    cr_assert_eq(take("NOOP"), GATE_CUTS_TALKER);
    cr_assert(gate_looks_like_tls((const uint8_t *)"\x16\x03\x01", 3) &&
              gate_looks_like_tls((const uint8_t *)"\x16", 1));
    cr_assert_not(gate_looks_like_tls((const uint8_t *)"EHLO", 4));
}

Test(gate, what_the_host_refuses_is_said_for_the_whole_transaction) {
    envelope("client.test", "<a@sender.test>");
    hands_over(GOOD_RCPT);
    gate_on_refusal(&gate, (const uint8_t *)"452 4.3.1 disk full\r\n", 21, &said);
    cr_assert_str_eq(said.text, "452 4.3.1 disk full\r\n");
    cr_assert(said.code == 452 && !said.closes);
    says("RCPT TO:<postmaster>", "452 4.3.1 disk full\r\n");
    says("DATA", "554 5.5.1");
    says("RSET", "250");
    says("MAIL FROM:<a@sender.test>", "250");
    hands_over(GOOD_RCPT);
    gate_on_unreachable(&gate, &said);
    cr_assert(strncmp(said.text, "451 4.4.1", 9) == 0);
    says("RCPT TO:<postmaster>", "451 4.4.1");
    gate_on_refusal(&gate, (const uint8_t *)"521-5.7.1 not\r\n521 5.7.1 you\r\n", 30, &said);
    cr_assert(said.code == 521 && said.closes, "whoever has written it");
}

Test(gate, what_is_said_back_holds_no_octet_that_could_break_it) {
    says("EHLO client.test", "250");
    says("MAIL FROM:<\xc3\xa4@unknown.test> SMTPUTF8", "250");
    says(GOOD_RCPT, "450 4.1.8 <??@unknown.test>");
    says("RSET", "250");
    says("EHLO a\x7f.test", "250");
    says("MAIL FROM:<>", "250");
    says(GOOD_RCPT, "501 5.5.2 <a?.test>");
}

Test(gate, an_offer_longer_than_a_reply_is_cut_at_a_line) {
    static char offer[1024];
    for (unsigned i = 0; i < 250; i++)
        snprintf(offer + 4 * i, sizeof offer - 4 * i, "%03u\n", i);
    policy.offer = offer;
    says("EHLO client.test", "250-mx.test\r\n250-000\r\n");
    cr_assert(said.length < sizeof said.text && said.length > sizeof said.text - 20);
    const char *last = said.text + said.length - strlen("250 000\r\n");
    cr_assert(strncmp(last, "250 ", 4) == 0 && last[-1] == '\n', "%s", last);
    policy.offer = "";
    says("EHLO client.test", "250 mx.test\r\n");
}

Test(gate, the_last_chunk_of_a_refused_mail_ends_it) {
    envelope("client.test", "<a@sender.test>");
    says("BDAT 3", "503 5.5.1");
    says("MAIL FROM:<a@sender.test>", "503 5.5.1");
    says("BDAT 3 LAST", "503 5.5.1");
    says("RCPT TO:<user@example.test>", "503 5.5.1");
    says("MAIL FROM:<a@sender.test>", "250");
    hands_over("RCPT TO:<user@example.test>");
}

static enum gate_next take_unanswered(const char *line) {
    return gate_take(&gate, &policy, (const uint8_t *)line, strlen(line), &said);
}

Test(gate, a_lost_answer_takes_nothing_back_that_is_known) {
    take_unanswered("EHLO client.test\r\n");
    answer_facts();
    gate_on_client_name(&gate, "a.bad.test", false);
    take_unanswered("MAIL FROM:<a@sender.test>\r\n");
    cr_assert_eq(gate_take_wanted(&gate), FACT_SENDER_DOMAIN);
    gate_on_no_answer(&gate);
    cr_assert_eq(take_unanswered("RCPT TO:<user@example.test>\r\n"), GATE_REPLIES);
    cr_assert_eq(strncmp(said.text, "554 5.7.1 <a.bad.test[", 22), 0, "%s", said.text);
}

Test(gate, no_number_of_senders_makes_an_old_answer_a_new_one) {
    take_unanswered("EHLO client.test\r\n");
    answer_facts();
    take_unanswered("MAIL FROM:<a@slow.test>\r\n");
    cr_assert_eq(gate_take_wanted(&gate), FACT_SENDER_DOMAIN);
    uint16_t first = gate.sender_serial;
    for (unsigned i = 0; i < 256; i++) {
        gate.commands = 0;
        take_unanswered("RSET\r\n");
        take_unanswered("MAIL FROM:<a@unknown.test>\r\n");
        (void)gate_take_wanted(&gate);
        gate_on_sender_domain(&gate, first, MAIL_DOMAIN_TAKES_MAIL);
        cr_assert_eq(gate.facts[FACT_SENDER_DOMAIN], FACT_ASKED, "%u", i);
    }
}
