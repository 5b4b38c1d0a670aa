/* The operator of a simulated world: at random times adds, drains, deletes and moves servers, ends their sessions,
 * gives clients another reputation, has files read anew. */
#ifndef POSTERN_TESTS_SIM_OPERATOR_H
#define POSTERN_TESTS_SIM_OPERATOR_H

#include "tests/sim/manager.h"

void operator_begin(struct sim_manager *manager);
/* Does what is due. */
void operator_act(void);
/* When that is; UINT64_MAX: never. */
uint64_t operator_next_ms(void);
/* All servers are ready again, and no word of his is on its way any more. */
void operator_rest(void);

#endif
