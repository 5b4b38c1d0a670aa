/* The table of clients' counts: limits hold exactly, also where threads meet; who holds sessions, is vetted or over its
 * rate keeps its place; and all is at zero when all were given back. */
#include "lb/limits/count_table.h"

#include "lb/base/hash.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define MINUTE 60000u

static struct count_table table;

static void begin(uint32_t most, uint32_t events) {
    struct rate rate = {events, events > 0 ? MINUTE : 0};
    cr_assert_eq(count_table_init(&table, most, &rate, 10, 0), 0);
}

static void end(void) {
    count_table_finish(&table);
    count_table_finish(&table);
}

TestSuite(count_table, .fini = end);

/* Keys of one bucket; the table's secret is 0 here. */
static uint64_t neighbour(uint64_t number) {
    return hash_unmix(number << 16 | 5);
}

static bool row_of(uint64_t key, uint64_t now_ms, struct count_row *ret_row) {
    for (size_t i = 0; i < COUNT_TABLE_PLACES; i++)
        if (count_table_at(&table, i, now_ms, ret_row) && ret_row->key == key)
            return true;
    return false;
}

static unsigned sessions_of_all(void) {
    struct count_row row;
    unsigned sum = 0;
    for (size_t i = 0; i < COUNT_TABLE_PLACES; i++)
        if (count_table_at(&table, i, 0, &row))
            sum += row.sessions;
    return sum;
}

static void take_each(unsigned count, uint64_t key, bool is_vetted, uint64_t now_ms, enum count_result expected) {
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(count_table_take(&table, key, is_vetted, now_ms), expected, "the %u-th", i + 1);
}

Test(count_table, without_a_limit_there_is_none) {
    begin(0, 0);
    cr_assert_not(count_table_is_on(&table));
}

Test(count_table, a_client_has_its_sessions_and_no_more) {
    struct count_row row;
    begin(50, 0);
    take_each(50, 7, false, 0, COUNT_TAKEN);
    take_each(1000, 7, false, 0, COUNT_OVER_MOST);
    take_each(50, 8, false, 0, COUNT_TAKEN);
    count_table_give_back(&table, 7);
    take_each(1, 7, false, 0, COUNT_TAKEN);
    take_each(1, 7, false, 0, COUNT_OVER_MOST);
    cr_assert(row_of(7, 0, &row));
    cr_assert(row.sessions == 50 && row.refused == 1001 && row.rate == 0 && !row.is_vetted);
    cr_assert(row_of(8, 0, &row));
    cr_assert(row.sessions == 50 && row.refused == 0);
}

Test(count_table, who_is_vetted_has_so_many_times_as_much) {
    begin(5, 8);
    take_each(50, 7, true, 0, COUNT_TAKEN);
    take_each(1, 7, true, 0, COUNT_OVER_MOST);
    for (unsigned i = 0; i < 50; i++)
        count_table_give_back(&table, 7);
    take_each(30, 7, true, 0, COUNT_TAKEN);
    take_each(1, 7, true, 0, COUNT_OVER_RATE);
    cr_assert(count_table_most(&table, true) == 50 && count_table_rate(&table, true) == 80);
    cr_assert(count_table_most(&table, false) == 5 && count_table_rate(&table, false) == 8);
}

Test(count_table, no_factor_goes_beyond_what_can_be_counted) {
    begin(60000, 900000);
    cr_assert_eq(count_table_most(&table, true), 65534);
    cr_assert_eq(count_table_rate(&table, true), (1u << 20) - 1);
}

Test(count_table, a_rate_is_that_of_the_last_period_and_refusals_count_neither_way) {
    struct count_row row;
    begin(0, 4);
    take_each(4, 7, false, 10 * MINUTE, COUNT_TAKEN);
    take_each(9, 7, false, 10 * MINUTE + 59999, COUNT_OVER_RATE);
    cr_assert(row_of(7, 10 * MINUTE + 59999, &row));
    cr_assert(row.sessions == 4 && row.rate == 4 && row.refused == 9);
    /* Half a period on: half of the last one's. */
    take_each(2, 7, false, 11 * MINUTE + 30000, COUNT_TAKEN);
    take_each(1, 7, false, 11 * MINUTE + 30000, COUNT_OVER_RATE);
    take_each(1, 7, false, 11 * MINUTE + 50000, COUNT_TAKEN);
    /* What is older than two periods is none any more. */
    take_each(4, 7, false, 14 * MINUTE, COUNT_TAKEN);
    take_each(1, 7, false, 14 * MINUTE, COUNT_OVER_RATE);
}

Test(count_table, a_thread_whose_clock_is_behind_meets_the_next_window) {
    begin(0, 2);
    take_each(2, 7, false, 11 * MINUTE, COUNT_TAKEN);
    take_each(1, 7, false, 11 * MINUTE - 1, COUNT_OVER_RATE);
}

