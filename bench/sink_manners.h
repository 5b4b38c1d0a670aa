/* How the sink refuses clients in words, as real servers do. */
#ifndef POSTERN_BENCH_SINK_MANNERS_H
#define POSTERN_BENCH_SINK_MANNERS_H

#include "bench/sink_state.h"

/* NULL: there are none of that name. */
const struct manners *sink_manners_find(const char *name);
/* True when this command was refused in words, which end the session. */
bool sink_refuses(struct sink_session *session, const char *line);
/* One more unknown command; true when it was one too many, which was said and ends the session. */
bool sink_has_had_enough(struct sink_session *session);

#endif
