/* Which rows of failures eject, and for how long. */
#include "health/outlier.h"

#include <criterion/criterion.h>

/* Failures of the tests are asked for at NOW, and a trial has failed since, where they do not say otherwise. */
#define NOW 5000000u

static const uint64_t nothing_passed[STEPS_COUNT];
static const struct outlier_trial failed = {.failed_ms = NOW, .asked_ms = NOW}, untold = {0};

/* Somebody passes `step`, and so those before it. */
static void pass(uint64_t passed_ms[STEPS_COUNT], enum backend_step step, uint64_t now_ms) {
    for (unsigned i = 0; i <= step; i++)
        passed_ms[i] = now_ms;
}

/* True when it proves that the backend is to be ejected. */
static bool fail_at(struct outlier *outlier, enum backend_step step, uint32_t client, const uint64_t *passed_ms,
                    uint64_t now_ms) {
    struct outlier_failure failure = {step, client, now_ms};
    struct outlier_trial trial = {.failed_ms = now_ms, .asked_ms = now_ms};
    outlier_on_failure(outlier, &failure, passed_ms, now_ms);
    return outlier_is_proven(outlier, &trial, passed_ms, now_ms, 5);
}

static bool fail(struct outlier *outlier, uint32_t client) {
    return fail_at(outlier, STEP_RCPT, client, nothing_passed, NOW);
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

/* --- who else passes, and the probe --- */

static bool is_proven(struct outlier *outlier, const struct outlier_trial *trial, const uint64_t *passed_ms,
                      uint64_t now_ms) {
    return outlier_is_proven(outlier, trial, passed_ms, now_ms, 5);
}

static void fail_by_many(struct outlier *outlier, enum backend_step step, unsigned count) {
    for (uint32_t i = 0; i < count; i++)
        cr_assert(outlier_on_failure(outlier, &(struct outlier_failure){step, i, NOW}, nothing_passed, NOW));
}

Test(outlier, sessions_alone_eject_nobody_however_many) {
    struct outlier outlier = {0};
    fail_by_many(&outlier, STEP_MAIL, 200);
    cr_assert_not(is_proven(&outlier, &untold, nothing_passed, NOW + 60000));
    cr_assert(is_proven(&outlier, &failed, nothing_passed, NOW + 1), "the probe failed, too");
}

Test(outlier, a_trial_from_before_the_row_or_long_ago_proves_nothing) {
    struct outlier outlier = {0};
    fail_by_many(&outlier, STEP_MAIL, 5);
    cr_assert_not(is_proven(&outlier, &(struct outlier_trial){.failed_ms = NOW - 1, .asked_ms = NOW - 1},
                            nothing_passed, NOW + 1));
    cr_assert_not(is_proven(&outlier, &failed, nothing_passed, NOW + OUTLIER_TRIAL_MS));
    cr_assert(is_proven(&outlier, &failed, nothing_passed, NOW + OUTLIER_TRIAL_MS - 1));
}

/* One probe was lost on its way to the greeting, say, and the next one is greeted; or clients were, while it waited. */
Test(outlier, a_trial_proves_nothing_when_somebody_has_passed_its_step_since) {
    for (uint64_t passed_at = NOW - 1; passed_at < NOW + 12; passed_at++) {
        struct outlier outlier = {0};
        struct outlier_trial trial = {.failed_ms = NOW + 10, .asked_ms = NOW, .failed_step = STEP_HELLO};
        uint64_t passed_ms[STEPS_COUNT] = {0};
        fail_by_many(&outlier, STEP_MAIL, 5);
        pass(passed_ms, STEP_HELLO, passed_at);
        cr_assert_eq(is_proven(&outlier, &trial, passed_ms, NOW + 11), passed_at < NOW);
    }
}

/* A client or the probe; at the same moment is enough. */
Test(outlier, whoever_passes_the_step_ends_its_row) {
    for (uint64_t passed_at = NOW; passed_at < NOW + 2; passed_at++) {
        struct outlier outlier = {0};
        uint64_t passed_ms[STEPS_COUNT] = {0};
        fail_by_many(&outlier, STEP_MAIL, 200);
        pass(passed_ms, STEP_MAIL, passed_at);
        cr_assert_not(is_proven(&outlier, &failed, passed_ms, NOW + 1));
        cr_assert_eq(outlier_count(&outlier), 0);
    }
}

/* It is told when the session's mail was taken elsewhere, which can be much later. */
Test(outlier, a_failure_after_which_somebody_has_passed_does_not_count) {
    struct outlier outlier = {0};
    uint64_t passed_ms[STEPS_COUNT] = {0};
    pass(passed_ms, STEP_RCPT, NOW);
    for (uint32_t i = 0; i < 100; i++) {
        struct outlier_failure before = {STEP_MAIL, i, NOW - i}, behind = {STEP_DATA, 1000 + i, NOW - i};
        cr_assert_not(outlier_on_failure(&outlier, &before, passed_ms, NOW + 60000));
        cr_assert(outlier_on_failure(&outlier, &behind, passed_ms, NOW + 60000), "nobody has come so far");
    }
    struct outlier_failure after = {STEP_MAIL, 5000, NOW + 1};
    cr_assert(outlier_on_failure(&outlier, &after, passed_ms, NOW + 60000));
}

/* At DATA no probe can tell. */
Test(outlier, where_the_probe_is_blind_nobody_must_pass_for_a_while) {
    struct outlier outlier = {0};
    struct outlier_trial blind = {.blind_ms = NOW + 10};
    uint64_t passed_ms[STEPS_COUNT] = {0};
    pass(passed_ms, STEP_RCPT, NOW + 10);
    fail_by_many(&outlier, STEP_DATA, 5);
    cr_assert_not(is_proven(&outlier, &blind, passed_ms, NOW + OUTLIER_SPAN_MS - 1));
    cr_assert_not(is_proven(&outlier, &untold, passed_ms, NOW + OUTLIER_SPAN_MS));
    cr_assert(is_proven(&outlier, &blind, passed_ms, NOW + OUTLIER_SPAN_MS));
    pass(passed_ms, STEP_DATA, NOW + 11);
    cr_assert_not(is_proven(&outlier, &blind, passed_ms, NOW + OUTLIER_SPAN_MS));
}

Test(outlier, a_row_is_as_old_as_its_first_failure) {
    struct outlier outlier = {0};
    cr_assert_eq(outlier_since_ms(&outlier), UINT64_MAX);
    outlier_on_failure(&outlier, &(struct outlier_failure){STEP_MAIL, 1, NOW + 5}, nothing_passed, NOW + 9);
    outlier_on_failure(&outlier, &(struct outlier_failure){STEP_RCPT, 2, NOW + 3}, nothing_passed, NOW + 9);
    outlier_on_failure(&outlier, &(struct outlier_failure){STEP_RCPT, 3, NOW + 7}, nothing_passed, NOW + 9);
    cr_assert_eq(outlier_since_ms(&outlier), NOW + 3);
}

Test(outlier, a_good_mail_between_begins_a_new_row) {
    struct outlier outlier = {0};
    uint64_t passed_ms[STEPS_COUNT] = {0};
    for (uint32_t i = 0; i < 100; i++) {
        if (i % 4 == 0)
            pass(passed_ms, STEP_CONTENT, NOW + 2 * i);
        cr_assert_not(fail_at(&outlier, (enum backend_step)(i % STEP_CONTENT), i, passed_ms, NOW + 2 * i + 1));
    }
}

/* Else a bot's EHLO and QUIT would keep a backend in that takes no recipient. */
Test(outlier, a_session_clears_no_failure_of_a_step_that_it_did_not_come_to) {
    for (enum backend_step reached = STEP_GREETING; reached < STEPS_COUNT; reached++) {
        struct outlier outlier = {0};
        uint64_t passed_ms[STEPS_COUNT] = {0};
        bool is_ejected = false;
        for (uint32_t i = 0; i < 5; i++) {
            pass(passed_ms, reached, NOW + 2 * i);
            is_ejected = fail_at(&outlier, STEP_RCPT, i, passed_ms, NOW + 2 * i + 1);
        }
        cr_assert_eq(is_ejected, reached < STEP_RCPT, "reached step %u", reached);
    }
}

Test(outlier, failures_at_different_steps_are_one_row) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_not(fail_at(&outlier, (enum backend_step)i, i, nothing_passed, NOW));
    cr_assert(fail_at(&outlier, STEP_DATA, 9, nothing_passed, NOW));
    cr_assert_eq(outlier_count(&outlier), 5);
}

Test(outlier, failures_hours_apart_are_no_row) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(fail_at(&outlier, STEP_MAIL, i, nothing_passed, NOW + i * (uint64_t)OUTLIER_ROW_MS / 2));
}

Test(outlier, a_limit_of_0_is_off) {
    struct outlier outlier = {0};
    struct outlier_rest rest = {0};
    fail_by_many(&outlier, STEP_MAIL, 100);
    cr_assert_not(outlier_is_proven(&outlier, &failed, nothing_passed, NOW, 0));
    for (uint32_t i = 0; i < 100; i++) {
        rest.mails++;
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
