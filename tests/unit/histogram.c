/* The bench's histogram: quantiles right to 1.6%. */
#include "bench/histogram.h"

#include <criterion/criterion.h>

Test(histogram, quantiles_lie_within_one_part_in_64_of_the_truth) {
    static struct histogram histogram;
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(&histogram, i);
    for (unsigned percent = 1; percent <= 100; percent++) {
        double truth = percent * 1000.0;
        double got = (double)histogram_quantile(&histogram, percent / 100.0);
        cr_assert(got >= truth && got <= truth * 65 / 64, "p%u: %g for %g", percent, got, truth);
    }
    cr_assert_eq(histogram_quantile(&histogram, 1.0), 100000);
}

Test(histogram, an_empty_one_and_a_huge_value_are_no_trouble) {
    static struct histogram histogram;
    cr_assert_eq(histogram_quantile(&histogram, 0.5), 0);
    histogram_add(&histogram, UINT64_MAX);
    cr_assert_gt(histogram_quantile(&histogram, 0.5), UINT64_C(1) << 40);
    histogram_add(&histogram, 0);
    cr_assert_eq(histogram_quantile(&histogram, 0), 0);
}