Test(count_table, a_full_bucket_lets_in_uncounted_and_takes_the_next_when_one_can_go) {
    struct count_row row;
    begin(1, 0);
    for (unsigned i = 1; i <= COUNT_TABLE_WAYS; i++)
        take_each(1, neighbour(i), false, 0, COUNT_TAKEN);
    take_each(20, neighbour(100), false, 0, COUNT_NO_PLACE);
    for (unsigned i = 1; i <= COUNT_TABLE_WAYS; i++) /* at their limit still */
        take_each(1, neighbour(i), false, 0, COUNT_OVER_MOST);
    count_table_give_back(&table, neighbour(3));
    take_each(1, neighbour(100), false, 0, COUNT_TAKEN);
    cr_assert_not(row_of(neighbour(3), 0, &row));
    cr_assert(row_of(neighbour(100), 0, &row));
    cr_assert(row.sessions == 1 && row.refused == 0);
}

Test(count_table, who_was_seen_longest_ago_makes_room) {
    struct count_row row;
    begin(5, 0);
    for (unsigned i = 1; i <= COUNT_TABLE_WAYS; i++) {
        take_each(1, neighbour(i), false, (i == 6 ? 10 : 20 + i) * 1000, COUNT_TAKEN);
        count_table_give_back(&table, neighbour(i));
    }
    take_each(1, neighbour(100), false, 50000, COUNT_TAKEN);
    cr_assert_not(row_of(neighbour(6), 50000, &row));
    for (unsigned i = 1; i <= COUNT_TABLE_WAYS; i++)
        cr_assert(i == 6 || row_of(neighbour(i), 50000, &row));
}

Test(count_table, a_flood_of_new_clients_moves_nobody_who_is_over_its_rate_or_vetted) {
    struct count_row row;
    uint64_t now_ms = 10 * MINUTE;
    begin(5, 2);
    take_each(2, neighbour(1), false, now_ms, COUNT_TAKEN);
    count_table_give_back(&table, neighbour(1));
    count_table_give_back(&table, neighbour(1));
    take_each(1, neighbour(2), true, now_ms, COUNT_TAKEN);
    count_table_give_back(&table, neighbour(2));
    for (unsigned i = 1000; i < 101000; i++) {
        take_each(1, neighbour(i), false, now_ms + 5000, COUNT_TAKEN);
        count_table_give_back(&table, neighbour(i));
    }
    take_each(1, neighbour(1), false, now_ms + 5000, COUNT_OVER_RATE);
    cr_assert(row_of(neighbour(2), now_ms + 5000, &row));
    cr_assert(row.rate == 1 && row.is_vetted);
    /* Nothing is known of them any more that matters. */
    for (unsigned i = 1; i <= COUNT_TABLE_WAYS; i++)
        take_each(1, neighbour(200000 + i), false, now_ms + 3 * MINUTE, COUNT_TAKEN);
    cr_assert_not(row_of(neighbour(1), now_ms + 3 * MINUTE, &row));
    cr_assert_not(row_of(neighbour(2), now_ms + 3 * MINUTE, &row));
}

Test(count_table, a_million_clients_are_counted_and_leave_no_session_behind) {
    unsigned uncounted = 0;
    begin(1, 0);
    for (uint64_t key = 1; key <= 1000000; key++) {
        take_each(1, key, false, 0, COUNT_TAKEN);
        take_each(1, key, false, 0, COUNT_OVER_MOST);
        count_table_give_back(&table, key);
    }
    cr_assert_eq(sessions_of_all(), 0);
    /* With more sessions than places some are not counted, and are not to be given back. */
    static bool is_counted[1000000];
    for (uint64_t key = 0; key < 1000000; key++) {
        is_counted[key] = count_table_take(&table, key + 1, false, 0) == COUNT_TAKEN;
        uncounted += !is_counted[key];
    }
    cr_assert_eq(sessions_of_all(), 1000000 - uncounted);
    cr_assert_leq(sessions_of_all(), COUNT_TABLE_PLACES);
    for (uint64_t key = 0; key < 1000000; key++)
        if (is_counted[key])
            count_table_give_back(&table, key + 1);
    cr_assert_eq(sessions_of_all(), 0);
}

/* --- threads --- */

#define THREADS 4u
#define ROUNDS  200000u
#define CLIENTS 12u /* of one bucket, which has fewer places: they push each other out all the time */

static atomic_uint held[CLIENTS], most_held;

static void *hammer(void *argument) {
    uint64_t seed = *(const uint64_t *)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned client = (unsigned)(hash_mix(seed + i) % CLIENTS);
        enum count_result result = count_table_take(&table, neighbour(client + 1), false, 0);
        if (result != COUNT_TAKEN)
            continue;
        unsigned now = atomic_fetch_add(&held[client], 1) + 1;
        unsigned most = atomic_load(&most_held);
        while (now > most && !atomic_compare_exchange_weak(&most_held, &most, now))
            ;
        atomic_fetch_sub(&held[client], 1);
        count_table_give_back(&table, neighbour(client + 1));
    }
    return NULL;
}

static void run_threads(void) {
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = (uint64_t)(i + 1) << 32;
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

Test(count_table, threads_never_let_a_client_in_twice_where_one_is_allowed) {
    begin(1, 0);
    run_threads();
    cr_assert_eq(atomic_load(&most_held), 1);
    cr_assert_eq(sessions_of_all(), 0);
}

Test(count_table, threads_that_push_out_each_others_clients_leave_all_at_zero) {
    begin(2, 1000);
    run_threads();
    cr_assert_leq(atomic_load(&most_held), 2);
    cr_assert_eq(sessions_of_all(), 0);
}
