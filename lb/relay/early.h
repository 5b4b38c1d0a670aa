/* What the client says, and has been sent, while no backend serves it: in the search, in the queue, in a replay. */
#ifndef POSTERN_RELAY_EARLY_H
#define POSTERN_RELAY_EARLY_H

#include "lb/relay/session.h"

/* Arms a receive before the relay, for no more than is kept of early talk, and one octet that tells of more. */
void early_listen(struct session *session);
/* What the client says next is heard, where nothing of it is held: be it the rest of a command whose beginning a lost
 * backend was sent. */
void early_hear_on(struct session *session);
/* True when the octets are the beginning of a PROXY header, which no SMTP client would send. */
bool early_is_proxy_header(const uint8_t *data, size_t length);

/* Handlers of stages. Of a client that has heard nothing yet it is early talk; of others what the next backend gets. */
enum stage_id early_on_received(struct session *session, int result);
enum stage_id early_on_sent(struct session *session, int result);

#endif
