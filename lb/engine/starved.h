/* The receives that wait for a buffer of the ring's, first in, first out. Each is a struct recv_op and carries its own
 * link, so that one that is given up leaves from the middle at no cost. For whoever implements io.h. */
#ifndef POSTERN_ENGINE_STARVED_H
#define POSTERN_ENGINE_STARVED_H

#include <stdbool.h>

struct recv_op;

struct starved {
    struct recv_op *first;
    struct recv_op **end; /* where the next one is linked */
};

void starved_init(struct starved *starved);
/* The operation must not wait already. */
void starved_add(struct starved *starved, struct recv_op *op);
/* The one that has waited longest leaves; NULL: nobody waits. */
struct recv_op *starved_take(struct starved *starved);
/* Returns false when the operation did not wait. */
bool starved_leave(struct starved *starved, struct recv_op *op);

#endif
