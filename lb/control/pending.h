/* Commands that answer in a later turn of the manager's loop: each is looked at at every tick until it has answered. */
#ifndef POSTERN_CONTROL_PENDING_H
#define POSTERN_CONTROL_PENDING_H

#include <stdbool.h>

/* Commands that may wait for something to happen at a time; more hear an error. */
#define CONTROL_WAITS_MAX 16u

/* The first field of an allocation, which is the list's from pending_begin() on. */
struct pending {
    struct pending *next;
    /* Returns true when it has answered. */
    bool (*serve)(struct pending *pending);
};

struct pending_list {
    struct pending *first;
};

/* Serves it once, and puts it into the list when it has not answered yet. */
void pending_begin(struct pending_list *list, struct pending *pending);
/* How many of the list this function serves. */
unsigned pending_count(const struct pending_list *list, bool (*serve)(struct pending *pending));
/* Serves all; those that have answered are freed. */
void pending_serve(struct pending_list *list);
/* Frees all, without answers. */
void pending_finish(struct pending_list *list);

#endif
