/* The feedback listener: feeds connect by TCP and tell what became of mails (lb/feedback/wire.h). */
#ifndef POSTERN_FEEDBACK_FEEDBACK_H
#define POSTERN_FEEDBACK_FEEDBACK_H

#include "lb/feedback/wire.h"

#include "conf/config.h"

struct io;
struct reputation;
struct feedback;

/* Reads the key and binds. Returns 0 or -errno with a sentence. */
int feedback_create(const struct config_feedback *config, struct feedback **ret_feedback, char *ret_error,
                    size_t error_size);
/* Begins to accept on this ring, the manager's. What feeds tell goes into `reputation`. Both outlive it. */
void feedback_start(struct feedback *feedback, struct io *io, struct reputation *reputation);
/* For connections that come from now on; those that are open keep theirs. */
void feedback_set_key(struct feedback *feedback, const struct feedback_key *key);
/* Says when no feed has told anything for an hour. */
void feedback_tick(struct feedback *feedback, uint64_t now_ms);
/* Accepts NULL. */
void feedback_destroy(struct feedback *feedback);

#endif
