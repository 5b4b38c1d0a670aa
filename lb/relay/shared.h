/* What all workers share; lives as long as they do. */
#ifndef POSTERN_RELAY_SHARED_H
#define POSTERN_RELAY_SHARED_H

#include "backends/view.h"
#include "lb/engine/mailbox.h"
#include "lb/engine/snapshot.h"
#include "lb/engine/start_gate.h"
#include "lb/reputation/reputation.h"

#include <stdatomic.h>
#include <stdint.h>

struct gate_tables;
struct limits;
struct questions;
struct worker;

struct workers_shared {
    const struct config *config;
    struct snapshots *views;
    _Atomic(const struct access *) access;           /* of allow-file and deny-file; valid for one turn, as a view is */
    _Atomic(const struct gate_tables *) gate_tables; /* likewise */
    uint32_t sessions_max;                           /* over all workers */
    unsigned workers_count;
    struct reputation *reputation; /* its table; NULL: off */
    struct limits *limits;         /* of clients; NULL: none */
    struct questions *questions;   /* to the DNS */
    atomic_ullong *gate_visitors;  /* GATE_VISITORS of them: who has awaited its greeting (lb/gate/visitors.h) */
    struct mailbox *manager;       /* woken when there are outcomes to take */
    struct start_gate start;
    _Alignas(64) atomic_uint sessions; /* now, over all workers */
    /* All of them, made by the manager before any begins: a worker that frees a slot wakes others by it. */
    struct worker *workers[WORKERS_MAX];
};

#endif
