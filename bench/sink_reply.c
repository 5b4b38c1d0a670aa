/* The replies of a session of the sink gather in its output here; sink_session.c sends them. Owns nothing. */
#include "bench/sink_reply.h"

#include <stdarg.h>

void sink_say(struct sink_session *session, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof session->output - session->output_length;
    int length = vsnprintf(session->output + session->output_length, room, format, arguments);
    if (length > 0 && (size_t)length < room)
        session->output_length += (size_t)length;
    va_end(arguments);
}

void sink_misbehave(struct sink_session *session) {
    session->sink->stats.faults++;
}

void sink_die(struct sink_session *session) {
    sink_misbehave(session);
    conn_close(&session->conn);
}

void sink_fall_silent(struct sink_session *session) {
    sink_misbehave(session);
    session->in_chunk = true;
    session->chunk_left = UINT64_MAX;
}
