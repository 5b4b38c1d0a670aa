/* The timer wheel. A timer stands at the level of the highest 6-bit group in which its deadline differs from the clock,
 * in the slot that this group names. When the clock enters a slot of a higher level, its timers move down. So each
 * timer moves at most TIMER_LEVELS - 1 times, and the lowest level with an occupied slot names the next thing to do.
 * Each ring has one wheel; a timer is a part of its owner. */
#include "lb/engine/timer.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define GROUP_BITS 6
#define GROUP_MASK (TIMER_SLOTS - 1u)
#define REACH_MS   ((UINT64_C(1) << (GROUP_BITS * TIMER_LEVELS)) - 1)
/* What moves down takes a hundredth of the time of what expires and closes a session (0.1 µs and 10 µs, measured). */
#define MOVES_PER_EXPIRY 64u

void timers_init(struct timers *timers, uint64_t now_ms) {
    memset(timers, 0, sizeof *timers);
    timers->now_ms = now_ms;
}

bool timer_is_set(const struct timer *timer) {
    return timer->link != NULL;
}

void timer_cancel(struct timer *timer) {
    if (timer->link == NULL)
        return;
    *timer->link = timer->next;
    if (timer->next != NULL)
        timer->next->link = timer->link;
    timer->link = NULL;
    timer->next = NULL;
}

static void push(struct timer **head, struct timer *timer) {
    timer->next = *head;
    timer->link = head;
    if (*head != NULL)
        (*head)->link = &timer->next;
    *head = timer;
}

static unsigned slot_of(uint64_t time_ms, unsigned level) {
    return (unsigned)(time_ms >> (level * GROUP_BITS)) & GROUP_MASK;
}

static void place(struct timers *timers, struct timer *timer) {
    uint64_t difference = timer->deadline_ms ^ timers->now_ms;
    unsigned level = difference == 0 ? 0 : (63u - (unsigned)__builtin_clzll(difference)) / GROUP_BITS;
    unsigned slot = slot_of(timer->deadline_ms, level);

    push(&timers->slots[level][slot], timer);
    timers->occupied[level] |= UINT64_C(1) << slot;
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ms) {
    timer_cancel(timer);
    if (deadline_ms <= timers->now_ms)
        deadline_ms = timers->now_ms + 1;
    /* Beyond the block that the top level spans, a deadline would wrap; its end comes early enough to set it anew. */
    uint64_t last = timers->now_ms | REACH_MS;
    timer->deadline_ms = deadline_ms > last ? last : deadline_ms;
    if (timer->deadline_ms <= timers->now_ms)
        timer->deadline_ms = timers->now_ms;
    place(timers, timer);
}

uint64_t timers_next_ms(const struct timers *timers) {
    if (timers->is_behind)
        return timers->now_ms;
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        unsigned here = slot_of(timers->now_ms, level);
        uint64_t later = here == GROUP_MASK ? 0 : ~UINT64_C(0) << (here + 1);
        uint64_t slots = timers->occupied[level] & later;
        if (slots == 0)
            continue;
        unsigned shift = level * GROUP_BITS;
        uint64_t block = timers->now_ms >> (shift + GROUP_BITS) << (shift + GROUP_BITS);
        return block | (uint64_t)__builtin_ctzll(slots) << shift;
    }
    return UINT64_MAX;
}

/* Takes a slot's timers out of the wheel. */
static void take_slot(struct timers *timers, unsigned level, unsigned slot) {
    struct timer *first = timers->slots[level][slot];
    timers->slots[level][slot] = NULL;
    timers->occupied[level] &= ~(UINT64_C(1) << slot);
    timers->due[level] = first;
    if (first != NULL)
        first->link = &timers->due[level];
}

/* The clock has entered slots of higher levels whose timers are to move down. */
static void take_higher(struct timers *timers) {
    for (unsigned level = TIMER_LEVELS - 1; level > 0; level--)
        if ((timers->now_ms & ((UINT64_C(1) << (level * GROUP_BITS)) - 1)) == 0)
            take_slot(timers, level, slot_of(timers->now_ms, level));
}

/* Returns false when `max` of them have been moved and more are left. */
static bool move_down(struct timers *timers, unsigned max) {
    for (unsigned level = TIMER_LEVELS - 1; level > 0; level--) {
        while (timers->due[level] != NULL) {
            struct timer *timer = timers->due[level];
            if (max-- == 0)
                return false;
            timer_cancel(timer);
            place(timers, timer);
        }
    }
    return true;
}

static bool expire_current(struct timers *timers, unsigned *max) {
    if (timers->due[0] == NULL)
        take_slot(timers, 0, slot_of(timers->now_ms, 0));
    while (timers->due[0] != NULL) {
        struct timer *timer = timers->due[0];
        if (*max == 0)
            return false;
        --*max;
        timer_cancel(timer);
        timer->expire(timer);
    }
    return true;
}

bool timers_advance_some(struct timers *timers, uint64_t now_ms, unsigned expire_max) {
    unsigned left = expire_max;
    unsigned moves = expire_max > UINT_MAX / MOVES_PER_EXPIRY ? UINT_MAX : expire_max * MOVES_PER_EXPIRY;
    while (timers->is_behind || timers->now_ms < now_ms) {
        if (!timers->is_behind) {
            uint64_t next = timers_next_ms(timers);
            if (next > now_ms) {
                timers->now_ms = now_ms;
                return true;
            }
            timers->now_ms = next;
            take_higher(timers);
        }
        timers->is_behind = !move_down(timers, moves) || !expire_current(timers, &left);
        if (timers->is_behind)
            return false;
    }
    return true;
}

void timers_advance(struct timers *timers, uint64_t now_ms) {
    timers_advance_some(timers, now_ms, UINT_MAX);
}
