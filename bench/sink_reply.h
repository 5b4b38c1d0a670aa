/* What a session of the sink says, or does instead. */
#ifndef POSTERN_BENCH_SINK_REPLY_H
#define POSTERN_BENCH_SINK_REPLY_H

#include "bench/sink_state.h"

/* A reply, at the end of those that wait to be sent. */
__attribute__((format(printf, 2, 3))) void sink_say(struct sink_session *session, const char *format, ...);
/* Counts that the session's fault has shown. */
void sink_misbehave(struct sink_session *session);
/* The same, and closes without a word. */
void sink_die(struct sink_session *session);
/* No more replies, nor to what stands behind: that one would be taken for the first that is missing. */
void sink_fall_silent(struct sink_session *session);

#endif
