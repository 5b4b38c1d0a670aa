/* The schedule of load's open loop: when each session is due. load.c asks. Pure but for the random numbers, which are
 * the caller's. */
#include "bench/arrivals.h"

#include <math.h>

/* The gaps of a Poisson process are exponential. */
static double draw_gap_us(struct arrivals *arrivals) {
    return -log(chance_unit(&arrivals->chance)) * 1e6 / arrivals->rate;
}

void arrivals_init(struct arrivals *arrivals, double rate, bool is_poisson, uint64_t seed) {
    *arrivals = (struct arrivals){.rate = rate, .is_poisson = is_poisson};
    chance_init(&arrivals->chance, seed);
    if (is_poisson)
        arrivals->due_us = draw_gap_us(arrivals);
}

uint64_t arrivals_due_us(const struct arrivals *arrivals) {
    return (uint64_t)arrivals->due_us;
}

/* Even ones are counted from the beginning, so that no rounding adds up. */
void arrivals_advance(struct arrivals *arrivals) {
    arrivals->number++;
    if (arrivals->is_poisson)
        arrivals->due_us += draw_gap_us(arrivals);
    else
        arrivals->due_us = (double)arrivals->number * 1e6 / arrivals->rate;
}
