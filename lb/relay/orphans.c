/* Attempts that outlive their sessions. Places of a ring are given in turn, so that the oldest orphan goes when there
 * are too many. attempt.c lets them join and leave; each attempt owns itself. */
#include "lb/relay/orphans.h"

#include <assert.h>
#include <stddef.h>

_Static_assert(ORPHANS_MAX <= UINT8_MAX + 1, "an attempt keeps its place in an octet");

struct attempt *orphans_next_to_go(const struct orphans *orphans) {
    return orphans->places[orphans->next];
}

uint8_t orphans_join(struct orphans *orphans, struct attempt *attempt) {
    unsigned place = orphans->next;
    assert(orphans->places[place] == NULL);
    orphans->next = (place + 1) % ORPHANS_MAX;
    orphans->places[place] = attempt;
    return (uint8_t)place;
}

void orphans_leave(struct orphans *orphans, unsigned place) {
    orphans->places[place] = NULL;
}

struct attempt *orphans_oldest(const struct orphans *orphans) {
    for (unsigned i = 0; i < ORPHANS_MAX; i++) {
        struct attempt *orphan = orphans->places[(orphans->next + i) % ORPHANS_MAX];
        if (orphan != NULL)
            return orphan;
    }
    return NULL;
}
