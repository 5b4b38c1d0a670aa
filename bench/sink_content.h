/* A session's content. Each takes what it can of it and returns how much that was. */
#ifndef POSTERN_BENCH_SINK_CONTENT_H
#define POSTERN_BENCH_SINK_CONTENT_H

#include "bench/sink_state.h"

void sink_content_begin(struct sink_session *session);
/* A line of the header, or as much of one as there was room for. */
void sink_content_line(struct sink_session *session, const char *line, size_t length, bool is_whole);
size_t sink_content_body(struct sink_session *session, const char *data, size_t length);
size_t sink_content_chunk(struct sink_session *session, const char *data, size_t length);
/* BDAT with its arguments. */
void sink_content_bdat(struct sink_session *session, const char *arguments);

#endif
