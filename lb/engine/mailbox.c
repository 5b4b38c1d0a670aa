/* A stack that the receiver takes whole and turns round: first in, first out, with one atomic exchange a batch. */
#include "lb/engine/mailbox.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void listen_again(struct mailbox *mailbox) {
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

static void mailbox_on_wake(struct op *op, int result, unsigned flags) {
    struct mailbox *mailbox = container_of(op, struct mailbox, op);
    (void)flags;
    if (result == -ECANCELED)
        return;
    struct message *message = take_in_order(mailbox);
    while (message != NULL) {
        struct message *next = message->next;
        message->deliver(message, mailbox->receiver);
        message = next;
    }
    if (mailbox->on_wake != NULL)
        mailbox->on_wake(mailbox->receiver);
    listen_again(mailbox);
}

int mailbox_init(struct mailbox *mailbox, struct io *io, void *receiver, void (*on_wake)(void *receiver)) {
    memset(mailbox, 0, sizeof *mailbox);
    mailbox->io = io;
    mailbox->receiver = receiver;
    mailbox->on_wake = on_wake;
    mailbox->op.complete = mailbox_on_wake;
    mailbox->eventfd = eventfd(0, EFD_CLOEXEC);
    return mailbox->eventfd < 0 ? -errno : 0;
}

void mailbox_start(struct mailbox *mailbox) {
    listen_again(mailbox);
}

void mailbox_finish(struct mailbox *mailbox) {
    if (mailbox->eventfd >= 0)
        close(mailbox->eventfd);
    mailbox->eventfd = -1;
}

void mailbox_wake(struct mailbox *mailbox) {
    uint64_t one = 1;
    ssize_t written = write(mailbox->eventfd, &one, sizeof one);
    (void)written; /* EAGAIN at 2^64 - 1: it is awake by then */
}

void mailbox_post(struct mailbox *mailbox, struct message *message) {
    struct message *head = atomic_load(&mailbox->head);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak(&mailbox->head, &head, message));
    if (head == NULL)
        mailbox_wake(mailbox);
}
