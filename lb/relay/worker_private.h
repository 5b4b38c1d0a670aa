/* The inside of a worker, for the files of this folder. */
#ifndef POSTERN_RELAY_WORKER_PRIVATE_H
#define POSTERN_RELAY_WORKER_PRIVATE_H

#include "lb/base/chance.h"
#include "lb/engine/pool.h"
#include "lb/engine/spsc.h"
#include "lb/relay/outcome.h"
#include "lb/relay/session.h"
#include "lb/relay/shut_down.h"
#include "lb/relay/worker.h"

#include <pthread.h>

struct acceptor {
    struct op op;
    struct listener *listener;
    struct address peer;
    socklen_t peer_length;
    bool is_direct; /* this accept */
};

enum listener_state {
    LISTENER_OPEN,
    LISTENER_DRAINS, /* takes no new connection, accepts those that are being made */
    LISTENER_ENDS,   /* its accepts are cancelled */
    LISTENER_CLOSED,
};

struct listener {
    struct worker *worker;
    const struct config_listen *config;
    struct address address;
    int fd;
    bool is_direct; /* accepts straight into the table; else by way of a normal descriptor, for getsockname(2) */
    struct op cancel;
    bool cancel_in_flight;
    struct op redirect; /* cancels its accepts, which are armed anew as is_direct now says */
    unsigned accepts_in_flight;
    enum listener_state state;
    struct timer retry;  /* after EMFILE and its like */
    struct timer drain;  /* in LISTENER_DRAINS */
    unsigned idle_count; /* acceptors that wait for room */
    struct acceptor *idle_acceptors[ACCEPTS_PER_LISTENER];
    struct acceptor acceptors[ACCEPTS_PER_LISTENER];
};

/* Counters have one writer, the worker. */
struct counters {
#define COUNTER(name, text) atomic_ulong name;
#include "lb/relay/counters.def"
#undef COUNTER
};

/* lingerers.c: places of sessions in SESSION_LINGERING, in the order in which they began to. */
struct lingerers {
    uint32_t *places;
    unsigned capacity, first, count;
};

/* A walk through those that wait in the queue, some in each turn. */
struct queue_pass {
    struct session *at; /* the next to look at */
    unsigned left;      /* to look at in its list: one that must wait on joins the end again */
    unsigned stuck_tiers;
    uint8_t list;
    bool is_running;
    bool is_due; /* something may have changed since it began */
};

/* What the client hears when its session ends for a reason: written once, since our host's name stands in it. */
#define OWN_REPLY_MAX 512u
struct own_reply {
    uint16_t length, code;
    char text[OWN_REPLY_MAX];
};

struct worker {
    struct workers_shared *shared;
    unsigned index;
    struct io *io;
    pthread_t thread;
    struct mailbox mailbox;
    const struct view *view;      /* of this turn */
    const struct view *view_seen; /* the last turn's, only to be compared */
    struct pool sessions;
    struct pool attempts;
    struct pool replay_chunks;
    struct pool locals; /* struct address: of sessions whose own one is not their listener's */
    struct pool gates;  /* struct gate_dialog */
    struct pool gate_questions;
    unsigned gate_questions_open;
    uint16_t gate_askers[GATE_ASKERS]; /* of those, each client's */
    struct pool blames;                /* struct blame */
    struct own_reply *own_replies;     /* by enum close_reason */
    struct ehlo_offer offers[EHLO_OFFERS_MAX];
    unsigned offers_count;
    bool offers_full_said;
    unsigned hedge_tokens;
    struct attempt *orphans[ORPHANS_MAX]; /* attempts that outlive their sessions, to leave politely; NULL: free */
    unsigned next_orphan;                 /* the next one's place: whoever is there still is the oldest */
    struct sweep *sweeps;                 /* that are running */
    struct backend_set failed;            /* backends that were down or ejected in the last view */
    struct backend_set hurried;           /* of these, whose sessions `hurry` is to tell */
    struct sweep hurry;
    unsigned sessions_share;    /* how many of them its descriptor table allows */
    unsigned accepts_in_flight; /* of all listeners */
    uint64_t next_id;
    struct chance chance; /* balancing and what has a choice */
    struct listener listeners[LISTENERS_MAX];
    unsigned listeners_count;
    struct session *queue_first[2], *queue_last[2]; /* vetted, others */
    unsigned queued;
    struct queue_pass queue_pass;
    struct lingerers lingerers;
    struct timer queue_tick;
    atomic_bool is_serving; /* the listeners accept */
    bool is_stopping;       /* begins nothing any more that others would have to await */
    atomic_bool has_ended;
    struct shut_down shut_down;
    struct counters counters;
    struct spsc outcomes;  /* struct outcome */
    struct spsc sightings; /* struct sighting */
};

static inline void counter_add(atomic_ulong *counter, unsigned long by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static inline struct backend_share *attempt_share(const struct attempt *attempt) {
    return &attempt->backend->shares[attempt->worker->index];
}

/* The address that the client has connected to, here or at the proxy that told us. */
static inline const struct address *session_local(const struct session *session) {
    return session->local != NULL ? session->local : &session->listener->address;
}

void session_set_local(struct session *session, const struct address *address);

/* The session's memory goes back to the pool; ends a stopping worker with its last one. */
void worker_release_session(struct session *session);

/* A worker's life without its thread: once after io_start(), and then turn by turn. */
void worker_begin(struct worker *worker);
void worker_turn(struct worker *worker);

/* session_end.c: fills worker->own_replies, to be freed. Returns 0 or -ENOMEM. */
int own_replies_init(struct worker *worker);

/* offers.c: the number of a complete reply to EHLO (NULL: to HELO, which offers nothing), OFFER_UNKNOWN when it can't
 * be kept; and back. */
uint8_t worker_intern_offer(struct worker *worker, const uint8_t *reply, size_t length);
const struct ehlo_offer *worker_offer(const struct worker *worker, uint8_t number);

/* Returns 0 or -ENOMEM. */
int lingerers_init(struct lingerers *lingerers, unsigned capacity);
void lingerers_finish(struct lingerers *lingerers);
/* The session has entered SESSION_LINGERING. */
void lingerers_add(struct session *session);
/* The one that has lingered longest closes, if there is one: its place is wanted. */
void lingerers_spare_oldest(struct worker *worker);

/* Talking before the greeting, and behind EHLO before its reply, tells something about a client: none of them has been
 * invited to. */
static inline bool worker_minds_early_talk(const struct worker *worker) {
    return atomic_load_explicit(worker->view->early_talk, memory_order_relaxed) == EARLY_TALK_UNINVITED;
}

/* listener.c */
void listener_start(struct listener *listener);
void listener_stop(struct listener *listener);
/* Arms the accepts that waited for room. */
void listener_resume(struct listener *listener);
/* From now on a session knows the address that its client has connected to. */
void listener_take_addresses(struct listener *listener);

#endif
