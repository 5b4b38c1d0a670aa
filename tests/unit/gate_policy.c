/* What the gate goes by: sizes, times, and who should have waited. */
#include "lb/gate/gate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(gate_policy, the_usual_size_is_the_largest_of_the_tiers_before) {
    static const char *const offers[] = {"PIPELINING\nSIZE 1000\n8BITMIME\n", "SIZE 5000\n", "SIZE 9000\n"};
    struct view *view = calloc(1, sizeof *view + 3 * sizeof view->tiers[0]);
    cr_assert_not_null(view);
    for (unsigned i = 0; i < 3; i++)
        snprintf(view->tiers[i].offer, sizeof view->tiers[i].offer, "%s", offers[i]);
    cr_assert_eq(gate_usual_size(view, 0), 0, "nobody is before it");
    cr_assert_eq(gate_usual_size(view, 1), 1000);
    cr_assert_eq(gate_usual_size(view, 2), 5000);
    free(view);
}

Test(gate_policy, stress_is_more_than_four_fifths_and_shortens_each_wait) {
    static const struct config_gate config = {.pregreet_wait_ms = 6000};
    cr_assert(!gate_is_stressed(80, 100) && gate_is_stressed(81, 100));
    cr_assert(gate_pregreet_ms(&config, false) == 6000 && gate_pregreet_ms(&config, true) == 2000);
    cr_assert_eq(gate_command_ms(STANDING_ADMITTED, 300000, false), 300000);
    cr_assert_eq(gate_command_ms(STANDING_ADMITTED, 300000, true), 10000);
    cr_assert_eq(gate_command_ms(STANDING_ADMITTED, 5000, true), 5000);
    cr_assert_eq(gate_command_ms(STANDING_NOT_VETTED, 300000, false), REFUSAL_IDLE_MS);
    cr_assert_eq(gate_command_ms(STANDING_CHECK, 300000, true), REFUSAL_IDLE_MS);
}

static bool is_early(const struct gate_policy *policy, const char *line) {
    return gate_comes_early(policy, (const uint8_t *)line, strlen(line));
}

Test(gate_policy, who_should_have_waited_for_a_reply) {
    struct config_gate config = {.pipelining = true};
    struct gate_policy policy = {.config = &config, .minds_early_talk = true};
    cr_assert(is_early(&policy, "EHLO a\r\n") && is_early(&policy, "helo a\r\n") && is_early(&policy, "DATA\r\n"));
    cr_assert(is_early(&policy, "STARTTLS\r\n"));
    cr_assert(!is_early(&policy, "MAIL FROM:<>\r\n") && !is_early(&policy, "RSET\r\n"));
    policy.minds_early_talk = false; /* some backend may have invited it */
    cr_assert(!is_early(&policy, "EHLO a\r\n") && is_early(&policy, "DATA\r\n"));
    config.pipelining = false;
    policy.minds_early_talk = true;
    cr_assert(!is_early(&policy, "EHLO a\r\n") && !is_early(&policy, "DATA\r\n"));
    cr_assert(is_early(&policy, "STARTTLS\r\n"), "whatever the operator wants");
    config.pipelining = true;
    policy.standing = STANDING_NOT_VETTED;
    cr_assert_not(is_early(&policy, "DATA\r\n"), "its commands come as they come");
}

/* A 4xx to STARTTLS would make the client go on in clear. */
Test(gate_policy, what_a_host_says_to_starttls_is_passed_on_only_where_it_ends_the_session) {
    static struct gate gate;
    struct gate_answer said;
    memset(&gate, 0, sizeof gate);
    cr_assert(gate_on_refusal(&gate, (const uint8_t *)"454 4.7.0 no\r\n", 14, &said));
    cr_assert(gate_on_unreachable(&gate, &said));
    gate.awaits_tls = true;
    cr_assert_not(gate_on_refusal(&gate, (const uint8_t *)"454 4.7.0 no\r\n", 14, &said));
    cr_assert_not(gate_on_unreachable(&gate, &said));
    cr_assert(gate_on_refusal(&gate, (const uint8_t *)"421 4.7.0 no\r\n", 14, &said) && said.code == 421);
}
