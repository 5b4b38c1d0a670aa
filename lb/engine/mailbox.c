/* Messages into a thread that sits in its ring. The list is a stack that the receiver takes whole and turns round, so
 * that messages are delivered first in, first out, with one atomic exchange for each batch. The manager, the workers,
 * the keeper and questions.c have one each or post to one. A mailbox owns its eventfd; a message is its poster's again
 * when it is delivered. */
#include "lb/engine/mailbox.h"

#include <errno.h>
#include <string.h>

static void mailbox_on_wake(struct op *op, int result, unsigned flags);
static void mailbox_on_turn(struct op *op, int result, unsigned flags);

static void listen_again(struct mailbox *mailbox) {
    mailbox->op.complete = mailbox_on_wake;
    io_read_fd(mailbox->io, &mailbox->op, mailbox->eventfd, &mailbox->eventfd_value, sizeof mailbox->eventfd_value);
}

static struct message *take_in_order(struct mailbox *mailbox) {
    struct message *newest = atomic_exchange(&mailbox->head, NULL);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* Those that are left come in the next turn, before newer ones. */
static void deliver(struct mailbox *mailbox) {
    for (unsigned i = 0; i < mailbox->turn_max && mailbox->undelivered != NULL; i++) {
        struct message *message = mailbox->undelivered;
        mailbox->undelivered = message->next;
        message->deliver(message, mailbox->receiver);
    }
    if (mailbox->undelivered != NULL) {
        mailbox->op.complete = mailbox_on_turn;
        io_nop(mailbox->io, &mailbox->op);
        return;
    }
    if (mailbox->on_wake != NULL)
        mailbox->on_wake(mailbox->receiver);
    listen_again(mailbox);
}

static void mailbox_on_turn(struct op *op, int result, unsigned flags) {
    (void)result;
    (void)flags;
    deliver(container_of(op, struct mailbox, op));
}

static void mailbox_on_wake(struct op *op, int result, unsigned flags) {
    struct mailbox *mailbox = container_of(op, struct mailbox, op);
    (void)flags;
    if (result == -ECANCELED)
        return;
    mailbox->undelivered = take_in_order(mailbox);
    deliver(mailbox);
}

int mailbox_init(struct mailbox *mailbox, struct io *io, void *receiver, void (*on_wake)(void *receiver)) {
    memset(mailbox, 0, sizeof *mailbox);
    mailbox->io = io;
    mailbox->receiver = receiver;
    mailbox->on_wake = on_wake;
    mailbox->turn_max = MESSAGES_PER_TURN;
    mailbox->eventfd = io_event_open();
    return mailbox->eventfd < 0 ? mailbox->eventfd : 0;
}

void mailbox_start(struct mailbox *mailbox) {
    listen_again(mailbox);
}

void mailbox_finish(struct mailbox *mailbox) {
    if (mailbox->eventfd >= 0)
        io_event_close(mailbox->eventfd);
    mailbox->eventfd = -1;
}

void mailbox_wake(struct mailbox *mailbox) {
    io_event_raise(mailbox->eventfd);
}

void mailbox_post(struct mailbox *mailbox, struct message *message) {
    struct message *head = atomic_load(&mailbox->head);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak(&mailbox->head, &head, message));
    if (head == NULL)
        mailbox_wake(mailbox);
}
