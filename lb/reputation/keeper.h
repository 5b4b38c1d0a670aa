/* The keeper: the thread that writes reputations to the store and reads them back at the start, so that no disk ever
 * delays the manager. Between the two only batches go to and fro, as messages.
 *
 * Changed clients are written every FLUSH_INTERVAL_MS and at the end: a process that is killed loses that much at most.
 * Without a store (unwritable, full, damaged beyond help) it says so and mail goes on. */
#ifndef POSTERN_REPUTATION_KEEPER_H
#define POSTERN_REPUTATION_KEEPER_H

#include "lb/engine/mailbox.h"
#include "lb/reputation/reputation.h"

#define FLUSH_INTERVAL_MS 500u

struct keeper;

/* Starts the thread; it reports to the manager's mailbox. Returns 0 or -errno. */
int keeper_create(const char *directory, struct reputation *reputation, struct mailbox *manager,
                  struct keeper **ret_keeper);
/* Writes what is left, waits for it, and ends the thread. Accepts NULL. */
void keeper_destroy(struct keeper *keeper);
/* True while records are still being loaded: sightings must wait. */
bool keeper_is_loading(const struct keeper *keeper);
/* From time to time: begins the next flush when it is due. */
void keeper_tick(struct keeper *keeper, uint64_t now_ms);
/* For `show reputation`: "on", or why nothing is kept. */
const char *keeper_state(const struct keeper *keeper);

#endif
