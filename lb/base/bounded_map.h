/* Keys in a number of places that is fixed at start. What belongs to a key stands in its owner's own arrays, at the
 * same place. The places are in buckets of eight, one cache line of keys; a key's mix chooses its bucket, and it stands
 * nowhere else. Where a bucket is full, its owner says who makes room.
 *
 * One thread writes. Others may look up meanwhile: they see a key only when what its owner wrote before is seen too. */
#ifndef POSTERN_BASE_BOUNDED_MAP_H
#define POSTERN_BASE_BOUNDED_MAP_H

#include "lb/base/hash.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOUNDED_MAP_WAYS 8u

struct bounded_map {
    _Atomic uint64_t *keys; /* owned; 0: a free place */
    unsigned buckets;       /* a power of two */
};

/* Who makes room in a full bucket. Both are asked about places where a key stands. */
struct bounded_map_order {
    bool (*may_go)(const void *context, size_t place); /* NULL: each may */
    bool (*goes_before)(const void *context, size_t place, size_t other);
};

/* Room for `most` keys, rounded up to a power of two of buckets. Returns 0 or -ENOMEM. */
int bounded_map_init(struct bounded_map *map, unsigned most);
/* Accepts a zeroed one. */
void bounded_map_finish(struct bounded_map *map);

static inline size_t bounded_map_places(const struct bounded_map *map) {
    return (size_t)map->buckets * BOUNDED_MAP_WAYS;
}

/* The first place of the key's bucket. */
static inline size_t bounded_map_bucket(const struct bounded_map *map, uint64_t key) {
    return (size_t)(hash_mix(key) & (map->buckets - 1)) * BOUNDED_MAP_WAYS;
}

/* 0: nobody stands there. */
static inline uint64_t bounded_map_key(const struct bounded_map *map, size_t place) {
    return atomic_load_explicit(&map->keys[place], memory_order_acquire);
}

/* From any thread. Of a key that is not 0. */
static inline bool bounded_map_find(const struct bounded_map *map, uint64_t key, size_t *ret_place) {
    size_t first = bounded_map_bucket(map, key);
    for (size_t place = first; place < first + BOUNDED_MAP_WAYS; place++) {
        if (bounded_map_key(map, place) == key) {
            *ret_place = place;
            return true;
        }
    }
    return false;
}

/* Where a key that is not there can be put: at a free place, else in place of the one of its bucket that may go and
 * goes before the others. Returns false when nobody there may. `context` is for the order. Nothing is written: the
 * owner clears what stood there, and then calls bounded_map_put(). */
bool bounded_map_choose(const struct bounded_map *map, uint64_t key, const struct bounded_map_order *order,
                        const void *context, size_t *ret_place);

/* `key` 0: the place is free. */
static inline void bounded_map_put(struct bounded_map *map, size_t place, uint64_t key) {
    atomic_store_explicit(&map->keys[place], key, memory_order_release);
}

#endif
