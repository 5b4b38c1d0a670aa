/* Where the sink listens, as long as its fault lets it. */
#ifndef POSTERN_BENCH_SINK_LISTENER_H
#define POSTERN_BENCH_SINK_LISTENER_H

#include "bench/sink_state.h"

/* Binds sink->address, which gets the port that it has become, and begins to accept. Returns 0 or -errno. */
int sink_listen(struct sink *sink);
/* For connections that come from now on. */
void sink_set_fault(struct sink *sink, enum fault fault);

#endif
