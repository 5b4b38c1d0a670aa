/* The pure parts of bench/load: sizes, arrivals, shares, and its report. */
#include "bench/arrivals.h"
#include "bench/load_report.h"
#include "bench/sizes.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static struct sizes parsed(const char *text) {
    struct sizes sizes;
    cr_assert_eq(sizes_parse(text, &sizes), 0, "%s", text);
    return sizes;
}

Test(load, sizes_that_make_no_sense_are_refused) {
    static const char *const bad[] = {
        "",
        "x",
        "-5",
        "5x",
        "1e99",
        "uniform:5",
        "uniform:9-5",
        "uniform:-",
        "lognormal:",
        "lognormal:9",
        "lognormal:0,1",
        "lognormal:9,1x",
        "table:",
        "table:5",
        "table:5*0",
        "table:5*1,",
        "table:5*x",
        "inf",
        "0x10",
        "uniform:1-1e30",
        "lognormal:inf,1",
    };
    struct sizes sizes;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_lt(sizes_parse(bad[i], &sizes), 0, "%s", bad[i]);
    char many[400];
    int length = snprintf(many, sizeof many, "table:1*1");
    for (unsigned i = 1; i <= SIZES_ROWS_MAX; i++)
        length += snprintf(many + length, sizeof many - (size_t)length, ",1*1");
    cr_assert_lt(sizes_parse(many, &sizes), 0);
}

Test(load, a_fixed_size_is_always_that) {
    struct sizes sizes = parsed("1234");
    struct chance chance;
    chance_init(&chance, 1);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(sizes_draw(&sizes, &chance), 1234);
}

Test(load, uniform_sizes_reach_both_ends_and_have_their_mean) {
    struct sizes sizes = parsed("uniform:10-19");
    struct chance chance;
    unsigned seen[20] = {0};
    double sum = 0;
    chance_init(&chance, 7);
    for (unsigned i = 0; i < 10000; i++) {
        size_t size = sizes_draw(&sizes, &chance);
        cr_assert(size >= 10 && size <= 19);
        seen[size]++;
        sum += (double)size;
    }
    for (unsigned size = 10; size < 20; size++)
        cr_assert(seen[size] > 850 && seen[size] < 1150, "%u: %u", size, seen[size]);
    cr_assert_float_eq(sum / 10000, 14.5, 0.1);
}

static int compare_sizes(const void *left, const void *right) {
    return (*(const size_t *)left > *(const size_t *)right) - (*(const size_t *)left < *(const size_t *)right);
}

Test(load, log_normal_sizes_have_their_median_and_their_spread_and_an_end) {
    static size_t drawn[20001];
    struct sizes sizes = parsed("lognormal:8000,1.5");
    struct chance chance;
    chance_init(&chance, 3);
    for (unsigned i = 0; i < 20001; i++) {
        drawn[i] = sizes_draw(&sizes, &chance);
        cr_assert(drawn[i] >= 1 && drawn[i] <= sizes.most);
    }
    qsort(drawn, 20001, sizeof drawn[0], compare_sizes);
    cr_assert_float_eq(log((double)drawn[10000]), log(8000), 0.05);
    /* One deviation of the logarithm up: 84.13% of all. */
    cr_assert_float_eq(log((double)drawn[16826]), log(8000) + 1.5, 0.06);
    cr_assert_eq(parsed("lognormal:60000000,3").most, SIZES_OCTETS_MAX);
}

Test(load, a_table_of_sizes_is_drawn_by_weight) {
    struct sizes sizes = parsed("table:500*1,4000*2,100000*1");
    struct chance chance;
    unsigned counts[3] = {0};
    cr_assert(sizes.least == 500 && sizes.most == 100000);
    chance_init(&chance, 5);
    for (unsigned i = 0; i < 20000; i++) {
        size_t size = sizes_draw(&sizes, &chance);
        counts[size == 500 ? 0 : size == 4000 ? 1 : 2]++;
    }
    cr_assert(abs((int)counts[0] - 5000) < 250 && abs((int)counts[1] - 10000) < 300 &&
              abs((int)counts[2] - 5000) < 250);
}

