/* Sessions that linger, oldest first. Where places for new clients are short, listener.c ends the oldest, which can be
 * spared, since they have heard all that they will hear. The list is a queue of places in the pool. A session that ends
 * takes nothing out of it: whether a place's session still lingers is found out when the place is looked at. Owns the
 * array of places. */
#include "lb/relay/lingerers.h"

#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <errno.h>
#include <stdlib.h>

int lingerers_init(struct lingerers *lingerers, unsigned capacity) {
    lingerers->places = calloc(capacity, sizeof *lingerers->places);
    lingerers->capacity = capacity;
    return lingerers->places == NULL ? -ENOMEM : 0;
}

void lingerers_finish(struct lingerers *lingerers) {
    free(lingerers->places);
}

static struct session *oldest(const struct worker *worker) {
    const struct lingerers *lingerers = &worker->lingerers;
    return pool_at(&worker->sessions, lingerers->places[lingerers->first]);
}

static void drop_oldest(struct lingerers *lingerers) {
    lingerers->first = (lingerers->first + 1) % lingerers->capacity;
    lingerers->count--;
}

void lingerers_add(struct session *session) {
    struct worker *worker = session->worker;
    struct lingerers *lingerers = &worker->lingerers;
    while (lingerers->count > 0 && oldest(worker)->stage != STAGE_LINGERING)
        drop_oldest(lingerers);
    if (lingerers->count == lingerers->capacity) /* of the same places; the oldest one's own deadline ends it */
        drop_oldest(lingerers);
    unsigned last = (lingerers->first + lingerers->count++) % lingerers->capacity;
    lingerers->places[last] = pool_index(&worker->sessions, session);
}

void lingerers_spare_oldest(struct worker *worker) {
    bool is_spared = false;
    while (worker->lingerers.count > 0 && !is_spared) {
        struct session *session = oldest(worker);
        drop_oldest(&worker->lingerers);
        is_spared = session->stage == STAGE_LINGERING;
        if (is_spared)
            session_move(session, STAGE_CLOSING);
    }
}
