/* The receives of a ring that wait for a buffer: a list whose members know what points to them, so that each can leave
 * from the middle. io_uring.c and the simulated ring keep one. The members are their owners'. Fatal here, by an assert,
 * is a receive that joins twice. */
#include "lb/engine/starved.h"

#include "lb/engine/io.h"

#include <assert.h>

void starved_init(struct starved *starved) {
    starved->first = NULL;
    starved->end = &starved->first;
}

void starved_add(struct starved *starved, struct recv_op *op) {
    assert(op->starved_link == NULL);
    op->next_starved = NULL;
    op->starved_link = starved->end;
    *starved->end = op;
    starved->end = &op->next_starved;
}

struct recv_op *starved_take(struct starved *starved) {
    struct recv_op *op = starved->first;
    if (op != NULL)
        starved_leave(starved, op);
    return op;
}

bool starved_leave(struct starved *starved, struct recv_op *op) {
    if (op->starved_link == NULL)
        return false;
    *op->starved_link = op->next_starved;
    if (op->next_starved != NULL)
        op->next_starved->starved_link = op->starved_link;
    else
        starved->end = op->starved_link;
    op->starved_link = NULL;
    return true;
}
