/* What one client may have: the tables of lb/limits, asked for its sessions. */
#ifndef POSTERN_RELAY_CLIENT_LIMITS_H
#define POSTERN_RELAY_CLIENT_LIMITS_H

#include "lb/relay/session.h"

/* Its client is known, and whether it is vetted. STAGE_SAME: it is within the limits of its listener and its network,
 * and counted there until client_limits_leave(); else the stage that it goes to. */
enum stage_id client_limits_admit(struct session *session);
/* Likewise for a tier that is to serve it, and in place of the one before. */
enum stage_id client_limits_enter_tier(struct session *session, unsigned tier);
/* It is counted nowhere any more. */
void client_limits_leave(struct session *session);

/* Whether the session may leave its line in the log: of those over a limit only some of a second may, and of the others
 * it is said how many they were. */
bool client_limits_may_log(const struct session *session);
/* The worker's part in that. */
void client_limits_init(struct worker *worker);

#endif
