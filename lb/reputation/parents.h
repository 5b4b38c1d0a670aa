/* Neighbourhoods: what is known of a network (/24, /48) or an organisational domain by those clients that belong to it.
 * Pure but for its memory; the manager's own.
 *
 * Nothing is kept by adding and subtracting: the sweep goes through all clients once in a pass and adds them up anew,
 * so that what is said is at most one pass old and cannot drift. */
#ifndef POSTERN_REPUTATION_PARENTS_H
#define POSTERN_REPUTATION_PARENTS_H

#include "lb/base/bounded_map.h"

#include <stdbool.h>
#include <stdint.h>

#define PARENT_NAME_MAX 63u

/* One client, as it counts for its parents. */
struct parent_share {
    double good, bad;
    uint16_t first_day;
    bool is_vetted;
    uint64_t network; /* its /24 or /48 */
};

struct parent_sums {
    float good, bad;
    uint32_t children;
    uint32_t vetted;
    uint32_t networks; /* of vetted children: a bit by hash each, so that fewer may be seen than there are */
    uint16_t first_day;
};

struct parent;

struct parents {
    struct bounded_map map;
    struct parent *places; /* by their keys' places in the map */
    unsigned pass;
};

/* Room for `most`, rounded up. Returns 0 or -ENOMEM. */
int parents_init(struct parents *parents, unsigned most);
/* Accepts a zeroed one. */
void parents_finish(struct parents *parents);
/* A pass has ended: what was added in it is what is known from now on. */
void parents_turn(struct parents *parents);
void parents_add(struct parents *parents, uint64_t key, const struct parent_share *share);
/* Returns false when nothing is known. */
bool parents_find(const struct parents *parents, uint64_t key, struct parent_sums *ret_sums);
/* For `show reputation`: the domain's own name, cut to PARENT_NAME_MAX. */
void parents_set_name(struct parents *parents, uint64_t key, const char *name);
const char *parents_name(const struct parents *parents, uint64_t key);
unsigned parents_networks(const struct parent_sums *sums);

/* The /24 or /48 of a client's key. Never the key of a client or domain. */
uint64_t parent_of_network(uint64_t client_key);
uint64_t parent_of_domain(const char *name);

#endif
