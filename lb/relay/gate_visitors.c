/* Who has awaited the gate's greeting once, and need not for a day: the wait tells a client that can't keep silent from
 * one that can, and no more at the tenth time. In memory only. */
#include "lb/relay/gate_visitors.h"

#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

/* postscreen_greet_ttl: who has once waited is not made to wait again for so long. */
#define WAITED_TTL_MS 86400000u

/* All workers' visitors stand in one table: half a word the client, half the second until which it is remembered. Who
 * shares a place takes it over. */
static atomic_ullong *visitor_of(const struct session *session, uint64_t key) {
    return &session->worker->shared->gate_visitors[key % GATE_VISITORS];
}

bool gate_visitor_has_waited(const struct session *session) {
    uint64_t key = client_key(&session->client);
    uint64_t visitor = atomic_load_explicit(visitor_of(session, key), memory_order_relaxed);
    return visitor >> 32 == key >> 32 && (visitor & UINT32_MAX) > io_now_ms(session->worker->io) / 1000;
}

void gate_visitor_note(const struct session *session) {
    uint64_t key = client_key(&session->client);
    uint64_t until_s = (io_now_ms(session->worker->io) + WAITED_TTL_MS) / 1000;
    atomic_store_explicit(visitor_of(session, key), (key & ~(uint64_t)UINT32_MAX) | (until_s & UINT32_MAX),
                          memory_order_relaxed);
}
