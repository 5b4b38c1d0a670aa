/* Turns of workers' loops, watched: thousands of sessions that are due in one instant are worked off over many short
 * turns, so that good mail goes on beside them. A turn is short when its deadlines move no more sessions from one stage
 * to another than may expire, and its sweeps and its queue no more than each of them may. What it leaves to do, it has
 * to ask another turn for. That a ring does not turn for ever without any effect is looked at in ring.c. */
#include "tests/sim/turns.h"

#include "lb/engine/limits.h"
#include "lb/engine/pool.h"
#include "lb/relay/session.h"
#include "lb/relay/worker.h"
#include "lb/relay/worker_private.h"
#include "tests/sim/ring.h"
#include "tests/sim/sim.h"

#include <assert.h>

#define SESSIONS_MAX 4096u

/* As they were when the part of the turn began that is watched. */
static struct worker *turning;
static unsigned char stages_were[SESSIONS_MAX];
static unsigned sessions_count;
static unsigned moves_max; /* by sweeps and the queue, in this turn; 0: there are none to go on with */

static unsigned stage_at(unsigned index) {
    const struct session *session = pool_at(&turning->sessions, index);
    return session->stage;
}

static void remember(void) {
    sessions_count = turning->sessions.touched;
    assert(sessions_count <= SESSIONS_MAX);
    for (unsigned i = 0; i < sessions_count; i++)
        stages_were[i] = (unsigned char)stage_at(i);
}

static void check_moved(unsigned moved_max, const char *by) {
    unsigned moved = 0;
    for (unsigned i = 0; i < sessions_count; i++)
        moved += stage_at(i) != stages_were[i];
    if (moved > moved_max)
        sim_broken("%u sessions are moved by %s in one turn, of %u at most", moved, by, moved_max);
}

/* Those that this turn goes on with. A sweep that is not running costs nothing. */
static unsigned work_max(void) {
    const struct queue *queue = &turning->queue;
    unsigned max = queue->pass.is_running || queue->pass.is_due ? QUEUED_PER_TURN : 0;
    for (const struct sweep *sweep = turning->sweeps.first; sweep != NULL; sweep = sweep->next)
        max += SWEPT_PER_TURN;
    return max;
}

static void on_deadlines(const struct io *io, unsigned expire_max, bool is_over) {
    if (turning == NULL || io != turning->io)
        return;
    if (is_over)
        check_moved(expire_max, "deadlines");
    else
        remember();
}

static void check_left(void) {
    bool is_left = turning->sweeps.first != NULL || turning->queue.pass.is_running || turning->queue.pass.is_due;
    if (is_left && !turning->io->is_hurried)
        sim_broken("a turn leaves work, and asks for no other turn");
}

/* Sweeps and the queue are the last steps of worker_turn(); the ring tells when they begin. */
static void on_work(const struct io *io) {
    if (turning == NULL || io != turning->io)
        return;
    moves_max = work_max();
    if (moves_max > 0)
        remember();
}

void turns_turn(struct worker *worker) {
    turning = worker;
    moves_max = 0;
    sim_on_deadlines = on_deadlines;
    sim_on_work = on_work;
    worker_turn(worker);
    if (moves_max > 0)
        check_moved(moves_max, "sweeps and the queue");
    check_left();
    turning = NULL;
}
