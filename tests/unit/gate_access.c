/* access-file at RCPT, where the DNS would not tell the client's name: a name that might have let it in bounces nobody.
 */
#include "lb/gate/gate.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATER "450 4.7.25 <unknown[192.0.2.1]>: Client host rejected: Your name can't be looked up"

/* The gate's reply to the first recipient of 192.0.2.1, with this access-file; "": it hands over. */
static const char *reply_with(const char *access) {
    static struct gate_answer answer;
    static const char *const lines[] = {"EHLO client.test\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b.test>\r\n"};
    char path[] = "/tmp/postern-gate-access-XXXXXX";
    char none[] = "", delimiter[] = "+";
    struct config_gate config = {.relay_domains_file = none,
                                 .recipients_file = none,
                                 .recipient_delimiter = delimiter,
                                 .access_file = path,
                                 .recipients_max = 5};
    struct address client;
    struct gate_tables *tables = NULL;
    struct gate gate;
    enum gate_next next = GATE_REPLIES;
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, access, strlen(access)), (ssize_t)strlen(access));
    close(fd);
    cr_assert_eq(gate_tables_load(&config, NULL, stderr, &tables), 0);
    unlink(path);
    cr_assert_eq(address_parse("192.0.2.1", 25, &client), 0);
    struct gate_policy policy = {
        .config = &config, .tables = tables, .hostname = "mx.test", .offer = "", .client = &client};
    gate_init(&gate, &policy);
    if (gate_take_wanted(&gate) == FACT_CLIENT_NAME)
        gate_on_client_name(&gate, "", true);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        next = gate_take(&gate, &policy, (const uint8_t *)lines[i], strlen(lines[i]), &answer);
    gate_tables_free(tables);
    return next == GATE_HANDS_OVER ? "" : answer.text;
}

static void expect(const char *access, const char *wanted) {
    const char *reply = reply_with(access);
    bool is = wanted[0] == '\0' ? reply[0] == '\0' : strncmp(reply, wanted, strlen(wanted)) == 0;
    cr_assert(is, "%s: \"%s\" instead of \"%s\"", access, reply, wanted);
}

Test(gate_access, a_name_that_the_dns_would_not_tell_is_no_reason_for_a_5xx) {
    expect("unknown REJECT no name\n", LATER);
    expect("unknown 521 5.7.1 no name\n", LATER);
    expect("unknown 450 4.7.1 wait\n", "450 4.7.1 <unknown[192.0.2.1]>");
    expect("unknown OK\n192.0.2.1 REJECT\n", "");
    expect("bad.test REJECT\n", "");
}

Test(gate_access, an_address_that_is_refused_by_itself_may_have_a_name_that_is_let_in) {
    expect("good.test OK\n192.0.2.1 REJECT\n", LATER);
    expect("later.test 450 4.7.1 later\n192.0.2 REJECT\n", LATER);
}

Test(gate_access, an_address_that_no_name_could_let_in_is_refused) {
    expect("bad.test REJECT\n192.0.2.1 REJECT\n", "554 5.7.1");
    expect("bad.test REJECT\n192.0.2 REJECT\n", "554 5.7.1");
    expect("unknown REJECT\n192.0.2.0/24 550 5.7.1 no\n", "554 5.7.1 <unknown[192.0.2.1]>");
    expect("192.0.2.1 REJECT\n", "554 5.7.1"); /* nobody is asked for its name */
}
