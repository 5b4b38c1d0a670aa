/* The simulated ring: io.h without a kernel. Between two turns the "kernel" looks at what is in flight in an order that
 * is drawn, and completes what can be, or leaves it for later; what it has completed is delivered in the next turn, so
 * that a cancel can come too late, a close can meet octets that were received already, and descriptors and buffers are
 * used again at once. Time moves only when the world says so. */
#include "tests/sim/ring.h"
#include "lb/engine/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

unsigned sim_buffers_max;

static uint64_t clock_now_ms;
static unsigned last_completions;

uint64_t sim_now_ms(void) {
    return clock_now_ms;
}

void sim_set_now_ms(uint64_t now_ms) {
    clock_now_ms = now_ms;
}

unsigned sim_completions(void) {
    return last_completions;
}

unsigned sim_in_flight(const struct io *io) {
    unsigned count = io->completions_count;
    for (unsigned i = 0; i < io->flights_count; i++)
        count += io->flights[i].kind != ACCEPT && io->flights[i].kind != READ_FD;
    return count;
}

/* --- making and ending --- */

int io_create(const struct io_options *options, struct io **ret_io, char *ret_error, size_t error_size) {
    (void)ret_error;
    (void)error_size;
    struct io *io = calloc(1, sizeof *io);
    io->now_ms = clock_now_ms;
    timers_init(&io->timers, io->now_ms);
    io->slots.count = options->slots;
    io->slots.wires = calloc(options->slots, sizeof *io->slots.wires);
    io->slots.is_taken = calloc(options->slots, sizeof *io->slots.is_taken);
    io->buffers_count = options->buffers < IO_BULK_FIRST ? options->buffers : IO_BULK_FIRST;
    if (sim_buffers_max != 0 && io->buffers_count > sim_buffers_max)
        io->buffers_count = sim_buffers_max;
    io->free_buffers = calloc(io->buffers_count, sizeof *io->free_buffers);
    io->memory = calloc(io->buffers_count, IO_BUFFER_SIZE);
    io->bulk_memory = calloc(BULK_COUNT, IO_BULK_SIZE);
    assert(io->memory != NULL && io->bulk_memory != NULL && io->free_buffers != NULL && io->slots.is_taken != NULL);
    while (io->free_count < io->buffers_count) {
        io->free_buffers[io->free_count] = (uint16_t)(io->buffers_count - 1 - io->free_count);
        io->free_count++;
    }
    for (; options->has_bulk && io->bulk_free_count < BULK_COUNT; io->bulk_free_count++)
        io->bulk_free[io->bulk_free_count] = (uint16_t)(IO_BULK_FIRST + io->bulk_free_count);
    io->starved_end = &io->starved;
    kernel_begin();
    *ret_io = io;
    return 0;
}

void io_destroy(struct io *io) {
    if (io == NULL)
        return;
    free(io->slots.wires);
    free(io->slots.is_taken);
    free(io->free_buffers);
    free(io->memory);
    free(io->bulk_memory);
    free(io);
}

int io_start(struct io *io) {
    io->now_ms = clock_now_ms;
    timers_advance(&io->timers, io->now_ms);
    return 0;
}

uint64_t io_now_ms(const struct io *io) {
    return io->now_ms;
}

struct timers *io_timers(struct io *io) {
    return &io->timers;
}

/* --- buffers --- */

unsigned io_buffer_id(unsigned flags) {
    return flags >> 16;
}

uint8_t *io_buffer(struct io *io, unsigned id) {
    if (id >= IO_BULK_FIRST)
        return io->bulk_memory + (size_t)(id - IO_BULK_FIRST) * IO_BULK_SIZE;
    return io->memory + (size_t)id * IO_BUFFER_SIZE;
}

size_t io_buffer_size(unsigned id) {
    return id < IO_BULK_FIRST ? IO_BUFFER_SIZE : IO_BULK_SIZE;
}

void sim_lend(struct io *io, unsigned id) {
    io->is_lent[id] = true;
    io->in_use++;
}

bool io_buffer_take(struct io *io, unsigned *ret_id) {
    if (io->free_count == 0)
        return false;
    *ret_id = io->free_buffers[--io->free_count];
    sim_lend(io, *ret_id);
    return true;
}

/* What was in it is gone, so that whoever reads on is found out. */
void io_buffer_release(struct io *io, unsigned id) {
    if (!io->is_lent[id]) {
        sim_broken("buffer %u is given back twice", id);
        return;
    }
    io->is_lent[id] = false;
    io->in_use--;
    memset(io_buffer(io, id), 0xDB, 64);
    if (id >= IO_BULK_FIRST) {
        io->bulk_free[io->bulk_free_count++] = (uint16_t)id;
        return;
    }
    io->free_buffers[io->free_count++] = (uint16_t)id;
}

/* --- what is asked for --- */

static struct flight *fly(struct io *io, struct op *op, enum kind kind, int slot) {
    assert(io->flights_count < FLIGHTS_MAX);
    for (unsigned i = 0; i < io->flights_count; i++)
        if (io->flights[i].op == op)
            sim_broken("an operation is armed twice: kind %d, then %d", io->flights[i].kind, kind);
    struct flight *flight = &io->flights[io->flights_count++];
    memset(flight, 0, sizeof *flight);
    flight->op = op;
    flight->kind = kind;
    flight->slot = slot;
    return flight;
}

