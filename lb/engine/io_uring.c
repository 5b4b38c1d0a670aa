/* The ring: io.h on io_uring. One thread owns it. Operations are queued in the submission queue and handed to the
 * kernel once a turn; the loop sleeps until a completion or the wheel's next deadline, so timers cost no operation.
 *
 * With IORING_SETUP_DEFER_TASKRUN the kernel completes what it was waiting for only inside an io_uring_enter(2) that
 * asks for events. So each turn asks for them, even where completions stand ready: operations that complete while they
 * are submitted could otherwise keep the loop turning for ever, and nobody else would be heard (io_uring_setup(2)).
 *
 * Receive buffers come in two sizes. A receive that finds none of the usual ones, since one turn has used up all that
 * are lent or since the pool is used up, waits in a list for the next buffer instead of spinning. Bulk ones are few: a
 * receive that finds none takes a usual one.
 *
 * Owns the ring, its table of descriptors, its buffers and its wheel of timers. Fatal here: an error of
 * io_uring_enter(2) other than the transient ones, since no session could go on. */
#include "lb/engine/io.h"

#include "lb/engine/buffers.h"
#include "lb/engine/log.h"
#include "lb/engine/pace.h"
#include "lb/engine/starved.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { GROUP_USUAL, GROUP_BULK };
#define CQES_PER_BATCH 64u
/* A receive's user_data carries this bit, since only receives wait for buffers. */
#define TAG_RECV UINT64_C(1)

struct io {
    struct io_uring ring;
    struct timers timers;
    uint64_t now_ms; /* ahead of the wheel's clock while completions run */
    struct pace pace;
    bool is_hurried;
    struct buffers usual;
    struct buffers bulk; /* count 0: none */
    struct starved starved;
    uint64_t used_up_said_ms; /* 0: never */
    atomic_ulong in_use;
    atomic_ulong turns;
    atomic_ulong completions;
    atomic_ulong starved_total;
    atomic_ulong overflows;
};

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Statistics have one writer, the ring's thread: a plain add without a locked instruction. */
static void count(atomic_ulong *counter, unsigned long by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static const char *advice(int error) {
    switch (error) {
    case -ENOSYS:
        return "this kernel has no io_uring; Linux 6.1 or later is needed";
    case -EPERM:
        return "io_uring is not allowed: set the sysctl kernel.io_uring_disabled=0, or, in a container, allow "
               "io_uring_setup, io_uring_enter and io_uring_register in its seccomp filter";
    case -ENOMEM:
        return "not enough lockable memory: raise RLIMIT_MEMLOCK (ulimit -l, or LimitMEMLOCK= in the unit)";
    case -EINVAL:
        return "the kernel does not know a flag this needs; Linux 6.1 or later is needed";
    case -EMFILE:
    case -ENFILE:
        return "too few descriptors: raise RLIMIT_NOFILE (ulimit -n, or LimitNOFILE= in the unit)";
    default:
        return "unexpected";
    }
}

static int setup_ring(struct io *io) {
    /* R_DISABLED: the ring is made here, where errors can be reported, and bound to its thread by io_start(). */
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG,
        .cq_entries = 4 * IO_SQ_ENTRIES,
    };
    int result = io_uring_queue_init_params(IO_SQ_ENTRIES, &io->ring, &params);
    unsigned threads[2] = {IO_KERNEL_THREADS, IO_KERNEL_THREADS}; /* for files, and for all else */
    return result < 0 ? result : io_uring_register_iowq_max_workers(&io->ring, threads);
}

static int setup_buffers(struct io *io, const struct io_options *options) {
    unsigned count = options->buffers < IO_BUFFERS_LENT ? IO_BUFFERS_LENT : options->buffers;
    io->usual = (struct buffers){
        .group = GROUP_USUAL,
        .octets = IO_BUFFER_SIZE,
        .count = count < IO_BULK_FIRST ? count : IO_BULK_FIRST,
        .lent_max = IO_BUFFERS_LENT,
    };
    int result = buffers_init(&io->usual, &io->ring);
    if (result < 0 || !options->has_bulk)
        return result;
    io->bulk = (struct buffers){
        .group = GROUP_BULK,
        .octets = IO_BULK_SIZE,
        .count = IO_BULK_BUFFERS,
        .first_id = IO_BULK_FIRST,
        .lent_max = IO_BULK_LENT,
    };
    return buffers_init(&io->bulk, &io->ring);
}

