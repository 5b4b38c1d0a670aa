/* Sessions that are brought to an end from outside: all of a worker at a stop, those on one backend at `shutdown
 * sessions`. Each hears 421 as soon as that costs no mail; one whose mail is in content or awaits its final reply may
 * end it first, one inside TLS is ended when it is quiet. What is left after `stop-timeout` is cut, and a mail that
 * might be delivered twice is logged. */
#ifndef POSTERN_RELAY_SHUT_DOWN_H
#define POSTERN_RELAY_SHUT_DOWN_H

#include "lb/engine/mailbox.h"
#include "lb/engine/timer.h"
#include "lb/relay/sweep.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct session;
struct worker;

enum stop_state {
    WORKER_SERVES,
    WORKER_STOPS,  /* waits for sessions, up to `stop-timeout` */
    WORKER_CUTS,   /* that is over, or a second signal has come: tells all that are left */
    WORKER_LEAVES, /* all were told: a moment for their last words, then it ends with sessions open */
};

/* What a session is waited for: content, its final reply, TLS, others. */
#define SHUT_DOWN_WAITS 4u

/* Writes the line on a mail that its backend may accept, and its client will send again: for a session in RELAY that is
 * about to be closed. */
void shut_down_log_doubled(const struct session *session);

/* A worker's part in it. */
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

void shut_down_init(struct worker *worker);
/* A stopping worker has nothing more to do. */
bool shut_down_is_over(const struct worker *worker);

/* From the relay, when replies have gone to the client whole: a session that is to end does so where it may. Returns
 * true when it has. */
bool session_ends_behind_reply(struct session *session);

#endif
