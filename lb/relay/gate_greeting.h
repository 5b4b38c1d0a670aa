/* How a session comes into the gate, and what it hears first (gate_greeting.c). */
#ifndef POSTERN_RELAY_GATE_GREETING_H
#define POSTERN_RELAY_GATE_GREETING_H

#include "lb/relay/stage.h"

extern const struct stage stage_gate_opens, stage_gate_refuses;

/* While session->gate->is_teasing: it has talked, or left; and it has kept silent long enough. For a handler to return.
 */
enum stage_id gate_on_early_talk(struct session *session, int result);
enum stage_id gate_on_teased(struct session *session);

#endif
