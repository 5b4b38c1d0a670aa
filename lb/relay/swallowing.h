/* The end of a session in the middle of its client's content (swallowing.c). */
#ifndef POSTERN_RELAY_SWALLOWING_H
#define POSTERN_RELAY_SWALLOWING_H

#include "lb/relay/session.h"

extern const struct stage stage_swallowing;

/* The stage that comes next for a session that ends in content: what has waited for a backend may hold the end of it.
 */
enum stage_id swallowing_begin(struct session *session);
/* What was on its way to the client when the end began has gone: a handler of stages. */
enum stage_id swallowing_on_late_sent(struct session *session, int result);

#endif
