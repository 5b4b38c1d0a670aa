/* Which rows of failures eject, and for how long. */
#include "health/outlier.h"

#include <criterion/criterion.h>

Test(outlier, five_in_a_row_of_three_clients_eject) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_not(outlier_on_failure(&outlier, i % 3, 0, 5));
    cr_assert(outlier_on_failure(&outlier, 7, 0, 5));
}

Test(outlier, one_client_alone_or_two_never_eject) {
    struct outlier outlier = {0};
    for (unsigned i = 0; i < 100; i++)
        cr_assert_not(outlier_on_failure(&outlier, 1, 0, 5));
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(outlier_on_failure(&outlier, 1 + i % 2, 0, 5));
    cr_assert(outlier_on_failure(&outlier, 9, 0, 5), "the third client");
}

Test(outlier, a_good_session_between_begins_a_new_row) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(outlier_on_failure(&outlier, i, i / 4, 5));
}

Test(outlier, a_limit_of_0_is_off) {
    struct outlier outlier = {0};
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_not(outlier_on_failure(&outlier, i, 0, 0));
}

Test(outlier, each_ejection_in_a_row_is_longer_and_a_passing_probe_halves_it) {
    struct outlier outlier = {0};
    uint64_t now = 1000000;
    for (unsigned i = 1; i <= 20; i++) {
        uint64_t whole = i < 10 ? i * 30000 : 300000;
        outlier_eject(&outlier, now);
        cr_assert_eq(outlier_end_ms(&outlier), now + whole);
        outlier.probe_has_passed = true;
        cr_assert_eq(outlier_end_ms(&outlier), now + whole / 2);
        now = outlier_end_ms(&outlier);
        outlier_return(&outlier, now);
        cr_assert_eq(outlier.row, 0);
        now += 1000;
    }
    now += OUTLIER_FORGET_MS;
    outlier_eject(&outlier, now);
    cr_assert_eq(outlier_end_ms(&outlier), now + 30000, "a long good time is remembered too");
}
