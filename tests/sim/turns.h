/* What one turn of a worker may do at most, and what it may not leave undone. */
#ifndef POSTERN_TESTS_SIM_TURNS_H
#define POSTERN_TESTS_SIM_TURNS_H

struct worker;

/* One turn of the worker's loop, watched by what follows. */
void turns_turn(struct worker *worker);

#endif
