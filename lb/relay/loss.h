/* What the end of a backend means, in RELAY, and of a client (loss.c). Handlers for a stage to return. */
#ifndef POSTERN_RELAY_LOSS_H
#define POSTERN_RELAY_LOSS_H

#include "lb/relay/session.h"

/* A 421 of the backend, or a 451 that nobody asked for, is complete and not passed on yet. False: it must not go on,
 * the session is to be carried over. */
bool loss_takes_421(struct session *session, const struct dialog_event *event);
/* The backend's stream has ended, `result` 0 or -errno. */
enum stage_id loss_on_backend_end(struct session *session, int result);
/* It has said what is no SMTP, none of which was passed on. */
enum stage_id loss_on_junk(struct session *session);
/* It agrees to what it was not told, which was not passed on. */
enum stage_id loss_on_unasked(struct session *session);
/* The client has said all, and all was answered. */
enum stage_id loss_of_client(struct session *session);
/* The deadline of the relay is over. */
enum stage_id loss_on_timeout(struct session *session);

#endif
