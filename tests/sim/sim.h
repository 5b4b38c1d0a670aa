/* What all files of the simulator need: chance, the clock and the trace. The simulator runs postern's own code between
 * clients and backends that a seed draws, on a ring, a network and a clock of its own (README.md). One thread, one
 * world at a time. */
#ifndef POSTERN_TESTS_SIM_H
#define POSTERN_TESTS_SIM_H

#include "lb/base/chance.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- chance.c: everything that is drawn comes from the seed --- */

extern struct chance sim_chance;

/* Evenly over 0 … limit − 1. */
static inline unsigned sim_below(unsigned limit) {
    return chance_below(&sim_chance, limit);
}

/* True once in `times`. */
static inline bool sim_once_in(unsigned times) {
    return sim_below(times) == 0;
}

/* --- the clock: moved by the world alone --- */

extern uint64_t sim_clock_ms;

static inline uint64_t sim_now_ms(void) {
    return sim_clock_ms;
}

/* --- trace.c: what happened, for a seed that fails; it takes the place of the log --- */

/* Off while nobody wants to read it: a seed that has failed is run again with it. */
extern bool sim_is_tracing;
/* Prints each line at once. */
extern bool sim_is_verbose;
/* Begins a new trace. */
void sim_trace_begin(void);
__attribute__((format(printf, 1, 2))) void sim_trace_line(const char *format, ...);
#define sim_trace(...) (sim_is_tracing ? sim_trace_line(__VA_ARGS__) : (void)0)
/* An invariant is broken: the seed has failed. With the trace on prints its end, and what. */
__attribute__((format(printf, 1, 2))) void sim_broken(const char *format, ...);
bool sim_has_failed(void);

#endif
