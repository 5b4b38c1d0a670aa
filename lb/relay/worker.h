/* One worker: a thread with its own ring, listeners, timers and sessions. */
#ifndef POSTERN_RELAY_WORKER_H
#define POSTERN_RELAY_WORKER_H

#include "lb/engine/io.h"
#include "lb/relay/listener.h"
#include "lb/relay/sessions_query.h"
#include "lb/relay/shared.h"
#include "lb/relay/shut_down.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outcome;
struct sighting;
struct worker;

struct worker_counters {
#define COUNTER(name, text) uint64_t name;
#include "lb/relay/counters.def"
#undef COUNTER
    uint64_t outcomes_dropped;
    uint64_t sightings_dropped;
    struct io_stats io;
};

/* Makes the ring and the pools. Returns 0 or -errno with a sentence in `ret_error`. */
int worker_create(struct workers_shared *shared, unsigned index, const struct listener_socket *listeners,
                  unsigned listeners_count, struct worker **ret_worker, char *ret_error, size_t error_size);
/* Starts its thread, which gets ready and arrives at shared->start. Returns 0 or -errno. */
int worker_start(struct worker *worker);
/* True once its listeners accept; from any thread. */
bool worker_is_serving(const struct worker *worker);
/* True once its thread has nothing more to do; from any thread. */
bool worker_has_ended(const struct worker *worker);
void worker_join(struct worker *worker);
/* Accepts NULL; after worker_join(). */
void worker_destroy(struct worker *worker);

/* From the manager. */
/* Wakes the worker to look at the newest view. */
void worker_wake(struct worker *worker);
/* A failure of a backend that has not been taken yet; false when there is none. */
bool worker_take_outcome(struct worker *worker, struct outcome *ret_outcome);
bool worker_take_sighting(struct worker *worker, struct sighting *ret_sighting);
void worker_read_counters(const struct worker *worker, struct worker_counters *ret_counters);

/* A worker's life without its thread: once after io_start(), and then turn by turn. */
void worker_begin(struct worker *worker);
void worker_turn(struct worker *worker);

#endif
