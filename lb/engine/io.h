/* The ring, and the small interface through which everything above calls it. One `struct io` belongs to one thread.
 * io_uring.c implements it; a simulated ring implements the same symbols for tests, so nothing above this header may
 * make a socket call or read a clock by itself.
 *
 * Each operation in flight has a `struct op`, embedded in its owner; the owner may be freed only when none of its ops
 * is in flight. There is no other lifetime rule. Completions run from io_dispatch(), never from within a call. */
#ifndef POSTERN_ENGINE_IO_H
#define POSTERN_ENGINE_IO_H

#include "lb/base/address.h"
#include "lb/engine/container.h"
#include "lb/engine/limits.h"
#include "lb/engine/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io;

/* `result` is the CQE's: ≥ 0, or -errno. */
struct op {
    void (*complete)(struct op *op, int result, unsigned flags);
};

/* A receive with buffer selection; while no buffer is free it waits in the ring's list, first in, first out. */
struct recv_op {
    struct op op;
    struct recv_op *next_starved;
    struct recv_op **starved_link; /* what points to it in that list; NULL: it does not wait */
    int slot;
    uint32_t octets_max : 30; /* at most so many are received */
    uint32_t is_bulk : 1;
    uint32_t is_unwanted : 1; /* io_recv_give_up() */
};

struct io_options {
    unsigned slots;   /* direct descriptors */
    unsigned buffers; /* receive buffers in all; never touched before use */
    bool has_bulk;    /* and IO_BULK_BUFFERS large ones */
};

/* Sets up a ring for a thread that will call io_start(). Returns 0, or -errno with a sentence in `ret_error` that
 * says what to do about it (kernel too old, kernel.io_uring_disabled, seccomp, memlock). */
int io_create(const struct io_options *options, struct io **ret_io, char *ret_error, size_t error_size);
void io_destroy(struct io *io);

/* Binds the ring to the calling thread. Must come before any other call below. */
int io_start(struct io *io);

/* Submits what is queued, takes what the kernel has completed, and waits for a completion or the next timer while there
 * is nothing to do. */
void io_wait(struct io *io);
/* There is something to do in the next turn: the next io_wait() does not sleep. */
void io_hurry(struct io *io);
/* Runs the completions that io_wait() has found and timers that are due, a bounded number of each. A deadline is never
 * due before completions that were there earlier have run. */
void io_dispatch(struct io *io);
/* True in turns in which more may be begun: what was begun before has been worked off, or is too much to wait for. */
bool io_may_begin_work(const struct io *io);

/* The loop's clock, CLOCK_MONOTONIC in milliseconds, read once a turn. */
uint64_t io_now_ms(const struct io *io);
struct timers *io_timers(struct io *io);

/* One accept on a listening (normal) descriptor. With `direct` the result is a slot, else a descriptor. `peer` and
 * `peer_length` must live until completion. */
void io_accept(struct io *io, struct op *op, int listener_fd, bool direct, struct address *peer,
               socklen_t *peer_length);
/* A stream socket to connect with: TCP_NODELAY, and bound to `source` (NULL: to none), whose port is chosen at connect
 * (IP_BIND_ADDRESS_NO_PORT, ip(7)). Returns a normal descriptor, the caller's, or -errno. */
int io_socket(struct io *io, int family, const struct address *source);
/* The same, bound to an address and a port that are known before it connects: *source, or, where that is the wildcard,
 * what the route to `destination` takes; *source is what it was bound to. A port is taken for each, so this is for few.
 */
int io_socket_named(struct io *io, const struct address *destination, struct address *source);
void io_close_fd(struct io *io, int fd);
/* Puts the normal descriptor *fd into the table; on success *fd has become the slot number. The caller then closes
 * the number it passed. */
void io_install(struct io *io, struct op *op, int *fd);
void io_connect(struct io *io, struct op *op, int slot, const struct address *address);
/* Receives up to `octets_max` octets, 1 to IO_BUFFER_SIZE. The completion's flags hold the buffer: io_buffer_id(flags),
 * owned by the owner of the op when result > 0. */
void io_recv(struct io *io, struct recv_op *op, int slot, unsigned octets_max, bool data_expected);
/* The same into one of the few large buffers, or into a usual one while none is free. It always polls first, so that
 * a little more gathers: measured, 0.97 of the CPU of trying at once where the last receive left octets. */
void io_recv_bulk(struct io *io, struct recv_op *op, int slot);
void io_send(struct io *io, struct op *op, int slot, const void *data, size_t length);
/* Punted to a kernel thread by io_uring: not for the common path (DESIGN §4). */
void io_shutdown_write(struct io *io, struct op *op, int slot);
/* Cancels everything in flight on a normal descriptor. */
void io_cancel_fd(struct io *io, struct op *op, int fd);
/* Cancels one operation; both complete, in any order. The cancel's -ENOENT says that the target has completed by
 * itself: its completion is on its way, and there is nothing to try again. */
void io_cancel_op(struct io *io, struct op *op, struct op *target);
void io_cancel_recv(struct io *io, struct op *op, struct recv_op *target);
/* A receive in flight that is to end: it does not wait for a buffer from now on. Returns true where it did wait for
 * one: then it is in flight no more and never completes. Else it is the kernel's, to be cancelled and awaited. */
bool io_recv_give_up(struct io *io, struct recv_op *op);
void io_close(struct io *io, struct op *op, int slot);
/* What wakes a ring from another thread: a descriptor to be read by io_read_fd(), eight octets. Returns it or -errno.
 */
int io_event_open(void);
/* From any thread. */
void io_event_raise(int fd);
void io_event_close(int fd);
/* For those and signalfd: a read of a normal descriptor. */
void io_read_fd(struct io *io, struct op *op, int fd, void *data, size_t length);
/* Completes with 0 in a later turn. */
void io_nop(struct io *io, struct op *op);
/* Level-triggered, once: POLLIN or POLLOUT bits as poll(2). For libraries that own their sockets. */
void io_poll_fd(struct io *io, struct op *op, int fd, unsigned events);

unsigned io_buffer_id(unsigned flags);
uint8_t *io_buffer(struct io *io, unsigned id);
/* IO_BUFFER_SIZE, or IO_BULK_SIZE. */
size_t io_buffer_size(unsigned id);
/* Takes a usual buffer for text of our own; returns false when the pool is used up. */
bool io_buffer_take(struct io *io, unsigned *ret_id);
void io_buffer_release(struct io *io, unsigned id);

struct io_stats {
    uint64_t turns;
    uint64_t completions;
    uint64_t starved;      /* receives that had to wait for a buffer */
    uint64_t cq_overflows; /* a bug if not 0 */
    unsigned buffers_total;
    unsigned buffers_in_use; /* held by owners of ops */
};
/* May be called from any thread; the figures are each right, not all of one instant. */
void io_read_stats(const struct io *io, struct io_stats *ret_stats);

#endif
