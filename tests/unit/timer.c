/* The timer wheel: nothing expires early, late, twice, or after it was cancelled. */
#include "lb/engine/timer.h"

#include "lb/base/chance.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct probe_timer {
    struct timer timer;
    uint64_t wanted_ms;
    unsigned expired;
};

static struct timers timers;
static unsigned wrong_times;

static void on_expire(struct timer *timer) {
    struct probe_timer *probe = (struct probe_timer *)timer;
    probe->expired++;
    wrong_times += timers.now_ms != probe->wanted_ms;
}

static void set(struct probe_timer *probe, uint64_t deadline_ms) {
    probe->timer.expire = on_expire;
    probe->wanted_ms = deadline_ms;
    timer_set(&timers, &probe->timer, deadline_ms);
}

Test(timer, each_deadline_of_a_wide_range_expires_once_at_its_own_millisecond) {
    enum { COUNT = 4000 };
    struct probe_timer *probes = calloc(COUNT, sizeof *probes);
    uint64_t last = 0;
    struct chance chance;
    chance_init(&chance, 1);
    timers_init(&timers, 1000003);
    wrong_times = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t wanted = 1000003 + 1 + (chance_bits(&chance) >> (24 + i % 38)) % 100000000;
        last = wanted > last ? wanted : last;
        set(&probes[i], wanted);
    }
    while (timers_next_ms(&timers) != UINT64_MAX)
        timers_advance(&timers, timers_next_ms(&timers));
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(probes[i].expired, 1, "timer %u expired %u times", i, probes[i].expired);
    cr_assert_eq(wrong_times, 0);
    cr_assert_eq(timers.now_ms, last);
    free(probes);
}

Test(timer, one_big_step_expires_all_that_is_due_in_order) {
    struct probe_timer early = {0}, late = {0}, later = {0};
    timers_init(&timers, 0);
    wrong_times = 0;
    set(&late, 70000);
    set(&early, 5);
    set(&later, 70001);
    timers_advance(&timers, 70000);
    cr_assert(early.expired == 1 && late.expired == 1 && later.expired == 0);
    cr_assert_eq(wrong_times, 0, "a timer saw another clock than its deadline");
}

Test(timer, what_is_cancelled_or_moved_does_not_expire_at_its_old_time) {
    struct probe_timer cancelled = {0}, moved = {0};
    timers_init(&timers, 0);
    set(&cancelled, 100);
    set(&moved, 100);
    timer_cancel(&cancelled.timer);
    cr_assert_not(timer_is_set(&cancelled.timer));
    timer_cancel(&cancelled.timer);
    set(&moved, 9000);
    timers_advance(&timers, 8999);
    cr_assert(cancelled.expired == 0 && moved.expired == 0);
    timers_advance(&timers, 9000);
    cr_assert_eq(moved.expired, 1);
    cr_assert_not(timer_is_set(&moved.timer));
}

Test(timer, a_deadline_in_the_past_expires_in_the_next_millisecond) {
    struct probe_timer probe = {0};
    timers_init(&timers, 500);
    set(&probe, 3);
    cr_assert_eq(timers_next_ms(&timers), 501);
    timers_advance(&timers, 501);
    cr_assert_eq(probe.expired, 1);
}

Test(timer, a_deadline_beyond_the_reach_is_kept_and_not_lost) {
    struct probe_timer probe = {0};
    timers_init(&timers, 12345);
    set(&probe, UINT64_MAX);
    cr_assert(timer_is_set(&probe.timer));
    cr_assert_lt(timers_next_ms(&timers), UINT64_MAX);
}

static struct probe_timer chained;

static void set_next(struct timer *timer) {
    (void)timer;
    set(&chained, timers.now_ms + 10);
}

static void cancel_next(struct timer *timer) {
    (void)timer;
    timer_cancel(&chained.timer);
}

Test(timer, an_expiring_timer_may_set_and_cancel_others_of_the_same_slot) {
    struct timer setter = {.expire = set_next};
    memset(&chained, 0, sizeof chained);
    timers_init(&timers, 0);
    timer_set(&timers, &setter, 50);
    timers_advance(&timers, 60);
    cr_assert_eq(chained.expired, 1);
    timers_advance(&timers, 70); /* both below stay at the lowest level, so their order is known */
    struct timer canceller = {.expire = cancel_next};
    set(&chained, 100);
    timer_set(&timers, &canceller, 100); /* newest first: it runs before the other */
    timers_advance(&timers, 200);
    cr_assert_eq(chained.expired, 1);
}

static unsigned expired_now;
static void on_expire_together(struct timer *timer) {
    on_expire(timer);
    expired_now++;
}

Test(timer, thousands_due_in_one_millisecond_expire_some_at_a_time_and_the_rest_can_be_cancelled) {
    enum { COUNT = 10000, MOST = 32 };
    struct probe_timer *probes = calloc(COUNT, sizeof *probes), later = {0}, meanwhile = {0};
    timers_init(&timers, 1);
    wrong_times = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        set(&probes[i], 300000);
        probes[i].timer.expire = on_expire_together;
    }
    set(&later, 300040);
    unsigned calls = 0, cancelled = 0;
    for (bool is_all = false; !is_all; calls++) {
        expired_now = 0;
        is_all = timers_advance_some(&timers, 300020, MOST);
        cr_assert_leq(expired_now, MOST);
        if (calls == 200) /* the clock stands at 300000 */
            set(&meanwhile, 300001);
        if (!is_all)
            cr_assert_leq(timers_next_ms(&timers), 300000);
        struct probe_timer *last = &probes[COUNT - calls - 1]; /* they expire in the order in which they were set */
        if (calls > 200 && timer_is_set(&last->timer)) {
            timer_cancel(&last->timer);
            cancelled++;
        }
    }
    cr_assert_geq(calls, (COUNT - cancelled) / MOST);
    unsigned expired = 0;
    for (unsigned i = 0; i < COUNT; i++)
        expired += probes[i].expired;
    cr_assert_eq(expired + cancelled, COUNT);
    cr_assert(cancelled > 0 && meanwhile.expired == 1 && later.expired == 0);
    cr_assert(timers_next_ms(&timers) > 300020 && timers_next_ms(&timers) <= 300040);
    timers_advance(&timers, 300040);
    cr_assert_eq(later.expired, 1);
    cr_assert_eq(wrong_times, 0);
    free(probes);
}
