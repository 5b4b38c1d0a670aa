/* Random numbers from a seed. */
#include "lb/base/chance.h"

#include <criterion/criterion.h>

Test(chance, a_seed_gives_the_same_numbers_again_and_another_gives_others) {
    struct chance a, b, other;
    unsigned equal = 0;
    chance_init(&a, 7);
    chance_init(&b, 7);
    chance_init(&other, 8);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t bits = chance_bits(&a);
        cr_assert_eq(bits, chance_bits(&b));
        equal += bits == chance_bits(&other);
    }
    cr_assert_eq(equal, 0);
}

/* Vigna's generator never leaves 0. (The seed that would give it is -1.) */
Test(chance, no_seed_gives_zeros_for_ever) {
    struct chance chance;
    chance_init(&chance, UINT64_MAX);
    cr_assert_neq(chance_bits(&chance), 0);
    cr_assert_neq(chance_bits(&chance), chance_bits(&chance));
}

Test(chance, each_bit_is_set_half_of_the_time) {
    struct chance chance;
    unsigned set[64] = {0};
    chance_init(&chance, 1);
    for (unsigned i = 0; i < 10000; i++)
        for (uint64_t bits = chance_bits(&chance), bit = 0; bit < 64; bit++)
            set[bit] += bits >> bit & 1;
    for (unsigned bit = 0; bit < 64; bit++) /* 6 standard deviations of 50 */
        cr_assert(set[bit] > 4700 && set[bit] < 5300, "bit %u: %u", bit, set[bit]);
}

Test(chance, a_unit_is_above_0_and_at_most_1) {
    struct chance chance;
    double sum = 0;
    chance_init(&chance, 3);
    for (unsigned i = 0; i < 10000; i++) {
        double unit = chance_unit(&chance);
        cr_assert(unit > 0 && unit <= 1);
        sum += unit;
    }
    cr_assert(sum > 4800 && sum < 5200, "%f", sum);
}

Test(chance, what_is_drawn_below_a_limit_is_each_number_below_it_as_often) {
    struct chance chance;
    unsigned drawn[7] = {0};
    chance_init(&chance, 5);
    for (unsigned i = 0; i < 7000; i++) {
        unsigned number = chance_below(&chance, 7);
        cr_assert_lt(number, 7);
        drawn[number]++;
    }
    for (unsigned i = 0; i < 7; i++) /* 6 standard deviations of 29 */
        cr_assert(drawn[i] > 820 && drawn[i] < 1180, "%u: %u", i, drawn[i]);
    cr_assert_eq(chance_below(&chance, 1), 0);
}