void io_accept(struct io *io, struct op *op, int listener_fd, bool direct, struct address *peer,
               socklen_t *peer_length) {
    assert(direct);
    struct flight *flight = fly(io, op, ACCEPT, listener_fd);
    flight->peer = peer;
    flight->peer_length = peer_length;
}

/* Numbers of sockets that stand in no table yet mean nothing here. */
int io_socket(struct io *io, int family, const struct address *source) {
    (void)io;
    (void)family;
    (void)source;
    return SIM_LISTENER + 1;
}

int io_socket_named(struct io *io, const struct address *destination, struct address *source) {
    return io_socket(io, destination->sa.sa_family, source);
}

void io_close_fd(struct io *io, int fd) {
    (void)io;
    (void)fd;
}

void io_install(struct io *io, struct op *op, int *fd) {
    fly(io, op, INSTALL, -1)->fd = fd;
}

void io_connect(struct io *io, struct op *op, int slot, const struct address *address) {
    fly(io, op, CONNECT, slot)->address = address;
}

static void leave_starved(struct io *io, struct recv_op *op) {
    *op->starved_link = op->next_starved;
    if (op->next_starved != NULL)
        op->next_starved->starved_link = op->starved_link;
    else
        io->starved_end = op->starved_link;
    op->starved_link = NULL;
}

bool io_recv_give_up(struct io *io, struct recv_op *op) {
    op->is_unwanted = true;
    if (op->starved_link == NULL)
        return false;
    leave_starved(io, op);
    return true;
}

void io_recv(struct io *io, struct recv_op *op, int slot, unsigned octets_max, bool data_expected) {
    (void)data_expected;
    assert(octets_max >= 1 && octets_max <= IO_BUFFER_SIZE);
    op->is_bulk = op->is_unwanted = false;
    op->octets_max = octets_max;
    op->slot = slot;
    fly(io, &op->op, RECV, slot);
}

void io_recv_bulk(struct io *io, struct recv_op *op, int slot) {
    op->is_bulk = io->bulk_free_count > 0;
    op->is_unwanted = false;
    op->octets_max = IO_BULK_SIZE;
    op->slot = slot;
    fly(io, &op->op, RECV, slot);
}

void io_send(struct io *io, struct op *op, int slot, const void *data, size_t length) {
    struct flight *flight = fly(io, op, SEND, slot);
    flight->data = data;
    flight->length = length;
}

void io_shutdown_write(struct io *io, struct op *op, int slot) {
    fly(io, op, SHUT, slot);
}

void io_cancel_fd(struct io *io, struct op *op, int fd) {
    fly(io, op, CANCEL_FD, fd);
}

void io_cancel_op(struct io *io, struct op *op, struct op *target) {
    fly(io, op, CANCEL, -1)->target = target;
}

void io_cancel_recv(struct io *io, struct op *op, struct recv_op *target) {
    io_cancel_op(io, op, &target->op);
}

void io_close(struct io *io, struct op *op, int slot) {
    fly(io, op, CLOSE, slot);
}

void io_read_fd(struct io *io, struct op *op, int fd, void *data, size_t length) {
    struct flight *flight = fly(io, op, READ_FD, fd);
    flight->into = data;
    flight->length = length;
}

void io_nop(struct io *io, struct op *op) {
    fly(io, op, NOP, -1);
}

void io_poll_fd(struct io *io, struct op *op, int fd, unsigned events) {
    (void)io;
    (void)op;
    (void)fd;
    (void)events;
    abort(); /* the resolver's, which is not in these worlds */
}

/* --- turns --- */

static void starve(struct io *io, struct recv_op *op) {
    io->starved_total++;
    op->next_starved = NULL;
    op->starved_link = io->starved_end;
    *io->starved_end = op;
    io->starved_end = &op->next_starved;
}

static void feed_starved(struct io *io) {
    for (unsigned tries = io->free_count; io->starved != NULL && tries > 0; tries--) {
        struct recv_op *op = io->starved;
        leave_starved(io, op);
        io_recv(io, op, op->slot, op->octets_max < IO_BUFFER_SIZE ? op->octets_max : IO_BUFFER_SIZE, false);
    }
}

/* Work that was put off goes on in the next turn or in a later one. */
void io_hurry(struct io *io) {
    io->is_hurried = true;
}

bool io_may_begin_work(const struct io *io) {
    return io->may_begin_work;
}

bool sim_is_hurried(const struct io *io) {
    return io->is_hurried;
}

void io_dispatch(struct io *io) {
    unsigned count = io->completions_count;
    io->now_ms = clock_now_ms;
    io->turns++;
    io->is_hurried = false;
    io->may_begin_work = !sim_once_in(4);
    last_completions = count;
    for (unsigned i = 0; i < count; i++) {
        struct completion done = io->completions[i];
        struct recv_op *recv_op = done.is_recv ? container_of(done.op, struct recv_op, op) : NULL;
        if (recv_op != NULL && done.result == -ENOBUFS && !recv_op->is_unwanted)
            starve(io, recv_op);
        else
            done.op->complete(done.op, done.result, done.flags);
    }
    io->completions_count -= count; /* completions only come between turns */
    feed_starved(io);
    io->is_hurried |= !timers_advance_some(&io->timers, io->now_ms, 1 + sim_below(20));
}

void io_read_stats(const struct io *io, struct io_stats *ret_stats) {
    *ret_stats = (struct io_stats){.turns = io->turns,
                                   .starved = io->starved_total,
                                   .buffers_total = io->buffers_count,
                                   .buffers_in_use = io->in_use};
}
