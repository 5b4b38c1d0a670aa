/* Neighbourhoods: a bounded map, like the table of clients. A full bucket drops the one to which no client belonged in
 * the last pass, else the one with the fewest children, because a flood of addresses makes neighbourhoods of one. The
 * sweep of reputation.c fills it, vetting.c asks. Owns the map and what belongs to its keys. */
#include "lb/reputation/parents.h"

#include "lb/base/hash.h"
#include "lb/base/memory.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Domains have the highest bits set, as no client's network has (ff00::/8 is multicast; IPv4 stands there too, but with
 * all of its upper half set). */
#define DOMAIN_BITS (UINT64_C(0xfe) << 56)

struct parent {
    unsigned pass;          /* in which `next` was begun */
    struct parent_sums now; /* of the pass before it */
    struct parent_sums next;
    char name[PARENT_NAME_MAX + 1];
};

static size_t bytes_of(const struct parents *parents) {
    return bounded_map_places(&parents->map) * sizeof *parents->places;
}

int parents_init(struct parents *parents, unsigned most) {
    memset(parents, 0, sizeof *parents);
    int result = bounded_map_init(&parents->map, most);
    parents->places = memory_reserve(bytes_of(parents));
    parents->pass = 1;
    if (result == 0 && parents->places != NULL)
        return 0;
    parents_finish(parents);
    return -ENOMEM;
}

void parents_finish(struct parents *parents) {
    memory_release(parents->places, bytes_of(parents));
    bounded_map_finish(&parents->map);
    memset(parents, 0, sizeof *parents);
}

void parents_turn(struct parents *parents) {
    parents->pass++;
}

/* The sums of the last whole pass. */
static const struct parent_sums *known(const struct parents *parents, const struct parent *parent) {
    static const struct parent_sums nothing;
    if (parent->pass == parents->pass)
        return &parent->now;
    return parent->pass + 1 == parents->pass ? &parent->next : &nothing;
}

static struct parent *find(const struct parents *parents, uint64_t key) {
    size_t place;
    return bounded_map_find(&parents->map, key, &place) ? &parents->places[place] : NULL;
}

static uint32_t size_of(const struct parents *parents, const struct parent *parent) {
    uint32_t children = known(parents, parent)->children;
    return parent->pass == parents->pass && parent->next.children > children ? parent->next.children : children;
}

static bool is_smaller(const void *context, size_t place, size_t other) {
    const struct parents *parents = context;
    return size_of(parents, &parents->places[place]) < size_of(parents, &parents->places[other]);
}

static struct parent *obtain(struct parents *parents, uint64_t key) {
    static const struct bounded_map_order order = {NULL, is_smaller};
    size_t place = 0;
    if (bounded_map_find(&parents->map, key, &place))
        return &parents->places[place];
    bounded_map_choose(&parents->map, key, &order, parents, &place); /* each may go */
    parents->places[place] = (struct parent){.pass = 0};
    bounded_map_put(&parents->map, place, key);
    return &parents->places[place];
}

static void begin_pass(const struct parents *parents, struct parent *parent) {
    if (parent->pass == parents->pass)
        return;
    parent->now = *known(parents, parent);
    parent->next = (struct parent_sums){0};
    parent->pass = parents->pass;
}

void parents_add(struct parents *parents, uint64_t key, const struct parent_share *share) {
    struct parent *parent = obtain(parents, key);
    begin_pass(parents, parent);
    struct parent_sums *sums = &parent->next;
    sums->good += (float)share->good;
    sums->bad += (float)share->bad;
    if (sums->children == 0 || share->first_day < sums->first_day)
        sums->first_day = share->first_day;
    sums->children++;
    sums->vetted += share->is_vetted;
    if (share->is_vetted)
        sums->networks |= UINT32_C(1) << (hash_mix(share->network) >> 59);
}

bool parents_find(const struct parents *parents, uint64_t key, struct parent_sums *ret_sums) {
    const struct parent *parent = find(parents, key);
    if (parent == NULL || known(parents, parent)->children == 0)
        return false;
    *ret_sums = *known(parents, parent);
    return true;
}

void parents_set_name(struct parents *parents, uint64_t key, const char *name) {
    struct parent *parent = obtain(parents, key);
    snprintf(parent->name, sizeof parent->name, "%.*s", (int)PARENT_NAME_MAX, name);
}

const char *parents_name(const struct parents *parents, uint64_t key) {
    const struct parent *parent = find(parents, key);
    return parent == NULL ? "" : parent->name;
}

unsigned parents_networks(const struct parent_sums *sums) {
    return (unsigned)__builtin_popcount(sums->networks);
}

/* --- keys --- */

uint64_t parent_of_network(uint64_t client_key) {
    bool is_ipv4 = client_key >> 32 == UINT32_MAX;
    uint64_t key = is_ipv4 ? client_key & ~UINT64_C(0xff) : client_key & ~UINT64_C(0xffff);
    return key != 0 ? key : 1;
}

uint64_t parent_of_domain(const char *name) {
    return DOMAIN_BITS | (hash_text(HASH_START, name) & ((UINT64_C(1) << 56) - 1));
}
