/* One session of the sink. */
#ifndef POSTERN_BENCH_SINK_SESSION_H
#define POSTERN_BENCH_SINK_SESSION_H

#include "bench/sink_state.h"

/* `fd` is a normal descriptor, or a slot of the ring's table. */
void sink_session_start(struct sink *sink, int fd, bool is_slot, const struct address *peer);

#endif
