/* Sweeps go side by side, in no order between them; a turn that leaves something to do is followed by the next at once.
 */
#include "lb/relay/sweep.h"

#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

void sweep_begin(struct sweep *sweep, struct worker *worker) {
    sweep->at = 0;
    sweep->worker = worker;
    if (!sweep->is_running) {
        sweep->next = worker->sweeps;
        worker->sweeps = sweep;
    }
    sweep->is_running = true;
    io_hurry(worker->io);
}

/* Returns true when it has visited all. */
static bool go_on(struct sweep *sweep) {
    const struct pool *sessions = &sweep->worker->sessions;
    unsigned acts = 0;
    for (unsigned looks = 0; looks < LOOKS_PER_TURN && acts < SWEPT_PER_TURN; looks++) {
        if (sweep->at >= sessions->touched)
            return true;
        struct session *session = pool_at(sessions, sweep->at++);
        if (session->stage != STAGE_FREE)
            acts += sweep->visit(sweep, session);
    }
    return false;
}

void sweeps_run(struct worker *worker) {
    struct sweep **link = &worker->sweeps;
    while (*link != NULL && io_may_begin_work(worker->io)) {
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
    if (worker->sweeps != NULL)
        io_hurry(worker->io);
}
