/* Who has awaited the gate's greeting (gate_visitors.c). */
#ifndef POSTERN_RELAY_GATE_VISITORS_H
#define POSTERN_RELAY_GATE_VISITORS_H

#include <stdbool.h>

struct session;

/* Whether this client has once kept silent until the greeting; and that it has now. */
bool gate_visitor_has_waited(const struct session *session);
void gate_visitor_note(const struct session *session);

#endif
