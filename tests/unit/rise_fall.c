/* How many probes make a backend up or down, and how long until the next. */
#include "health/rise_fall.h"

#include <criterion/criterion.h>

static const struct config_tier tier = {
    .rise = 2, .fall = 3, .inter_ms = 2000, .fastinter_ms = 500, .downinter_ms = 4000};
static struct rise_fall counts;
static enum backend_health health;

/* A line of results, p or f; the healths they lead to, a letter each. */
static void assert_path(enum backend_health start, const char *results, const char *wanted) {
    static const char letters[] = "sugdr"; /* in the order of the enum: r = going up */
    counts = (struct rise_fall){0};
    health = start;
    for (unsigned i = 0; results[i] != '\0'; i++) {
        health = rise_fall_step(&counts, health, results[i] == 'p', &tier);
        cr_assert_eq(letters[health], wanted[i], "%s: %c at %u", results, letters[health], i);
    }
}

Test(rise_fall, one_pass_at_start_is_enough_but_one_failure_is_not) {
    assert_path(HEALTH_STARTING, "p", "u");
    assert_path(HEALTH_STARTING, "ffp", "ssu");
    assert_path(HEALTH_STARTING, "fff", "ssd");
}

Test(rise_fall, down_takes_fall_failures_in_a_row) {
    assert_path(HEALTH_UP, "ffpfff", "gguggd");
}

Test(rise_fall, up_takes_rise_passes_in_a_row) {
    assert_path(HEALTH_DOWN, "pfpp", "rdru");
    assert_path(HEALTH_DOWN, "fpp", "dru");
}

Test(rise_fall, intervals_follow_the_state_within_ten_percent) {
    for (uint64_t random = 0; random < 5000; random++) {
        uint64_t up = rise_fall_interval_ms(HEALTH_UP, &tier, random);
        uint64_t changing = rise_fall_interval_ms(HEALTH_GOING_DOWN, &tier, random);
        uint64_t down = rise_fall_interval_ms(HEALTH_DOWN, &tier, random);
        cr_assert(up >= 1800 && up <= 2200 && changing >= 450 && changing <= 550 && down >= 3600 && down <= 4400);
    }
    cr_assert_neq(rise_fall_interval_ms(HEALTH_UP, &tier, 0), rise_fall_interval_ms(HEALTH_UP, &tier, 399));
}
