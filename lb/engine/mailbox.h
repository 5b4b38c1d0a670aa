/* Messages into a thread that sits in its ring: a lock-free list that any thread may push to, and an eventfd that
 * wakes the ring. Messages are delivered in the order in which they were posted, on the receiver's thread,
 * a bounded number in each turn. */
#ifndef POSTERN_ENGINE_MAILBOX_H
#define POSTERN_ENGINE_MAILBOX_H

#include "lb/engine/io.h"

#include <stdatomic.h>
#include <stdint.h>

struct message {
    struct message *next;
    /* Runs on the receiver's thread; the message is then its own again (it may be posted back). */
    void (*deliver)(struct message *message, void *receiver);
};

struct mailbox {
    _Atomic(struct message *) head; /* newest first */
    struct io *io;
    struct op op;
    int eventfd;
    uint64_t eventfd_value;
    struct message *undelivered; /* that are left for the next turns, oldest first */
    unsigned turn_max;           /* messages in one turn: MESSAGES_PER_TURN, its owner may change it */
    void *receiver;
    /* Runs on each wake-up after messages were delivered; may be NULL. */
    void (*on_wake)(void *receiver);
};

/* Returns 0 or -errno of eventfd(2). */
int mailbox_init(struct mailbox *mailbox, struct io *io, void *receiver, void (*on_wake)(void *receiver));
/* Begins to listen; on the receiver's thread. */
void mailbox_start(struct mailbox *mailbox);
void mailbox_finish(struct mailbox *mailbox);
/* From any thread. */
void mailbox_post(struct mailbox *mailbox, struct message *message);
/* Wakes the receiver without a message. From any thread. */
void mailbox_wake(struct mailbox *mailbox);

#endif
