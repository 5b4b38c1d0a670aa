/* The sink's control socket. */
#ifndef POSTERN_BENCH_SINK_CONTROL_H
#define POSTERN_BENCH_SINK_CONTROL_H

#include "bench/sink_state.h"

/* Listens on a UNIX socket for `fault NAME`, `stats`, `quit`. Returns 0 or -errno. */
int sink_control_start(struct sink *sink, const char *path);
/* Sends one command (words, ended by NULL) to a running sink and prints its answer. Returns an exit status. */
int sink_tell(const char *path, char *const *words);

#endif
