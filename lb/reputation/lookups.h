/* What the DNS says of clients, on the manager's ring: the name that leads back to an address (FCrDNS), every list that
 * is on, and the lists' own tests. Nothing waits for an answer: it changes a verdict when it comes.
 *
 * Bounded: LOOKUPS_AT_ONCE clients are looked up at a time, LOOKUPS_WAITING wait; who comes when those are full is
 * asked for again at the next sign of it. */
#ifndef POSTERN_REPUTATION_LOOKUPS_H
#define POSTERN_REPUTATION_LOOKUPS_H

#include "lb/reputation/reputation.h"

/* 40 × (a name + 16 lists) + 2 tests × 16 lists + 256 backends' names = 968: within the half of DNS_QUERIES_MAX that
 * the gate's questions leave (lb/dns/questions.h). */
#define LOOKUPS_AT_ONCE 40u
#define LOOKUPS_WAITING 4096u

struct lookups;

/* `reputation` outlives it; its wants_lookup is set. Returns 0 or -ENOMEM. */
int lookups_create(struct resolver *resolver, struct reputation *reputation, struct lookups **ret_lookups);
/* Before the resolver. Accepts NULL. */
void lookups_destroy(struct lookups *lookups);
/* Ten times a second, say: begins what waits. `now_s`: seconds since 1970. */
void lookups_tick(struct lookups *lookups, uint32_t now_s);

struct lookups_stats {
    unsigned running, waiting;
    uint64_t done;
    uint64_t dropped; /* for want of room */
};
void lookups_read_stats(const struct lookups *lookups, struct lookups_stats *ret_stats);

#endif