Test(load, even_arrivals_come_at_their_time_however_many_went_before) {
    struct arrivals arrivals;
    arrivals_init(&arrivals, 3, false, 1);
    for (unsigned i = 0; i < 3000000; i++)
        arrivals_advance(&arrivals);
    cr_assert_eq(arrivals_due_us(&arrivals), UINT64_C(1000000000000));
}

Test(load, poisson_arrivals_have_their_rate_and_gaps_of_all_lengths) {
    struct arrivals arrivals;
    uint64_t last = 0;
    unsigned short_gaps = 0;
    arrivals_init(&arrivals, 1000, true, 42);
    for (unsigned i = 0; i < 100000; i++, arrivals_advance(&arrivals)) {
        uint64_t due = arrivals_due_us(&arrivals);
        cr_assert_geq(due, last);
        /* A part of 1 - 1/e of an exponential distribution lies under its mean. */
        short_gaps += due - last < 1000;
        last = due;
    }
    cr_assert_float_eq((double)last, 1e8, 1e6);
    cr_assert_float_eq(short_gaps / 1e5, 0.632, 0.01);
}

Test(load, a_seed_repeats_a_schedule_and_another_one_does_not) {
    struct arrivals one, same, other;
    arrivals_init(&one, 100, true, 1);
    arrivals_init(&same, 100, true, 1);
    arrivals_init(&other, 100, true, 2);
    cr_assert_eq(arrivals_due_us(&one), arrivals_due_us(&same));
    cr_assert_neq(arrivals_due_us(&one), arrivals_due_us(&other));
}

Test(load, a_share_is_spread_evenly) {
    for (unsigned percent = 0; percent <= 100; percent++) {
        unsigned count = 0;
        for (unsigned i = 0; i < 1000; i++)
            count += is_in_share(i, percent) != 0;
        cr_assert_eq(count, percent * 10);
    }
    cr_assert(!is_in_share(0, 50) && is_in_share(1, 50) && !is_in_share(2, 50));
}

static json_t *reported(const struct load_result *result) {
    char *text;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    load_report(file, result);
    fclose(file);
    json_t *report = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(report, "%s", text);
    cr_assert_eq(text[length - 1], '\n');
    free(text);
    return report;
}

Test(load, a_report_is_json_that_says_what_became_of_each_session_and_where) {
    static struct load_result result;
    result.finished = 10;
    result.by_outcome[ACCEPTED] = 7;
    result.by_outcome[REFUSED] = 1;
    result.by_phase[REFUSED][AT_RCPT] = 1;
    result.by_outcome[TIMED_OUT] = 2;
    result.by_phase[TIMED_OUT][AT_GREETING] = result.by_phase[TIMED_OUT][AT_DOT] = 1;
    result.seconds = 2;
    snprintf(result.last_reply, sizeof result.last_reply, "550 \\ \"no\" \x01\xff");
    histogram_add(&result.session, 1500);
    json_t *report = reported(&result), *at;
    cr_assert_eq(json_integer_value(json_object_get(report, "accepted")), 7);
    cr_assert_eq(json_integer_value(json_object_get(report, "tempfailed")), 0);
    at = json_object_get(report, "timed_out_at");
    cr_assert(json_object_size(at) == 2 && json_integer_value(json_object_get(at, "greeting")) == 1);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(report, "refused_at"), "rcpt")), 1);
    cr_assert_float_eq(json_real_value(json_object_get(json_object_get(report, "session_ms"), "p50")), 1.5, 0.001);
    cr_assert_float_eq(json_real_value(json_object_get(report, "sessions_per_s")), 5.0, 0.001);
    cr_assert_eq(strncmp(json_string_value(json_object_get(report, "last_reply")), "550 ", 4), 0);
    json_decref(report);
}

Test(load, a_report_of_nothing_is_json_too) {
    static struct load_result result;
    json_decref(reported(&result));
}
