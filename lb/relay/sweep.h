/* A walk over all sessions of a worker, a bounded number in each turn, so that good mail goes on beside it. For
 * whatever is to be told to each of thousands: sessions on a backend, those of a worker that stops. */
#ifndef POSTERN_RELAY_SWEEP_H
#define POSTERN_RELAY_SWEEP_H

#include <stdbool.h>

struct io;
struct pool;
struct session;

/* Embedded in its owner, which sets the callbacks, keeps it while it is running, and may keep what to look for beside.
 */
struct sweep {
    /* Looks at one place of the pool, be it free or in whatever stage, and may end its session. Returns true when it
     * did something about it: no more than SWEPT_PER_TURN of those are one turn's. */
    bool (*visit)(struct sweep *sweep, struct session *session);
    /* All have been visited; may begin or free the sweep. NULL: nothing to do. */
    void (*on_done)(struct sweep *sweep);
    struct sweeps *sweeps;
    struct sweep *next; /* of those that are running */
    unsigned at;        /* the next place of the pool */
    bool is_running;
};

/* Those of a worker that are running. */
struct sweeps {
    struct sweep *first;
    struct io *io;
    const struct pool *sessions;
};

/* From the next turn on, and from the first session, also where it is running already. Sessions that begin meanwhile
 * may be visited or not. On the worker's thread. */
void sweep_begin(struct sweep *sweep, struct sweeps *sweeps);
/* Once a turn: each running sweep goes a step further. */
void sweeps_run(struct sweeps *sweeps);

#endif
