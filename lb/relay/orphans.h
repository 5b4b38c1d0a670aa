/* Attempts that outlive their sessions, to leave politely: a ring, in the order in which they came. */
#ifndef POSTERN_RELAY_ORPHANS_H
#define POSTERN_RELAY_ORPHANS_H

#include "lb/engine/limits.h"

#include <stdint.h>

struct attempt;

struct orphans {
    struct attempt *places[ORPHANS_MAX]; /* NULL: free */
    unsigned next;                       /* the next one's place: whoever is there still is the oldest */
};

/* Whose place the next one takes; NULL: nobody's. */
struct attempt *orphans_next_to_go(const struct orphans *orphans);
/* Takes that place, and returns it. */
uint8_t orphans_join(struct orphans *orphans, struct attempt *attempt);
void orphans_leave(struct orphans *orphans, unsigned place);
/* NULL: there is none. */
struct attempt *orphans_oldest(const struct orphans *orphans);

#endif
