/* Failures on their way to the health module. Successes need no message: they are counted in the backend's shares. */
#include "lb/relay/outcome.h"

#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

bool outcome_put(struct outcome_ring *ring, struct outcome outcome) {
    unsigned written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (written - atomic_load_explicit(&ring->taken, memory_order_acquire) == OUTCOMES_MAX) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return false;
    }
    ring->items[written % OUTCOMES_MAX] = outcome;
    atomic_store_explicit(&ring->written, written + 1, memory_order_release);
    return true;
}

bool outcome_take(struct outcome_ring *ring, struct outcome *ret_outcome) {
    unsigned taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&ring->written, memory_order_acquire))
        return false;
    *ret_outcome = ring->items[taken % OUTCOMES_MAX];
    atomic_store_explicit(&ring->taken, taken + 1, memory_order_release);
    return true;
}

void outcome_failed(struct session *session, const struct attempt *attempt) {
    struct worker *worker = session->worker;
    struct outcome outcome = {attempt->backend->serial, (uint32_t)client_key(&session->client)};
    if (outcome_put(&worker->outcomes, outcome) && worker->shared->manager != NULL)
        mailbox_wake(worker->shared->manager);
}
