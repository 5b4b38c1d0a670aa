/* The inside of a worker, for the files of this folder. */
#ifndef POSTERN_RELAY_WORKER_PRIVATE_H
#define POSTERN_RELAY_WORKER_PRIVATE_H

#include "lb/base/chance.h"
#include "lb/engine/pool.h"
#include "lb/engine/spsc.h"
#include "lb/gate/askers.h"
#include "lb/relay/offers.h"
#include "lb/relay/orphans.h"
#include "lb/relay/shared.h"
#include "lb/relay/sweep.h"

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
    bool redirect_in_flight;
    bool lacks_numbers; /* accepts that were to be given a descriptor's number go into the table */
    bool want_is_said;  /* until an accept is given what it asks for */
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

/* lingerers.c: places of sessions in STAGE_LINGERING, in the order in which they began to. */
struct lingerers {
    uint32_t *places;
    unsigned capacity, first, count;
};

/* queue.c: sessions that wait for a backend with a free slot. */
struct queue {
    struct session *first[2], *last[2]; /* vetted, others */
    unsigned waiting;
    struct timer tick;
    struct {                /* through those that wait, some in each turn */
        struct session *at; /* the next to look at */
        unsigned left;      /* to look at in its list: one that must wait on joins the end again */
        unsigned stuck_tiers;
        uint8_t list;
        bool is_running;
        bool is_due; /* something may have changed since it began */
    } pass;
};

/* worker.c: backends that were found down or were ejected, of which their sessions are told. */
struct hurry {
    struct backend_set failed; /* in the last view */
    struct backend_set told;   /* of these, whose sessions the sweep is to tell */
    struct sweep sweep;
};

enum stop_state {
    WORKER_SERVES,
    WORKER_STOPS,  /* waits for sessions, up to `stop-timeout` */
    WORKER_CUTS,   /* that is over, or a second signal has come: tells all that are left */
    WORKER_LEAVES, /* all were told: a moment for their last words, then it ends with sessions open */
};

/* What a session is waited for: content, its final reply, TLS, others. */
#define SHUT_DOWN_WAITS 4u

/* shut_down.c: its part in a stop, and in `shutdown sessions`. */
struct shut_down {
    enum stop_state state;
    enum stop_state walk_state;         /* when the walk began */
    uint64_t limit_ms;                  /* of the state */
    uint64_t session_ms;                /* there was a session */
    unsigned told;                      /* sessions told to end by `shutdown sessions` */
    unsigned ends_left;                 /* of this tick */
    struct timer tick;                  /* begins walks; set while anybody is to be ended */
    struct sweep sweep;                 /* the walk */
    bool is_in_haste;                   /* by a second signal */
    unsigned waits_at[SHUT_DOWN_WAITS]; /* of the walk so far */
    atomic_uint waits[SHUT_DOWN_WAITS]; /* of the last whole walk */
    atomic_ulong timeout_ms;
    struct message stop_message, cut_message;
};

/* What the client hears when its session ends for a reason: written once, since our host's name stands in it. */
#define OWN_REPLY_MAX 512u
struct own_reply {
    uint16_t length, code;
    char text[OWN_REPLY_MAX];
};

/* client_limits.c: lines of sessions over a limit, of the last second. */
struct limit_lines {
    struct timer tick;
    unsigned written, left_out;
};

struct worker {
    struct workers_shared *shared;
    unsigned index;
    struct io *io;
    pthread_t thread;
    struct mailbox mailbox;
    const struct view *view;      /* of this turn */
    const struct view *view_seen; /* the last turn's, only to be compared */
    struct session *handled;      /* by its stage now; NULL: none is */
    struct pool sessions;
    struct pool attempts;
    struct pool replay_chunks;
    struct pool locals; /* struct address: of sessions whose own one is not their listener's */
    struct pool gates;  /* struct gate_dialog */
    struct pool gate_questions;
    struct gate_askers gate_askers; /* of those, each client's */
    struct pool blames;             /* struct blame */
    struct own_reply *own_replies;  /* by enum close_reason */
    struct offers offers;
    unsigned hedge_tokens;
    struct orphans orphans;
    struct sweeps sweeps;
    struct hurry hurry;
    unsigned sessions_share;    /* how many of them its descriptor table allows */
    unsigned accepts_in_flight; /* of all listeners */
    uint64_t next_id;
    struct chance chance; /* balancing and what has a choice */
    struct listener listeners[LISTENERS_MAX];
    unsigned listeners_count;
    struct queue queue;
    struct lingerers lingerers;
    struct limit_lines limit_lines;
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

/* Talking before the greeting, and behind EHLO before its reply, tells something about a client: none of them has been
 * invited to. */
static inline bool worker_minds_early_talk(const struct worker *worker) {
    return atomic_load_explicit(worker->view->early_talk, memory_order_relaxed) == EARLY_TALK_UNINVITED;
}

#endif
