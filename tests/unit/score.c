/* The figures of DESIGN §9, recomputed, and what moves them. */
#include "lb/reputation/score.h"

#include <criterion/criterion.h>
#include <math.h>

#define DAY_MS 86400000ull

static const struct config_reputation config = {.score_min = 90,
                                                .days_min = 3,
                                                .age_min_ms = 7 * DAY_MS,
                                                .good_half_life_ms = 60 * DAY_MS,
                                                .bad_half_life_ms = 90 * DAY_MS,
                                                .good_per_day = 2};

/* All that its own evidence decides on that day. */
struct vetting {
    struct conditions own;
    bool has_score;
};

static bool evidence_vet(const struct evidence *evidence, struct prior prior, uint16_t day, struct vetting *vetting) {
    struct evidence now = *evidence;
    evidence_advance(&now, day, &config);
    vetting->has_score = score_reaches(&now, prior, 1, &config);
    return evidence_check(&now, &config, &vetting->own) && vetting->has_score;
}

/* Clean units, with nothing faded, until the bound is reached. */
static unsigned units_until(struct prior prior, double bound) {
    unsigned units = 0;
    while (100 * beta_quantile(0.05, prior.a + units, prior.b) < bound)
        units++;
    return units;
}

Test(score, units_needed_are_those_of_the_design) {
    cr_assert_eq(units_until(prior_of_parent(-1), 90), 28);
    cr_assert_eq(units_until(prior_of_parent(-1), 95), 58);
    cr_assert_eq(units_until(prior_of_parent(1), 90), 11);
    cr_assert_eq(units_until(prior_of_parent(1), 95), 30);
    cr_assert_eq(units_until(prior_of_parent(0.3), 90), 90);
}

Test(score, sixty_good_and_one_of_weight_5_are_84_7) {
    cr_assert_float_eq(100 * beta_quantile(0.05, 1 + 60, 1 + 5), 84.7, 0.05);
}

Test(score, quantiles_are_right_where_they_are_known) {
    cr_assert_float_eq(beta_quantile(0.05, 1, 1), 0.05, 1e-9);
    cr_assert_float_eq(beta_quantile(0.5, 3, 3), 0.5, 1e-9);
    cr_assert_float_eq(beta_quantile(0.05, 29, 1), pow(0.05, 1 / 29.0), 1e-9);
    cr_assert_float_eq(beta_quantile(0.05, 1, 10), 1 - pow(0.95, 0.1), 1e-9);
    cr_assert(beta_quantile(0.05, 5000, 3) > 0.998 && beta_quantile(0.05, 0.5, 5000) < 1e-5);
}

/* A client that sends `mails` a day, `bad` of a thousand of them rejected. Returns the day on which it
 * is vetted with its last mail of that day, 0 for never within a year. */
static unsigned day_of_vetting(unsigned mails, unsigned bad_per_mille, unsigned every_days) {
    struct evidence evidence = {0};
    struct vetting vetting;
    unsigned owed = 500; /* rounded to the nearest */
    for (unsigned day = 1; day <= 365; day++) {
        if ((day - 1) % every_days != 0)
            continue;
        owed += mails * bad_per_mille;
        unsigned bad = owed / 1000;
        owed %= 1000;
        if (mails > bad)
            evidence_add(&evidence, EVIDENCE_MAIL_CLEAN, mails - bad, (uint16_t)(1000 + day), &config);
        if (bad > 0)
            evidence_add(&evidence, EVIDENCE_MAIL_REJECTED, bad, (uint16_t)(1000 + day), &config);
        if (evidence_vet(&evidence, prior_of_parent(-1), (uint16_t)(1000 + day), &vetting))
            return day;
    }
    return 0;
}

Test(score, a_pool_address_is_weighed_by_its_share_of_spam_and_not_by_its_volume) {
    cr_assert_eq(day_of_vetting(100, 5, 1), 28, "%u", day_of_vetting(100, 5, 1));
    cr_assert_eq(day_of_vetting(100, 10, 1), 0, "%u", day_of_vetting(100, 10, 1));
    cr_assert_eq(day_of_vetting(100, 50, 1), 0);
}

Test(score, a_mail_a_day_takes_five_weeks_two_take_15_days_and_a_weekly_one_never_gets_there_alone) {
    unsigned one = day_of_vetting(1, 0, 1), two = day_of_vetting(2, 0, 1);
    cr_assert(one >= 32 && one <= 37, "%u", one);
    cr_assert(two >= 14 && two <= 16, "%u", two);
    cr_assert_eq(day_of_vetting(1, 0, 7), 0);
}

