/* A session's line in the log (session_line.c). */
#ifndef POSTERN_RELAY_SESSION_LINE_H
#define POSTERN_RELAY_SESSION_LINE_H

#include "lb/relay/session.h"

/* The end has begun: keeps what will be told of this moment, of which nothing is left when the client has heard the
 * last. */
void session_line_keep(struct session *session);
/* Writes it, once: when nothing more will be said to the client. */
void session_line_write(struct session *session);

#endif
