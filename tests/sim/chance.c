/* What is drawn. One stream of numbers for the whole world, so that a seed gives the same world again. */
#include "tests/sim/sim.h"

struct chance sim_chance;

unsigned sim_below(unsigned limit) {
    return (unsigned)((chance_bits(&sim_chance) >> 32) * limit >> 32);
}

bool sim_once_in(unsigned times) {
    return sim_below(times) == 0;
}
