/* Who has awaited the gate's greeting once. A place holds half a word of the client's key, and half the second until
 * which it is remembered. Of two clients with the same place the later one is remembered. Workers share the array,
 * which the manager owns. Pure; the time is passed in. */
#include "lb/gate/visitors.h"

#include "lb/engine/limits.h"

/* postscreen_greet_ttl: who has once waited is not made to wait again for so long. */
#define WAITED_TTL_MS 86400000u

bool gate_visitors_have(atomic_ullong *visitors, uint64_t key, uint64_t now_ms) {
    uint64_t visitor = atomic_load_explicit(&visitors[key % GATE_VISITORS], memory_order_relaxed);
    return visitor >> 32 == key >> 32 && (visitor & UINT32_MAX) > now_ms / 1000;
}

void gate_visitors_note(atomic_ullong *visitors, uint64_t key, uint64_t now_ms) {
    uint64_t until_s = (now_ms + WAITED_TTL_MS) / 1000;
    atomic_store_explicit(&visitors[key % GATE_VISITORS], (key & ~(uint64_t)UINT32_MAX) | (until_s & UINT32_MAX),
                          memory_order_relaxed);
}
