/* How much a client may say to the gate. */
#include "lb/gate/gate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char nothing[] = "";
static const struct config_gate config = {.relay_domains_file = nothing,
                                          .recipients_file = nothing,
                                          .recipient_delimiter = nothing,
                                          .access_file = nothing,
                                          .sender_domain = true};
static struct gate_policy policy;
static struct gate_tables *tables;
static struct address client;
static struct gate gate;
static struct gate_answer said;

static void begin(void) {
    cr_assert_eq(address_parse("192.0.2.1", 25, &client), 0);
    cr_assert_eq(gate_tables_load(&config, NULL, stderr, &tables), 0);
    policy = (struct gate_policy){
        .config = &config, .tables = tables, .hostname = "mx.test", .offer = "PIPELINING\n", .client = &client};
}

static void finish(void) {
    gate_tables_free(tables);
}

TestSuite(gate_bounds, .init = begin, .fini = finish);

static enum gate_next take(const char *line) {
    return gate_take(&gate, &policy, (const uint8_t *)line, strlen(line), &said);
}

/* All but one of the commands that a session may say. */
static void say_all_but_one(const char *mail) {
    gate_init(&gate, &policy);
    cr_assert_eq(take("EHLO client.test\r\n"), GATE_REPLIES);
    cr_assert_eq(take(mail), GATE_REPLIES);
    for (unsigned i = 2; i < GATE_COMMANDS_MAX; i++)
        cr_assert(take("NOOP\r\n") == GATE_REPLIES && said.code == 250, "%u", i);
}

/* Behind it the next one is too many, as behind any other. */
Test(gate_bounds, the_last_command_may_be_the_hosts_to_answer) {
    say_all_but_one("MAIL FROM:<>\r\n");
    cr_assert_eq(take("RCPT TO:<user@example.test>\r\n"), GATE_HANDS_OVER);
    cr_assert(gate_on_unreachable(&gate, &said) && said.code == 451);
    cr_assert_eq(take("NOOP\r\n"), GATE_CUTS_TALKER);
    cr_assert_eq(take("RCPT TO:<user@example.test>\r\n"), GATE_CUTS_TALKER);
}

Test(gate_bounds, the_last_command_may_await_the_dns) {
    say_all_but_one("MAIL FROM:<a@unknown.test>\r\n");
    cr_assert_eq(take("RCPT TO:<user@example.test>\r\n"), GATE_WAITS);
    cr_assert_eq(gate_take_wanted(&gate), FACT_SENDER_DOMAIN);
    gate_on_sender_domain(&gate, gate.sender_serial, MAIL_DOMAIN_UNKNOWN);
    cr_assert(gate_resume(&gate, &policy, &said) == GATE_REPLIES && said.code == 450);
    cr_assert_eq(take("NOOP\r\n"), GATE_CUTS_TALKER);
}