static struct buffers *buffers_of(struct io *io, unsigned id) {
    return id < IO_BULK_FIRST ? &io->usual : &io->bulk;
}

int io_create(const struct io_options *options, struct io **ret_io, char *ret_error, size_t error_size) {
    struct io *io = calloc(1, sizeof *io);
    if (io == NULL) {
        snprintf(ret_error, error_size, "out of memory");
        return -ENOMEM;
    }
    io->now_ms = clock_ms();
    starved_init(&io->starved);
    timers_init(&io->timers, io->now_ms);
    int result = setup_ring(io);
    if (result < 0) {
        snprintf(ret_error, error_size, "io_uring: %s (%s)", advice(result), strerror(-result));
        free(io);
        return result;
    }
    const char *step = "descriptor table";
    result = io_uring_register_files_sparse(&io->ring, options->slots);
    if (result == 0) {
        step = "receive buffers";
        result = setup_buffers(io, options);
    }
    if (result < 0) {
        snprintf(ret_error, error_size, "io_uring: %s: %s (%s)", step, advice(result), strerror(-result));
        io_destroy(io);
        return result;
    }
    *ret_io = io;
    return 0;
}

void io_destroy(struct io *io) {
    if (io == NULL)
        return;
    io_uring_queue_exit(&io->ring);
    buffers_finish(&io->usual);
    buffers_finish(&io->bulk);
    free(io);
}

