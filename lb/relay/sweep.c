/* A walk over all sessions of a worker, some in each turn of its loop. Sweeps go side by side, in no order between
 * them; a turn that leaves something to do is followed by the next at once. Whoever begins a sweep owns it. */
#include "lb/relay/sweep.h"

#include "lb/engine/io.h"
#include "lb/engine/limits.h"
#include "lb/engine/pool.h"

void sweep_begin(struct sweep *sweep, struct sweeps *sweeps) {
    sweep->at = 0;
    sweep->sweeps = sweeps;
    if (!sweep->is_running) {
        sweep->next = sweeps->first;
        sweeps->first = sweep;
    }
    sweep->is_running = true;
    io_hurry(sweeps->io);
}

/* Returns true when it has visited all. */
static bool go_on(struct sweep *sweep) {
    const struct pool *sessions = sweep->sweeps->sessions;
    unsigned acts = 0;
    for (unsigned looks = 0; looks < LOOKS_PER_TURN && acts < SWEPT_PER_TURN; looks++) {
        if (sweep->at >= sessions->touched)
            return true;
        acts += sweep->visit(sweep, pool_at(sessions, sweep->at++));
    }
    return false;
}

void sweeps_run(struct sweeps *sweeps) {
    struct sweep **link = &sweeps->first;
    while (*link != NULL && io_may_begin_work(sweeps->io)) {
        struct sweep *sweep = *link;
        if (!go_on(sweep)) {
            link = &sweep->next;
            continue;
        }
        *link = sweep->next;
        sweep->is_running = false;
        if (sweep->on_done != NULL)
            sweep->on_done(sweep);
    }
    if (sweeps->first != NULL)
        io_hurry(sweeps->io);
}
