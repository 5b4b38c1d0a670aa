/* What the whole simulator draws from, and the clock that all of it reads. */
#include "tests/sim/sim.h"

struct chance sim_chance;
uint64_t sim_clock_ms;
