/* Which rows of failures eject, and for how long. */
#include "health/outlier.h"

#include <criterion/criterion.h>

static const uint64_t nothing_passed[STEPS_COUNT];

/* What a good end that passed `step` adds. */
static void pass(uint64_t passed[STEPS_COUNT], enum backend_step step) {
    for (unsigned i = 0; i <= step; i++)
        passed[i]++;
}

static bool fail(struct outlier *outlier, uint32_t client) {
    return outlier_on_failure(outlier, STEP_RCPT, client, nothing_passed, 1000, 5);
}

Test(outlier, five_in_a_row_of_three_clients_eject) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_not(fail(&outlier, i % 3));
    cr_assert(fail(&outlier, 7));
}

Test(outlier, one_client_alone_or_two_never_eject) {
    struct outlier outlier = {0};
    for (unsigned i = 0; i < 100; i++)
        cr_assert_not(fail(&outlier, 1));
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(fail(&outlier, 1 + i % 2));
    cr_assert(fail(&outlier, 9), "the third client");
}

Test(outlier, a_good_mail_between_begins_a_new_row) {
    struct outlier outlier = {0};
    uint64_t passed[STEPS_COUNT] = {0};
    for (uint32_t i = 0; i < 100; i++) {
        if (i % 4 == 0)
            pass(passed, STEP_CONTENT);
        cr_assert_not(outlier_on_failure(&outlier, (enum backend_step)(i % STEP_CONTENT), i, passed, 1000, 5));
    }
}

/* Else a bot's EHLO and QUIT would keep a backend in that takes no recipient. */
Test(outlier, a_session_clears_no_failure_of_a_step_that_it_did_not_come_to) {
    for (enum backend_step reached = STEP_GREETING; reached < STEPS_COUNT; reached++) {
        struct outlier outlier = {0};
        uint64_t passed[STEPS_COUNT] = {0};
        bool is_ejected = false;
        for (uint32_t i = 0; i < 5; i++) {
            pass(passed, reached);
            is_ejected = outlier_on_failure(&outlier, STEP_RCPT, i, passed, 1000, 5);
        }
        cr_assert_eq(is_ejected, reached < STEP_RCPT, "reached step %u", reached);
    }
}

Test(outlier, failures_at_different_steps_are_one_row) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_not(outlier_on_failure(&outlier, (enum backend_step)i, i, nothing_passed, 1000, 5));
    cr_assert(outlier_on_failure(&outlier, STEP_DATA, 9, nothing_passed, 1000, 5));
    cr_assert_eq(outlier_count(&outlier), 5);
}

Test(outlier, failures_hours_apart_are_no_row) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(outlier_on_failure(&outlier, STEP_MAIL, i, nothing_passed, i * (uint64_t)OUTLIER_ROW_MS / 2, 5));
}

Test(outlier, a_limit_of_0_is_off) {
    struct outlier outlier = {0};
    struct outlier_rest rest = {0};
    for (uint32_t i = 0; i < 100; i++) {
        rest.mails++;
        cr_assert_not(outlier_on_failure(&outlier, STEP_MAIL, i, nothing_passed, 1000, 0));
        cr_assert_not(outlier_on_content_failure(&outlier, i + 1000, 0, &rest, 1000, 0));
    }
}

/* --- content, which no other backend can be told --- */

static bool lose(struct outlier *outlier, uint32_t client, uint64_t mails, uint64_t rest_mails, uint64_t rest_failed) {
    struct outlier_rest rest = {rest_mails, rest_failed};
    return outlier_on_content_failure(outlier, client, mails, &rest, 1000, 5);
}

Test(outlier, who_loses_all_content_while_the_others_take_theirs_is_ejected) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_not(lose(&outlier, i % 3, 40, 100 + 2 * i, 7));
    cr_assert(lose(&outlier, 9, 40, 108, 8), "of the others one may have been lost, too");
}

Test(outlier, content_alone_is_held_against_nobody_without_others_that_took_mail) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(lose(&outlier, i, 40, 104 - (i == 0) * 4, 0), "the others took four, or there are none");
    cr_assert(lose(&outlier, 101, 40, 105, 0));
}

Test(outlier, content_that_is_lost_everywhere_is_held_against_nobody) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(lose(&outlier, i, 40, 100 + 10 * i, i));
}

Test(outlier, a_mail_taken_in_between_ends_the_row_of_lost_content) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(lose(&outlier, i, i / 4, 10 * i, 0));
}

Test(outlier, two_clients_content_ejects_nobody) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(lose(&outlier, i % 2, 0, 10 * i, 0));
}

/* Its mails and losses leave the sums. */
Test(outlier, a_server_that_leaves_the_tier_makes_no_row) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_not(lose(&outlier, i, 40, 100 + 10 * i, 7));
    cr_assert_not(lose(&outlier, 4, 40, 50, 7));
    cr_assert_not(lose(&outlier, 5, 40, 60, 3));
}

Test(outlier, each_ejection_in_a_row_is_longer_and_a_passing_probe_halves_it) {
    struct outlier outlier = {0};
    uint64_t now = 1000000;
    for (unsigned i = 1; i <= 20; i++) {
        uint64_t whole = i < 10 ? i * 30000 : 300000;
        fail(&outlier, i);
        outlier_eject(&outlier, now);
        cr_assert_eq(outlier_end_ms(&outlier), now + whole);
        outlier.probe_has_passed = true;
        cr_assert_eq(outlier_end_ms(&outlier), now + whole / 2);
        now = outlier_end_ms(&outlier);
        outlier_return(&outlier, now);
        cr_assert_eq(outlier_count(&outlier), 0);
        now += 1000;
    }
    now += OUTLIER_FORGET_MS;
    outlier_eject(&outlier, now);
    cr_assert_eq(outlier_end_ms(&outlier), now + 30000, "a long good time is remembered too");
}
