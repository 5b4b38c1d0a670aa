/* One world of a seed. */
#ifndef POSTERN_TESTS_SIM_RUN_H
#define POSTERN_TESTS_SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* From its beginning to its end; false when an invariant was broken. */
bool world_run(uint64_t seed, unsigned sessions);

#endif
