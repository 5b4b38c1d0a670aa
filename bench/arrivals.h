/* When the sessions of an open loop are due: evenly, or as strangers come, by a Poisson process. A schedule is fixed by
 * rate and seed alone: whoever is late does not move those behind. Pure. */
#ifndef POSTERN_BENCH_ARRIVALS_H
#define POSTERN_BENCH_ARRIVALS_H

#include "lb/base/chance.h"

#include <stdbool.h>

struct arrivals {
    double rate; /* a second */
    bool is_poisson;
    struct chance chance;
    uint64_t number; /* of the next one */
    double due_us;
};

void arrivals_init(struct arrivals *arrivals, double rate, bool is_poisson, uint64_t seed);
/* When the next one is due, in microseconds from the beginning; never earlier than the one before. */
uint64_t arrivals_due_us(const struct arrivals *arrivals);
/* That one has come. */
void arrivals_advance(struct arrivals *arrivals);

/* Whether the number-th of many belongs to `percent` of them, spread evenly and without chance. */
static inline int is_in_share(uint64_t number, unsigned percent) {
    return (number + 1) * percent / 100 > number * percent / 100;
}

#endif
