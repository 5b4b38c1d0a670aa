/* A hierarchical timer wheel with a tick of one millisecond: set and cancel in constant time, no allocation. Thousands
 * may be due in one millisecond: they can be worked off a few at a time, the clock stands still meanwhile. */
#ifndef POSTERN_ENGINE_TIMER_H
#define POSTERN_ENGINE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct timer {
    struct timer *next;
    struct timer **link; /* what points to this timer; NULL = not set */
    uint64_t deadline_ms;
    void (*expire)(struct timer *timer);
};

/* 6 levels of 64 slots reach 2^36 ms, about two years; later deadlines are cut to that. */
#define TIMER_LEVELS 6
#define TIMER_SLOTS  64

struct timers {
    uint64_t now_ms;
    uint64_t occupied[TIMER_LEVELS]; /* a bit for each slot that may hold a timer */
    struct timer *slots[TIMER_LEVELS][TIMER_SLOTS];
    struct timer
        *due[TIMER_LEVELS]; /* out of the slots that `now_ms` has entered: to expire (0), to move down (others) */
    bool is_behind;         /* some of them are left */
};

void timers_init(struct timers *timers, uint64_t now_ms);
/* Sets or moves a timer; a deadline that has passed expires in the next turn. `expire` must be set. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ms);
/* Accepts a timer that is not set. */
void timer_cancel(struct timer *timer);
bool timer_is_set(const struct timer *timer);
/* Moves the clock on and runs what is due; `expire` may set and cancel any timer. */
void timers_advance(struct timers *timers, uint64_t now_ms);
/* The same with a bound on how many expire. Returns false when more are due: the clock then stands where they are, and
 * the next call goes on with them. */
bool timers_advance_some(struct timers *timers, uint64_t now_ms, unsigned expire_max);
/* The earliest time at which timers_advance() has something to do, or UINT64_MAX. */
uint64_t timers_next_ms(const struct timers *timers);

#endif
