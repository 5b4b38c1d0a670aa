/* The deadline in RELAY (relay_wait.c). */
#ifndef POSTERN_RELAY_RELAY_WAIT_H
#define POSTERN_RELAY_RELAY_WAIT_H

#include "lb/relay/session.h"

enum relay_event { RELAY_BEGUN, RELAY_CLIENT_SPOKE, RELAY_CLIENT_TOOK, RELAY_BACKEND_SPOKE, RELAY_BACKEND_TOOK };

/* Something has happened: sets the deadline of whoever must do something next. */
void relay_wait(struct session *session, enum relay_event event);
/* The backend has gone down: its reply is not awaited much longer. */
enum stage_id relay_hurry(struct session *session);

#endif
