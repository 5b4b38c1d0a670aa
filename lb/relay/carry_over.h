/* A backend is lost in mid-dialog, and the session is carried over to another one (carry_over.c). */
#ifndef POSTERN_RELAY_CARRY_OVER_H
#define POSTERN_RELAY_CARRY_OVER_H

#include "lb/relay/session.h"

extern const struct stage stage_parked;

/* Nothing was said to the backend that another one could not be told. */
bool can_carry_over(const struct session *session);
/* Leaves the backend, in RELAY: for a handler to return. Only while can_carry_over(). */
enum stage_id carry_over(struct session *session, const char *why);

#endif