int io_start(struct io *io) {
    io->now_ms = clock_ms();
    timers_advance(&io->timers, io->now_ms);
    /* liburing 2.3 declares io_uring_enable_rings() but its shared library lacks it. */
    long result = syscall(SYS_io_uring_register, io->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return result < 0 ? -errno : 0;
}

static void die(const char *what, int error) {
    log_fatal("fatal: %s: %s", what, strerror(-error));
}

static bool is_transient(int error) {
    return error == -ETIME || error == -EINTR || error == -EAGAIN || error == -EBUSY;
}

/* One enter completes only some of what is ready (20 since Linux 6.13), and says so by these flags. */
static bool kernel_has_more(const struct io *io) {
    return (IO_URING_READ_ONCE(*io->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* Enters the kernel for events in any case, see above; sleeps only while there is nothing to do. */
void io_wait(struct io *io) {
    uint64_t next = timers_next_ms(&io->timers);
    uint64_t now = io->now_ms;
    uint64_t wait = next == UINT64_MAX ? 3600000 : next > now ? next - now : 0;
    struct __kernel_timespec timeout = {
        .tv_sec = (long long)(wait / 1000),
        .tv_nsec = (long long)(wait % 1000) * 1000000,
    };
    struct io_uring_cqe *cqe;
    int result = io->is_hurried || io_uring_cq_ready(&io->ring) > 0
                     ? io_uring_submit_and_get_events(&io->ring)
                     : io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, &timeout, NULL);
    io->is_hurried = false;
    if (result < 0 && !is_transient(result))
        die("io_uring_enter", result);
}

void io_hurry(struct io *io) {
    io->is_hurried = true;
}

/* A full submission queue goes to the kernel at once. Where that has no room for more completions or no memory for more
 * operations, to take what has completed makes some. */
static struct io_uring_sqe *get_sqe(struct io *io) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
    while (sqe == NULL) {
        int result = io_uring_submit(&io->ring);
        if (is_transient(result))
            result = io_uring_get_events(&io->ring);
        if (result < 0 && !is_transient(result))
            die("io_uring_enter", result);
        sqe = io_uring_get_sqe(&io->ring);
    }
    return sqe;
}

/* --- receives without a buffer --- */

/* Once a minute while it lasts. */
static void say_used_up(struct io *io) {
    if (io->used_up_said_ms != 0 && io->now_ms - io->used_up_said_ms < 60000)
        return;
    io->used_up_said_ms = io->now_ms;
    log_warning("all %u receive buffers are in use: peers wait until some come back", io->usual.count);
}

static void starve(struct io *io, struct recv_op *op) {
    count(&io->starved_total, 1);
    if (io->usual.lent_count == 0 && io->usual.free_count == 0)
        say_used_up(io);
    starved_add(&io->starved, op);
}

bool io_recv_give_up(struct io *io, struct recv_op *op) {
    op->is_unwanted = true;
    return starved_leave(&io->starved, op);
}

/* Those that have waited longest try again, as many as there are buffers now. Returns false when there was nobody. */
static bool feed_starved(struct io *io) {
    unsigned fed = 0;
    struct recv_op *op;
    while (fed < io->usual.lent_count && (op = starved_take(&io->starved)) != NULL) {
        io_recv(io, op, op->slot, op->octets_max, true);
        fed++;
    }
    return fed > 0;
}

/* --- completions --- */

static void run_recv(struct io *io, struct recv_op *op, int result, unsigned flags) {
    bool has_buffer = (flags & IORING_CQE_F_BUFFER) != 0;
    if (has_buffer) {
        buffers_on_used(buffers_of(io, io_buffer_id(flags)));
        count(&io->in_use, 1);
    }
    if (has_buffer && result <= 0)
        io_buffer_release(io, io_buffer_id(flags));
    if (result != -ENOBUFS || op->is_unwanted)
        op->op.complete(&op->op, result, flags);
    else if (op->is_bulk) /* others were faster; by now there may be one again */
        io_recv_bulk(io, op, op->slot);
    else
        starve(io, op);
}

static void run_completion(struct io *io, uint64_t user_data, int result, unsigned flags) {
    if (user_data & TAG_RECV) {
        run_recv(io, (struct recv_op *)(uintptr_t)(user_data & ~TAG_RECV), result, flags);
    } else {
        struct op *op = (struct op *)(uintptr_t)user_data;
        op->complete(op, result, flags);
    }
}

/* Only those that were there when the turn began: what completes while this turn submits is for the next one, so that
 * the turn ends. */
static unsigned run_completions(struct io *io, unsigned left) {
    struct io_uring_cqe *cqes[CQES_PER_BATCH];
    unsigned done = 0;
    while (left > 0) {
        unsigned ready = io_uring_peek_batch_cqe(&io->ring, cqes, left < CQES_PER_BATCH ? left : CQES_PER_BATCH);
        for (unsigned i = 0; i < ready; i++)
            run_completion(io, cqes[i]->user_data, cqes[i]->res, cqes[i]->flags);
        io_uring_cq_advance(&io->ring, ready);
        done += ready;
        left -= ready;
    }
    return done;
}

bool io_may_begin_work(const struct io *io) {
    return io->pace.may_begin_work;
}

void io_dispatch(struct io *io) {
    /* The clock moves before completions run, so that what they time starts from now, and expired timers run after
     * them. */
    io->now_ms = clock_ms();
    unsigned there = io_uring_cq_ready(&io->ring);
    bool is_all = pace_has_all(&io->pace, there, kernel_has_more(io));
    unsigned done = run_completions(io, there < CQES_PER_TURN ? there : CQES_PER_TURN);
    count(&io->turns, 1);
    count(&io->completions, done);
    if (feed_starved(io))
        is_all = false;
    atomic_store_explicit(&io->overflows, *io->ring.cq.koverflow, memory_order_relaxed);
    if (pace_turn(&io->pace, done, is_all))
        timers_advance_some(&io->timers, io->now_ms, TIMERS_PER_TURN);
}

uint64_t io_now_ms(const struct io *io) {
    return io->now_ms;
}

struct timers *io_timers(struct io *io) {
    return &io->timers;
}

static void submit_later(struct io_uring_sqe *sqe, struct op *op) {
    io_uring_sqe_set_data(sqe, op);
}

static void on_slot(struct io_uring_sqe *sqe) {
    sqe->flags |= IOSQE_FIXED_FILE;
}

void io_accept(struct io *io, struct op *op, int listener_fd, bool direct, struct address *peer,
               socklen_t *peer_length) {
    struct io_uring_sqe *sqe = get_sqe(io);
    *peer_length = sizeof *peer;
    io_uring_prep_accept(sqe, listener_fd, &peer->sa, peer_length, direct ? 0 : SOCK_CLOEXEC);
    /* liburing 2.3's prep_accept_direct turns FILE_INDEX_ALLOC into 0, a normal descriptor. */
    if (direct)
        sqe->file_index = IORING_FILE_INDEX_ALLOC;
    submit_later(sqe, op);
}

void io_install(struct io *io, struct op *op, int *fd) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_files_update(sqe, fd, 1, (int)IORING_FILE_INDEX_ALLOC);
    submit_later(sqe, op);
}

void io_connect(struct io *io, struct op *op, int slot, const struct address *address) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_connect(sqe, slot, &address->sa, address_length(address));
    on_slot(sqe);
    submit_later(sqe, op);
}

