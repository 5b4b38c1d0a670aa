/* Random numbers that a seed repeats (xorshift64*, Vigna 2016): good enough for balancing, jitter and loads, and the
 * same in each run. Whoever could gain by guessing them needs getrandom(2) instead. Pure. */
#ifndef POSTERN_BASE_CHANCE_H
#define POSTERN_BASE_CHANCE_H

#include <stdint.h>

struct chance {
    uint64_t state; /* never 0 */
};

static inline void chance_init(struct chance *chance, uint64_t seed) {
    /* A small seed would give small numbers at first. */
    chance->state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
    if (chance->state == 0)
        chance->state = 1;
}

static inline uint64_t chance_bits(struct chance *chance) {
    chance->state ^= chance->state >> 12;
    chance->state ^= chance->state << 25;
    chance->state ^= chance->state >> 27;
    return chance->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* Evenly over [0, limit). */
static inline unsigned chance_below(struct chance *chance, unsigned limit) {
    return (unsigned)((chance_bits(chance) >> 32) * limit >> 32);
}

/* Evenly over (0, 1]: its logarithm is finite. */
static inline double chance_unit(struct chance *chance) {
    return (double)((chance_bits(chance) >> 11) + 1) / 9007199254740992.0;
}

#endif
