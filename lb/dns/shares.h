/* Who may have how many of the places for questions: a share for each client and for each zone of the DNS, so that some
 * who name domains whose servers are silent can't keep all others waiting. Pure.
 *
 * A share is a part of what is free, so that it shrinks as places fill up: one client alone gets 89 of the 512, each of
 * twelve 28, and 176 are left for everybody else. */
#ifndef POSTERN_DNS_SHARES_H
#define POSTERN_DNS_SHARES_H

#include <stdbool.h>
#include <stdint.h>

/* Questions under way. */
#define SHARES_PLACES 512u
/* For vetted clients alone. */
#define SHARES_RESERVED 64u
/* Of what is free, a client may have this part; a vetted one, which may be a provider with many senders, twice as much.
 * A zone half of it. */
#define SHARES_CLIENT_PART 4u
#define SHARES_VETTED_PART 2u
#define SHARES_ZONE_PART   2u
/* A client's only question passes its zone's share, up to so many of the zone: the clients of a zone that others ask
 * for to excess get in as well. A vetted client's has a part more. */
#define SHARES_ZONE_MAX        (SHARES_PLACES / 2)
#define SHARES_ZONE_VETTED_MAX (SHARES_PLACES * 3 / 4)

struct shares {
    uint64_t clients[SHARES_PLACES]; /* of each place; 0: free */
    uint64_t zones[SHARES_PLACES];
};

/* One more question of this client about this zone may begin. `free`: places that are left. Keys are not 0. */
bool shares_admit(const struct shares *shares, uint64_t client, uint64_t zone, bool is_vetted, unsigned free);
void shares_take(struct shares *shares, unsigned place, uint64_t client, uint64_t zone);
void shares_give_back(struct shares *shares, unsigned place);

#endif
