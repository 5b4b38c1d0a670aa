/* Sessions that linger, and can be spared (lingerers.c). */
#ifndef POSTERN_RELAY_LINGERERS_H
#define POSTERN_RELAY_LINGERERS_H

struct lingerers;
struct session;
struct worker;

/* Returns 0 or -ENOMEM. */
int lingerers_init(struct lingerers *lingerers, unsigned capacity);
void lingerers_finish(struct lingerers *lingerers);
/* The session has entered LINGERING. */
void lingerers_add(struct session *session);
/* The one that has lingered longest closes, if there is one: its place is wanted. */
void lingerers_spare_oldest(struct worker *worker);

#endif
