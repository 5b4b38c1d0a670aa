/* When a session that is to end can be ended (moment.c). */
#ifndef POSTERN_RELAY_MOMENT_H
#define POSTERN_RELAY_MOMENT_H

#include "lb/relay/session.h"

/* It is to end: the worker stops, or sessions on its backend are shut down. */
bool moment_is_told(const struct session *session);
/* When a session in RELAY may end; for its row. */
enum moment moment_in_relay(const struct session *session);
/* That is now. */
bool moment_has_come(const struct session *session, enum moment moment);
/* It ends, and a mail that may be doubled by that is logged. For a handler to return. */
enum stage_id moment_end(struct session *session, enum moment moment);
/* From the relay, when replies have gone to the client whole: ends where it is told to and may. Likewise. */
enum stage_id moment_behind_reply(struct session *session);
/* Tells a session in RELAY so, which is cut then. */
void moment_tell(struct session *session, uint64_t by_ms);
/* It ends: nobody need tell it so any more. */
void moment_forget(struct session *session);

#endif
