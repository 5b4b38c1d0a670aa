/* A bounded ring from one thread to another: two counters that only grow, and what lies between them is in the ring.
 * Workers tell the manager outcomes and sightings by it. Owns the array of items. */
#include "lb/engine/spsc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int spsc_init(struct spsc *ring, size_t item_bytes, unsigned capacity) {
    memset(ring, 0, sizeof *ring);
    ring->items = calloc(capacity, item_bytes);
    ring->item_bytes = item_bytes;
    ring->capacity = capacity;
    return ring->items == NULL ? -ENOMEM : 0;
}

void spsc_finish(struct spsc *ring) {
    free(ring->items);
    ring->items = NULL;
}

static unsigned char *item_at(const struct spsc *ring, unsigned number) {
    return ring->items + (number % ring->capacity) * ring->item_bytes;
}

bool spsc_put(struct spsc *ring, const void *item) {
    unsigned written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (written - atomic_load_explicit(&ring->taken, memory_order_acquire) == ring->capacity) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return false;
    }
    memcpy(item_at(ring, written), item, ring->item_bytes);
    atomic_store_explicit(&ring->written, written + 1, memory_order_release);
    return true;
}

bool spsc_take(struct spsc *ring, void *ret_item) {
    unsigned taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&ring->written, memory_order_acquire))
        return false;
    memcpy(ret_item, item_at(ring, taken), ring->item_bytes);
    atomic_store_explicit(&ring->taken, taken + 1, memory_order_release);
    return true;
}
