/* Buckets of eight, like the table of clients. A full bucket drops whom no client belonged to in the last pass, else
 * the one with the fewest children: a flood of addresses makes neighbourhoods of one. */
#include "lb/reputation/parents.h"

#include "lb/base/hash.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define WAYS 8u

/* Domains have the highest bits set, as no client's network has (ff00::/8 is multicast; IPv4 stands there too, but with
 * all of its upper half set). */
#define DOMAIN_BITS (UINT64_C(0xfe) << 56)

struct parent {
    uint64_t key;           /* 0: nobody */
    unsigned pass;          /* in which `next` was begun */
    struct parent_sums now; /* of the pass before it */
    struct parent_sums next;
    char name[PARENT_NAME_MAX + 1];
};

int parents_init(struct parents *parents, unsigned most) {
    memset(parents, 0, sizeof *parents);
    parents->buckets = 1;
    while (parents->buckets < UINT32_MAX / WAYS / 2 && parents->buckets * WAYS < most)
        parents->buckets *= 2;
    size_t bytes = (size_t)parents->buckets * WAYS * sizeof *parents->places;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    parents->places = memory;
    parents->pass = 1;
    return 0;
}

void parents_finish(struct parents *parents) {
    if (parents->places != NULL)
        munmap(parents->places, (size_t)parents->buckets * WAYS * sizeof *parents->places);
    memset(parents, 0, sizeof *parents);
}

void parents_turn(struct parents *parents) {
    parents->pass++;
}

static struct parent *bucket_of(const struct parents *parents, uint64_t key) {
    return &parents->places[(hash_mix(key) & (parents->buckets - 1)) * WAYS];
}

/* The sums of the last whole pass. */
static const struct parent_sums *known(const struct parents *parents, const struct parent *parent) {
    static const struct parent_sums nothing;
    if (parent->pass == parents->pass)
        return &parent->now;
    return parent->pass + 1 == parents->pass ? &parent->next : &nothing;
}

static struct parent *find(const struct parents *parents, uint64_t key) {
    struct parent *bucket = bucket_of(parents, key);
    for (unsigned i = 0; i < WAYS; i++)
        if (bucket[i].key == key)
            return &bucket[i];
    return NULL;
}

static uint32_t size_of(const struct parents *parents, const struct parent *parent) {
    uint32_t children = known(parents, parent)->children;
    return parent->pass == parents->pass && parent->next.children > children ? parent->next.children : children;
}

static struct parent *obtain(struct parents *parents, uint64_t key) {
    struct parent *bucket = bucket_of(parents, key), *victim = find(parents, key);
    if (victim != NULL)
        return victim;
    victim = &bucket[0];
    for (unsigned i = 0; i < WAYS && victim->key != 0; i++)
        if (bucket[i].key == 0 || size_of(parents, &bucket[i]) < size_of(parents, victim))
            victim = &bucket[i];
    *victim = (struct parent){.key = key};
    return victim;
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
