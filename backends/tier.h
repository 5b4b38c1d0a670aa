/* When a tier takes traffic: pure, time is passed in. */
#ifndef POSTERN_BACKENDS_TIER_H
#define POSTERN_BACKENDS_TIER_H

#include <stdbool.h>
#include <stdint.h>

struct tier_clock {
    bool is_up;
    bool has_been_down; /* after having been up: coming back takes `failback-delay` */
    bool has_been_up;
    bool is_holding; /* enough are usable, the delay runs */
    uint64_t held_since_ms;
};

struct tier_count {
    unsigned usable;
    unsigned starting;
};

/* Moves the clock: up while at least `up_min` are usable; down at once when fewer are; back after they have held for
 * `failback_delay_ms` without interruption. Returns true when is_up has changed. */
bool tier_clock_step(struct tier_clock *clock, struct tier_count count, uint32_t up_min, uint64_t failback_delay_ms,
                     uint64_t now_ms);
/* Not up, but the backends that have not been probed yet could make it so: clients wait. */
bool tier_clock_is_starting(const struct tier_clock *clock, struct tier_count count, uint32_t up_min);

/* A weight or limit in slow start: a share of it that grows evenly, 1 at least; 0 stays 0. */
uint32_t tier_ramp(uint32_t full, uint64_t elapsed_ms, uint64_t slowstart_ms);

#endif
