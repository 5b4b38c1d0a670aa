/* One worker: a thread with its own ring, listeners, timers and sessions. */
#ifndef POSTERN_RELAY_WORKER_H
#define POSTERN_RELAY_WORKER_H

#include "backends/roster.h"
#include "lb/engine/io.h"
#include "lb/engine/mailbox.h"
#include "lb/engine/start_gate.h"
#include "lb/relay/sweep.h"
#include "lb/reputation/reputation.h"

#include <stdatomic.h>

struct gate_tables;
struct questions;
struct worker;

/* What all workers share; lives as long as they do. */
struct workers_shared {
    const struct config *config;
    struct snapshots *views;
    _Atomic(const struct access *) access;           /* of allow-file and deny-file; valid for one turn, as a view is */
    _Atomic(const struct gate_tables *) gate_tables; /* likewise */
    uint32_t sessions_max;                           /* over all workers */
    unsigned workers_count;
    struct reputation *reputation; /* its table; NULL: off */
    struct questions *questions;   /* to the DNS */
    atomic_ullong *gate_visitors;  /* GATE_VISITORS of them: who has awaited its greeting (lb/gate/visitors.h) */
    struct mailbox *manager;       /* woken when there are outcomes to take */
    struct start_gate start;
    _Alignas(64) atomic_uint sessions; /* now, over all workers */
    /* Wakes every worker that may serve a waiting session; set by worker_start_all's caller. */
    struct worker *workers[WORKERS_MAX];
};

struct worker_counters {
#define COUNTER(name, text) uint64_t name;
#include "lb/relay/counters.def"
#undef COUNTER
    uint64_t outcomes_dropped;
    uint64_t sightings_dropped;
    struct io_stats io;
};

/* One session as `show sessions` tells it: a copy, so that no worker waits for whoever prints it. */
struct session_row {
    uint64_t id;
    struct address client;
    char backend[BACKEND_NAME_MAX]; /* "" while none */
    char state[12];
    uint64_t age_ms;
    uint64_t idle_ms;
    uint64_t bytes_in;
    uint64_t bytes_out;
    unsigned tries;
};

#define SESSION_ROWS_MAX 64

/* A request for some sessions: post it with worker_post(), get it back by `reply` on the manager's mailbox. */
struct sessions_query {
    struct message message;
    struct mailbox *reply;
    void (*on_reply)(struct message *message, void *receiver);
    unsigned from;                  /* in: where to go on; out: where the next query goes on, 0 at the end */
    char backend[BACKEND_NAME_MAX]; /* in: only sessions on this backend; "" = all */
    unsigned rows_count;            /* out */
    struct session_row rows[SESSION_ROWS_MAX];
};

/* Ends sessions on one backend with 421 4.3.2 as soon as that costs no mail, at the latest after `stop-timeout`; those
 * that it has not greeted yet ask another one. */
struct sessions_shutdown {
    struct message message;
    struct mailbox *reply;
    void (*on_reply)(struct message *message, void *receiver);
    struct backend *backend;
    unsigned count;     /* in and out: sessions told to end, so far */
    unsigned later;     /* in and out: those of them that can't end at once */
    struct sweep sweep; /* the worker's */
};

/* A listening socket, bound by main before privileges are dropped; one per worker and address (SO_REUSEPORT). */
struct listener_socket {
    const struct config_listen *config;
    struct address address; /* as bound, with the real port */
    int fd;                 /* owned by the worker once passed */
};

/* Binds and listens with SO_REUSEPORT. Returns the descriptor or -errno. */
int listener_bind(const struct address *address);

/* Makes the ring and the pools. Returns 0 or -errno with a sentence in `ret_error`. */
int worker_create(struct workers_shared *shared, unsigned index, const struct listener_socket *listeners,
                  unsigned listeners_count, struct worker **ret_worker, char *ret_error, size_t error_size);
/* Starts its thread, which gets ready and arrives at shared->start. Returns 0 or -errno. */
int worker_start(struct worker *worker);
/* True once its listeners accept; from any thread. */
bool worker_is_serving(const struct worker *worker);
/* Accepts what waits, to say 421 4.3.2, and no more; says 421 4.3.2 to sessions that are not in content; waits up to
 * `timeout_ms` for those that are, for replies to content and for sessions inside TLS; then cuts them. From any thread;
 * once. */
void worker_stop(struct worker *worker, uint64_t timeout_ms);
/* Cuts them now. From any thread; once, after worker_stop(). */
void worker_cut(struct worker *worker);
/* True once its thread has nothing more to do; from any thread. */
bool worker_has_ended(const struct worker *worker);
/* Sessions that a stop waits for; from any thread, some tenths of a second old. */
struct worker_waits {
    unsigned content;
    unsigned final_reply;
    unsigned tls;
    unsigned others; /* they hear their 421, or end by themselves */
};
void worker_read_waits(const struct worker *worker, struct worker_waits *ret_waits);
void worker_join(struct worker *worker);
/* Accepts NULL; after worker_join(). */
void worker_destroy(struct worker *worker);

/* From the manager. */
void worker_query_sessions(struct worker *worker, struct sessions_query *query);
void worker_shutdown_sessions(struct worker *worker, struct sessions_shutdown *request);
/* Wakes the worker to look at the newest view. */
void worker_wake(struct worker *worker);
/* A failure of a backend that has not been taken yet; false when there is none. */
struct outcome;
bool worker_take_outcome(struct worker *worker, struct outcome *ret_outcome);
bool worker_take_sighting(struct worker *worker, struct sighting *ret_sighting);
void worker_read_counters(const struct worker *worker, struct worker_counters *ret_counters);

#endif
