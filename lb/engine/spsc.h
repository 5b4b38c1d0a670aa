/* A bounded ring of small items from one thread to another, without locks: one writer, one reader. */
#ifndef POSTERN_ENGINE_SPSC_H
#define POSTERN_ENGINE_SPSC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct spsc {
    _Alignas(64) atomic_uint written;
    _Alignas(64) atomic_uint taken;
    _Alignas(64) unsigned char *items; /* owned */
    size_t item_bytes;
    unsigned capacity;
    atomic_ulong dropped; /* items for which there was no room */
};

/* Returns 0 or -ENOMEM. */
int spsc_init(struct spsc *ring, size_t item_bytes, unsigned capacity);
/* Accepts a zeroed one. */
void spsc_finish(struct spsc *ring);
/* The writer; copies the item. Returns false, and counts it, when the ring is full. */
bool spsc_put(struct spsc *ring, const void *item);
/* The reader; returns false when there is none. */
bool spsc_take(struct spsc *ring, void *ret_item);

#endif