Test(score, a_day_over_the_cap_counts_as_the_cap) {
    struct evidence evidence = {0};
    double good, bad;
    evidence_add(&evidence, EVIDENCE_MAIL_CLEAN, 1000, 1, &config);
    evidence_totals(&evidence, &config, &good, &bad);
    cr_assert_float_eq(good, 2, 1e-6);
    evidence_add(&evidence, EVIDENCE_MAIL_REJECTED, 1000, 1, &config);
    evidence_totals(&evidence, &config, &good, &bad);
    cr_assert_float_eq(good, 1, 1e-6);
    cr_assert_float_eq(bad, 5, 1e-6);
    evidence_advance(&evidence, 2, &config);
    evidence_totals(&evidence, &config, &good, &bad);
    cr_assert_float_eq(good, exp2(-1 / 60.0), 1e-4);
    cr_assert_float_eq(bad, 5 * exp2(-1 / 90.0), 1e-4);
}

Test(score, good_fades_in_60_days_and_bad_in_90) {
    struct evidence evidence = {0};
    double good, bad;
    evidence_add(&evidence, EVIDENCE_FEEDBACK_HAM, 1, 100, &config);
    evidence_add(&evidence, EVIDENCE_FEEDBACK_TRAP, 1, 100, &config);
    evidence_advance(&evidence, 160, &config);
    evidence_totals(&evidence, &config, &good, &bad);
    cr_assert_float_eq(good, 1.5, 1e-3);
    evidence_advance(&evidence, 190, &config);
    evidence_totals(&evidence, &config, &good, &bad);
    cr_assert_float_eq(bad, 10, 1e-3);
    evidence_advance(&evidence, 150, &config);
    cr_assert_eq(evidence.day, 190, "a clock that goes back changes nothing");
}

Test(score, a_heavy_event_bars_a_small_sender_for_a_month_whatever_its_score) {
    struct evidence evidence = {0};
    struct vetting vetting;
    for (uint16_t day = 1; day <= 90; day++)
        evidence_add(&evidence, EVIDENCE_MAIL_CLEAN, 2, day, &config);
    cr_assert(evidence_vet(&evidence, prior_of_parent(1), 90, &vetting));
    evidence_add(&evidence, EVIDENCE_PREGREET, 1, 90, &config);
    cr_assert_not(evidence_vet(&evidence, prior_of_parent(1), 91, &vetting));
    cr_assert_not(vetting.own.has_clean_month);
    for (uint16_t day = 91; day <= 125; day++)
        evidence_add(&evidence, EVIDENCE_MAIL_CLEAN, 2, day, &config);
    cr_assert(evidence_vet(&evidence, prior_of_parent(1), 125, &vetting));
}

Test(score, nobody_is_vetted_in_a_week_or_on_two_days) {
    struct evidence evidence = {0};
    struct vetting vetting;
    evidence_add(&evidence, EVIDENCE_FEEDBACK_HAM, 20, 1, &config);
    evidence_add(&evidence, EVIDENCE_FEEDBACK_HAM, 20, 5, &config);
    evidence_vet(&evidence, prior_of_parent(-1), 6, &vetting);
    cr_assert(vetting.has_score && !vetting.own.has_days && !vetting.own.has_age && vetting.own.has_clean_month);
    evidence_vet(&evidence, prior_of_parent(-1), 8, &vetting);
    cr_assert(vetting.own.has_age && !vetting.own.has_days);
    cr_assert_not(evidence_vet(&(struct evidence){0}, prior_of_parent(1), 1000, &vetting), "nothing is known");
}

Test(score, the_cheap_question_and_the_score_agree) {
    for (unsigned good = 0; good < 80; good++) {
        struct evidence evidence = {.days = 1, .day = 1, .good = (float)good, .bad = (float)(good % 7)};
        for (double mean = -1; mean <= 1; mean += 0.25) {
            struct prior prior = prior_of_parent(mean);
            cr_assert_eq(score_reaches(&evidence, prior, 1, &config), score_of(&evidence, prior, 1, &config) >= 90);
            cr_assert_eq(score_reaches(&evidence, prior, 2, &config), score_of(&evidence, prior, 2, &config) >= 90);
        }
    }
    struct evidence half = {.days = 1, .day = 1, .good = 14};
    cr_assert_not(score_reaches(&half, prior_of_parent(-1), 1, &config));
    cr_assert(score_reaches(&half, prior_of_parent(-1), 2, &config), "an allow list halves what is needed");
}

Test(score, words_of_feedback_are_known_and_others_are_not) {
    enum evidence_kind kind;
    cr_assert(evidence_of_word("trap", &kind) && kind == EVIDENCE_FEEDBACK_TRAP);
    cr_assert(evidence_of_word("good", &kind) && kind == EVIDENCE_FEEDBACK_GOOD);
    cr_assert_not(evidence_of_word("", &kind));
    cr_assert_not(evidence_of_word("goodness", &kind));
}
