/* What a worker's sessions tell the manager about backends that fail them: a bounded ring, one writer, one reader. */
#ifndef POSTERN_RELAY_OUTCOME_H
#define POSTERN_RELAY_OUTCOME_H

#include "lb/engine/limits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct outcome {
    uint32_t backend_serial;
    uint32_t client_key; /* a hash of the client's /32 or /64 */
};

struct outcome_ring {
    _Alignas(64) atomic_uint written;
    _Alignas(64) atomic_uint taken;
    struct outcome items[OUTCOMES_MAX];
    atomic_ulong dropped;
};

/* The worker. Returns false when the ring is full. */
bool outcome_put(struct outcome_ring *ring, struct outcome outcome);
/* The manager. Returns false when there is none. */
bool outcome_take(struct outcome_ring *ring, struct outcome *ret_outcome);

#endif
