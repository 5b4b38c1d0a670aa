/* The list of commands that answer in a later turn; the manager's tick serves it. It is short, since a client has one
 * command at a time. Owns its members, and frees each when it has answered. */
#include "lb/control/pending.h"

#include <stdlib.h>

void pending_begin(struct pending_list *list, struct pending *pending) {
    if (pending->serve(pending)) {
        free(pending);
        return;
    }
    pending->next = list->first;
    list->first = pending;
}

unsigned pending_count(const struct pending_list *list, bool (*serve)(struct pending *pending)) {
    unsigned count = 0;
    for (const struct pending *pending = list->first; pending != NULL; pending = pending->next)
        count += pending->serve == serve;
    return count;
}

void pending_serve(struct pending_list *list) {
    struct pending **link = &list->first;
    while (*link != NULL) {
        struct pending *pending = *link;
        if (!pending->serve(pending)) {
            link = &pending->next;
            continue;
        }
        *link = pending->next;
        free(pending);
    }
}

void pending_finish(struct pending_list *list) {
    while (list->first != NULL) {
        struct pending *next = list->first->next;
        free(list->first);
        list->first = next;
    }
}
