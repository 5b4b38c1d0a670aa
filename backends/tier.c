/* The clock of a tier: whether it takes traffic. The roster moves it. `min-up = 0` still needs one usable backend: with
 * none, clients would only be told 421 by a tier that could hand them on. Pure. */
#include "backends/tier.h"

static unsigned needed(uint32_t up_min) {
    return up_min > 0 ? up_min : 1;
}

bool tier_clock_step(struct tier_clock *clock, struct tier_count count, uint32_t up_min, uint64_t failback_delay_ms,
                     uint64_t now_ms) {
    bool was_up = clock->is_up;
    if (count.usable < needed(up_min)) {
        clock->has_been_down |= clock->has_been_up;
        clock->is_up = false;
        clock->is_holding = false;
        return was_up;
    }
    if (clock->is_up)
        return false;
    if (!clock->is_holding) {
        clock->is_holding = true;
        clock->held_since_ms = now_ms;
    }
    if (clock->has_been_down && now_ms - clock->held_since_ms < failback_delay_ms)
        return false;
    clock->is_up = true;
    clock->has_been_up = true;
    clock->is_holding = false;
    return true;
}

bool tier_clock_is_starting(const struct tier_clock *clock, struct tier_count count, uint32_t up_min) {
    return !clock->is_up && !clock->has_been_up && count.starting > 0 &&
           count.usable + count.starting >= needed(up_min);
}

uint32_t tier_ramp(uint32_t full, uint64_t elapsed_ms, uint64_t slowstart_ms) {
    if (full == 0 || elapsed_ms >= slowstart_ms)
        return full;
    uint32_t share = (uint32_t)((uint64_t)full * elapsed_ms / slowstart_ms);
    return share > 0 ? share : 1;
}
