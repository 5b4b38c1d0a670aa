/* When a tier takes traffic: it leaves at once, and comes back only when it is sure. */
#include "backends/tier.h"

#include <criterion/criterion.h>

static struct tier_clock clock_;

static bool step(unsigned usable, unsigned starting, unsigned up_min, uint64_t now_ms) {
    return tier_clock_step(&clock_, (struct tier_count){usable, starting}, up_min, 10000, now_ms);
}

Test(tier, the_first_time_it_is_up_at_once) {
    cr_assert_not(step(0, 2, 1, 0));
    cr_assert(tier_clock_is_starting(&clock_, (struct tier_count){0, 2}, 1));
    cr_assert(step(1, 1, 1, 50));
    cr_assert(clock_.is_up);
    cr_assert_not(tier_clock_is_starting(&clock_, (struct tier_count){1, 1}, 1));
}

Test(tier, below_min_up_it_hands_over_at_once_and_comes_back_after_the_delay_without_interruption) {
    step(3, 0, 2, 0);
    cr_assert(step(1, 0, 2, 1000) && !clock_.is_up);
    cr_assert_not(step(2, 0, 2, 2000));
    cr_assert_not(step(2, 0, 2, 11999));
    cr_assert_not(step(1, 0, 2, 11999), "an interruption");
    cr_assert_not(step(2, 0, 2, 12500));
    cr_assert_not(step(3, 0, 2, 22499));
    cr_assert(step(3, 0, 2, 22500) && clock_.is_up);
}

Test(tier, min_up_0_still_needs_one) {
    cr_assert_not(step(0, 0, 0, 0));
    cr_assert_not(clock_.is_up);
    cr_assert(step(1, 0, 0, 1));
    cr_assert(step(0, 0, 0, 2) && !clock_.is_up);
}

Test(tier, once_it_has_been_up_starting_backends_are_not_waited_for) {
    step(1, 0, 1, 0);
    step(0, 1, 1, 10);
    cr_assert_not(tier_clock_is_starting(&clock_, (struct tier_count){0, 1}, 1));
}

Test(tier, too_few_backends_to_reach_min_up_are_not_waited_for) {
    cr_assert_not(tier_clock_is_starting(&clock_, (struct tier_count){0, 1}, 2));
    cr_assert(tier_clock_is_starting(&clock_, (struct tier_count){1, 1}, 2));
}

Test(tier, slow_start_grows_evenly_from_1_and_leaves_0_alone) {
    cr_assert_eq(tier_ramp(100, 0, 10000), 1);
    cr_assert_eq(tier_ramp(100, 2500, 10000), 25);
    cr_assert_eq(tier_ramp(100, 10000, 10000), 100);
    cr_assert_eq(tier_ramp(100, 5, 0), 100);
    cr_assert_eq(tier_ramp(0, 5, 10000), 0);
}
