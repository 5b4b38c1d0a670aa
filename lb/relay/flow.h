/* A direction's buffer (struct flow), for all stages in which octets of the client or for it are held. */
#ifndef POSTERN_RELAY_FLOW_H
#define POSTERN_RELAY_FLOW_H

#include "lb/relay/session.h"

/* Takes the buffer over; all of it may go on. */
void flow_fill(struct flow *flow, uint16_t buffer, unsigned offset, unsigned length);
/* Octets that a receive may bring. */
unsigned flow_room(const struct flow *flow);
/* Adds what was received, flow_room() octets at most when that was armed, behind what is held. */
void flow_take(struct session *session, struct flow *flow, uint16_t received, unsigned length);
/* Asserts that its marks stand in their order, and in the buffer. */
void flow_check(const struct flow *flow);
/* Gives the buffer back, where there is one. */
void flow_release(struct session *session, struct flow *flow);

#endif
