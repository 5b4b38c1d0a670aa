/* The observer and the replay log are shown what passes, whoever says it (observe.c). */
#ifndef POSTERN_RELAY_OBSERVE_H
#define POSTERN_RELAY_OBSERVE_H

#include "lb/relay/session.h"

/* Shows octets of the client to the observer, and commands to the replay log; as dialog_feed_client(). */
size_t observe_command(struct session *session, const uint8_t *data, size_t length, struct dialog_event *ret_event);
/* The observer has found this complete reply, which goes on to the client. */
void observe_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply, size_t length);
/* Shows the observer a complete reply that is postern's own, and takes it as one of a backend. */
void observe_own_reply(struct session *session, const char *text, size_t length);

#endif
