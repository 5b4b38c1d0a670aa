/* All workers together: begun, woken, stopped and joined as one. The manager owns them. */
#ifndef POSTERN_MANAGER_WORKERS_H
#define POSTERN_MANAGER_WORKERS_H

#include "lb/relay/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct workers {
    struct workers_shared shared;
    bool run; /* wake them at changes */
};

/* Starts the workers, which must have been created: their threads are made and get ready; none begins before all have,
 * and where one can't, all end. Returns 0 or -errno. */
int workers_start(struct workers *workers);
/* To look at what is published; does nothing before they run. */
void workers_wake(struct workers *workers);
bool workers_are_serving(const struct workers *workers);
/* worker_stop(), worker_cut() of each. */
void workers_stop(struct workers *workers, uint64_t timeout_ms);
void workers_cut(struct workers *workers);
bool workers_have_ended(const struct workers *workers);
/* Sums of all. */
void workers_read_waits(const struct workers *workers, struct worker_waits *ret_waits);
/* Waits for their threads. Returns how many mails were cut before their final reply. */
uint64_t workers_join(struct workers *workers);

#endif
