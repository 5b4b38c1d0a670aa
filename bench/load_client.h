/* One session of the load, from its connection to its outcome. */
#ifndef POSTERN_BENCH_LOAD_CLIENT_H
#define POSTERN_BENCH_LOAD_CLIENT_H

#include "bench/load_state.h"

void client_start(struct load *load, unsigned number, uint64_t scheduled_us);

#endif