static void prep_recv(struct io *io, struct recv_op *op, int slot, bool data_expected) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_recv(sqe, slot, NULL, op->octets_max, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = op->is_bulk ? GROUP_BULK : GROUP_USUAL;
    if (!data_expected)
        sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
    on_slot(sqe);
    op->slot = slot;
    op->is_unwanted = false;
    sqe->user_data = (uintptr_t)op | TAG_RECV;
}

void io_recv(struct io *io, struct recv_op *op, int slot, unsigned octets_max, bool data_expected) {
    assert(octets_max > 0 && octets_max <= IO_BUFFER_SIZE);
    op->is_bulk = false;
    op->octets_max = octets_max & 0xfffff;
    prep_recv(io, op, slot, data_expected);
}

void io_recv_bulk(struct io *io, struct recv_op *op, int slot) {
    op->is_bulk = io->bulk.lent_count > 0;
    op->octets_max = op->is_bulk ? IO_BULK_SIZE : IO_BUFFER_SIZE;
    prep_recv(io, op, slot, false);
}

void io_send(struct io *io, struct op *op, int slot, const void *data, size_t length) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_send(sqe, slot, data, length, MSG_NOSIGNAL | MSG_WAITALL);
    on_slot(sqe);
    submit_later(sqe, op);
}

void io_shutdown_write(struct io *io, struct op *op, int slot) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_shutdown(sqe, slot, SHUT_WR);
    on_slot(sqe);
    submit_later(sqe, op);
}

void io_cancel_fd(struct io *io, struct op *op, int fd) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
    submit_later(sqe, op);
}

void io_cancel_op(struct io *io, struct op *op, struct op *target) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)target, 0);
    submit_later(sqe, op);
}

void io_cancel_recv(struct io *io, struct op *op, struct recv_op *target) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)target | TAG_RECV, 0);
    submit_later(sqe, op);
}

void io_close(struct io *io, struct op *op, int slot) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_close_direct(sqe, (unsigned)slot);
    submit_later(sqe, op);
}

void io_read_fd(struct io *io, struct op *op, int fd, void *data, size_t length) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_read(sqe, fd, data, (unsigned)length, 0);
    submit_later(sqe, op);
}

void io_nop(struct io *io, struct op *op) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_nop(sqe);
    submit_later(sqe, op);
}

void io_poll_fd(struct io *io, struct op *op, int fd, unsigned events) {
    struct io_uring_sqe *sqe = get_sqe(io);
    io_uring_prep_poll_add(sqe, fd, events);
    submit_later(sqe, op);
}

unsigned io_buffer_id(unsigned flags) {
    return flags >> IORING_CQE_BUFFER_SHIFT;
}

uint8_t *io_buffer(struct io *io, unsigned id) {
    return buffers_at(buffers_of(io, id), id);
}

size_t io_buffer_size(unsigned id) {
    return id < IO_BULK_FIRST ? IO_BUFFER_SIZE : IO_BULK_SIZE;
}

bool io_buffer_take(struct io *io, unsigned *ret_id) {
    bool taken = buffers_take(&io->usual, ret_id);
    count(&io->in_use, taken);
    if (!taken)
        say_used_up(io);
    return taken;
}

void io_buffer_release(struct io *io, unsigned id) {
    count(&io->in_use, (unsigned long)-1);
    buffers_release(buffers_of(io, id), id);
}

void io_read_stats(const struct io *io, struct io_stats *ret_stats) {
    *ret_stats = (struct io_stats){
        .turns = atomic_load_explicit(&io->turns, memory_order_relaxed),
        .completions = atomic_load_explicit(&io->completions, memory_order_relaxed),
        .starved = atomic_load_explicit(&io->starved_total, memory_order_relaxed),
        .cq_overflows = atomic_load_explicit(&io->overflows, memory_order_relaxed),
        .buffers_total = io->usual.count + io->bulk.count,
        .buffers_in_use = (unsigned)atomic_load_explicit(&io->in_use, memory_order_relaxed),
    };
}
