/* The places of a bounded map, and the choice of the key that makes room in a full bucket. The tables of clients, of
 * neighbourhoods and of DNS answers stand on it. A map owns its array of keys; what belongs to a key is the owner's of
 * the map. */
#include "lb/base/bounded_map.h"

#include "lb/base/memory.h"

#include <errno.h>

#define BUCKETS_MOST (UINT32_MAX / BOUNDED_MAP_WAYS / 2)

int bounded_map_init(struct bounded_map *map, unsigned most) {
    *map = (struct bounded_map){.buckets = 1};
    while (map->buckets < BUCKETS_MOST && map->buckets * BOUNDED_MAP_WAYS < most)
        map->buckets *= 2;
    map->keys = memory_reserve(bounded_map_places(map) * sizeof *map->keys);
    return map->keys != NULL ? 0 : -ENOMEM;
}

void bounded_map_finish(struct bounded_map *map) {
    memory_release((void *)map->keys, bounded_map_places(map) * sizeof *map->keys);
    *map = (struct bounded_map){.buckets = 0};
}

bool bounded_map_choose(const struct bounded_map *map, uint64_t key, const struct bounded_map_order *order,
                        const void *context, size_t *ret_place) {
    size_t first = bounded_map_bucket(map, key), chosen = SIZE_MAX;
    for (size_t place = first; place < first + BOUNDED_MAP_WAYS; place++) {
        if (bounded_map_key(map, place) == 0) {
            *ret_place = place;
            return true;
        }
        if ((order->may_go == NULL || order->may_go(context, place)) &&
            (chosen == SIZE_MAX || order->goes_before(context, place, chosen)))
            chosen = place;
    }
    if (chosen == SIZE_MAX)
        return false;
    *ret_place = chosen;
    return true;
}
