/* The feedback listener: feeds connect by TCP and tell what became of mails (lb/control/feedback_wire.h). */
#ifndef POSTERN_CONTROL_FEEDBACK_H
#define POSTERN_CONTROL_FEEDBACK_H

#include "lb/control/feedback_wire.h"
#include "lb/engine/conn.h"

struct manager;
struct feedback;

/* Reads the key and binds. Returns 0 or -errno with a sentence. */
int feedback_create(const struct config_feedback *config, struct feedback **ret_feedback, char *ret_error,
                    size_t error_size);
/* Begins to accept on the manager's ring. */
void feedback_start(struct feedback *feedback, struct manager *manager);
/* For connections that come from now on; those that are open keep theirs. */
void feedback_set_key(struct feedback *feedback, const struct feedback_key *key);
/* Says when no feed has told anything for an hour. */
void feedback_tick(struct feedback *feedback, uint64_t now_ms);
/* Accepts NULL. */
void feedback_destroy(struct feedback *feedback);

#endif
