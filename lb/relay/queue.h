/* Sessions that wait for a backend with a free slot (queue.c). */
#ifndef POSTERN_RELAY_QUEUE_H
#define POSTERN_RELAY_QUEUE_H

#include "lb/relay/stage.h"

#include <stdbool.h>

struct view_tier;
struct worker;

extern const struct stage stage_queued;

/* For a handler to return: the session waits for its search.tier, which is this one, or ends where the tier's bound is
 * reached. */
enum stage_id queue_join(struct session *session, const struct view_tier *tier);
/* A vetted client waits for what this one would take: it must join, though there may be a free slot. */
bool queue_must_yield(const struct session *session, const struct view_tier *tier);

void queue_init(struct worker *worker);
/* A backend of this tier that was full has a free slot. */
void queue_on_slot_freed(struct worker *worker, unsigned tier);
/* Something may have changed: lets those that wait choose again, from the next queue_run() on. */
void queue_note_change(struct worker *worker);
/* Once a turn: goes a step further through those that wait. */
void queue_run(struct worker *worker);

#endif
