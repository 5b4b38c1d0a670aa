/* Sessions that are brought to an end from outside: all of a worker at a stop, those on one backend at `shutdown
 * sessions`. Each hears 421 as soon as that costs no mail; one whose mail is in content or awaits its final reply may
 * end it first, one inside TLS is ended when it is quiet. What is left after `stop-timeout` is cut, and a mail that
 * might be delivered twice is logged. */
#ifndef POSTERN_RELAY_SHUT_DOWN_H
#define POSTERN_RELAY_SHUT_DOWN_H

#include "lb/engine/mailbox.h"
#include "lb/relay/sweep.h"

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct worker;

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

/* Sessions that a stop waits for; from any thread, some tenths of a second old. */
struct worker_waits {
    unsigned content;
    unsigned final_reply;
    unsigned tls;
    unsigned others; /* they hear their 421, or end by themselves */
};
/* --- from any thread --- */

/* Accepts what waits, to say 421 4.3.2, and no more; says 421 4.3.2 to sessions that are not in content; waits up to
 * `timeout_ms` for those that are, for replies to content and for sessions inside TLS; then cuts them. From any thread;
 * once. */
void worker_stop(struct worker *worker, uint64_t timeout_ms);
/* Cuts them now. From any thread; once, after worker_stop(). */
void worker_cut(struct worker *worker);
void worker_read_waits(const struct worker *worker, struct worker_waits *ret_waits);
/* From the manager. */
void worker_shutdown_sessions(struct worker *worker, struct sessions_shutdown *request);

/* --- from the worker --- */

void shut_down_init(struct worker *worker);
/* A stopping worker has nothing more to do. */
bool shut_down_is_over(const struct worker *worker);

#endif
