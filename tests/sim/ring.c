/* The simulated ring: io.h without a kernel. What is asked for here is in flight until kernel.c completes it between
 * two turns; what has completed is delivered in the next turn, so that a cancel can come too late, a close can meet
 * octets that were received already, and descriptors and buffers are used again at once. */
#include "tests/sim/ring.h"

#include "lb/engine/io.h"
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

unsigned sim_buffers_max;
unsigned sim_no_socket_once_in;
void (*sim_on_deadlines)(const struct io *io, unsigned expire_max, bool is_over);
void (*sim_on_work)(const struct io *io);

/* Turns in a row without any effect. Of the first 1,500 worlds none has more than 11. */
#define VAIN_TURNS_MAX 100u

unsigned sim_in_flight(const struct io *io) {
    unsigned count = io->completions_count;
    for (unsigned i = 0; i < FLIGHTS_MAX; i++)
        count += io->flights[i].op != NULL && io->flights[i].kind != ACCEPT && io->flights[i].kind != READ_FD;
    return count;
}

bool sim_is_busy(const struct io *io) {
    return io->ready_count > 0 || io->completions_count > 0 || io->is_hurried;
}

/* --- making and ending --- */

static void make_buffers(struct io *io, const struct io_options *options) {
    io->buffers_count = options->buffers < IO_BULK_FIRST ? options->buffers : IO_BULK_FIRST;
    if (sim_buffers_max != 0 && io->buffers_count > sim_buffers_max)
        io->buffers_count = sim_buffers_max;
    io->free_buffers = calloc(io->buffers_count, sizeof *io->free_buffers);
    io->is_lent = calloc(io->buffers_count + BULK_COUNT, sizeof *io->is_lent);
    io->memory = calloc(io->buffers_count, IO_BUFFER_SIZE);
    io->bulk_memory = calloc(BULK_COUNT, IO_BULK_SIZE);
    assert(io->memory != NULL && io->bulk_memory != NULL && io->free_buffers != NULL && io->is_lent != NULL);
    while (io->free_count < io->buffers_count) {
        io->free_buffers[io->free_count] = (uint16_t)(io->buffers_count - 1 - io->free_count);
        io->free_count++;
    }
    for (; options->has_bulk && io->bulk_free_count < BULK_COUNT; io->bulk_free_count++)
        io->bulk_free[io->bulk_free_count] = (uint16_t)(IO_BULK_FIRST + io->bulk_free_count);
}

int io_create(const struct io_options *options, struct io **ret_io, char *ret_error, size_t error_size) {
    (void)ret_error;
    (void)error_size;
    struct io *io = calloc(1, sizeof *io);
    assert(io != NULL);
    io->now_ms = sim_now_ms();
    timers_init(&io->timers, io->now_ms);
    io->slots_count = options->slots;
    io->slots = calloc(options->slots, sizeof *io->slots);
    io->flights = calloc(FLIGHTS_MAX, sizeof *io->flights);
    io->map = calloc(FLIGHTS_MAP, sizeof *io->map);
    assert(io->slots != NULL && io->flights != NULL && io->map != NULL);
    for (; io->free_flights_count < FLIGHTS_MAX; io->free_flights_count++)
        io->free_flights[io->free_flights_count] = &io->flights[FLIGHTS_MAX - 1 - io->free_flights_count];
    make_buffers(io, options);
    starved_init(&io->starved);
    *ret_io = io;
    return 0;
}

void io_destroy(struct io *io) {
    if (io == NULL)
        return;
    free(io->slots);
    free(io->free_buffers);
    free(io->is_lent);
    free(io->memory);
    free(io->bulk_memory);
    free(io->flights);
    free(io->map);
    free(io);
}

int io_start(struct io *io) {
    io->now_ms = sim_now_ms();
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

static bool *lent(struct io *io, unsigned id) {
    return &io->is_lent[id < IO_BULK_FIRST ? id : io->buffers_count + id - IO_BULK_FIRST];
}

void sim_lend(struct io *io, unsigned id) {
    *lent(io, id) = true;
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
    if (!*lent(io, id)) {
        sim_broken("buffer %u is given back twice", id);
        return;
    }
    *lent(io, id) = false;
    io->in_use--;
    memset(io_buffer(io, id), 0xDB, 64);
    if (id >= IO_BULK_FIRST)
        io->bulk_free[io->bulk_free_count++] = (uint16_t)id;
    else
        io->free_buffers[io->free_count++] = (uint16_t)id;
}

/* --- operations by their owners' address --- */

static unsigned home(const struct op *op) {
    return (unsigned)(((uintptr_t)op >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 40) & (FLIGHTS_MAP - 1);
}

struct flight *flight_find(const struct io *io, const struct op *op) {
    unsigned at = home(op);
    while (io->map[at] != NULL && io->map[at]->op != op)
        at = (at + 1) & (FLIGHTS_MAP - 1);
    return io->map[at];
}

static void put_on_map(struct io *io, struct flight *flight) {
    unsigned at = home(flight->op);
    while (io->map[at] != NULL)
        at = (at + 1) & (FLIGHTS_MAP - 1);
    io->map[at] = flight;
}

/* Those behind it that a gap would hide are put in anew. */
static void take_off_map(struct io *io, const struct flight *flight) {
    unsigned at = home(flight->op);
    while (io->map[at] != flight)
        at = (at + 1) & (FLIGHTS_MAP - 1);
    io->map[at] = NULL;
    for (at = (at + 1) & (FLIGHTS_MAP - 1); io->map[at] != NULL; at = (at + 1) & (FLIGHTS_MAP - 1)) {
        struct flight *moved = io->map[at];
        io->map[at] = NULL;
        put_on_map(io, moved);
    }
}

void flight_make_ready(struct flight *flight) {
    if (flight->waits_at != NULL)
        *flight->waits_at = flight->next_waiting;
    if (flight->next_waiting != NULL)
        flight->next_waiting->waits_at = flight->waits_at;
    flight->waits_at = NULL;
    flight->next_waiting = NULL;
    if (flight->is_ready)
        return;
    flight->is_ready = true;
    flight->place = flight->io->ready_count;
    flight->io->ready[flight->io->ready_count++] = flight;
}

static struct flight *fly(struct io *io, struct op *op, enum kind kind, int slot) {
    const struct flight *other = flight_find(io, op);
    if (other != NULL)
        sim_broken("an operation is armed twice: kind %d, then %d", other->kind, kind);
    assert(io->free_flights_count > 0);
    struct flight *flight = io->free_flights[--io->free_flights_count];
    memset(flight, 0, sizeof *flight);
    flight->op = op;
    flight->io = io;
    flight->kind = kind;
    flight->slot = slot;
    put_on_map(io, flight);
    flight_make_ready(flight);
    return flight;
}

static void count_on_slot(struct flight *flight, int by) {
    struct slot *slot = &flight->io->slots[flight->slot];
    uint8_t *count = flight->kind == RECV ? &slot->receives : &slot->sends;
    *count = (uint8_t)(*count + by);
    if (*count > 1)
        sim_broken("slot %d: %s twice at a time", flight->slot, flight->kind == RECV ? "receives" : "sends");
}

void flight_end(struct flight *flight) {
    struct io *io = flight->io;
    flight_make_ready(flight);
    io->ready[flight->place] = io->ready[--io->ready_count];
    io->ready[flight->place]->place = flight->place;
    if (flight->kind == RECV || flight->kind == SEND)
        count_on_slot(flight, -1);
    take_off_map(io, flight);
    flight->op = NULL;
    io->free_flights[io->free_flights_count++] = flight;
}

/* --- what is asked for --- */

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
    return sim_no_socket_once_in != 0 && sim_once_in(sim_no_socket_once_in) ? -EMFILE : SIM_LISTENER - 1;
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

/* Who waits for a buffer, as the simulator itself has it. */
static void leave_line(struct io *io, const struct recv_op *op) {
    unsigned left = 0;
    for (unsigned i = 0; i < io->waiting_count; i++)
        if (io->waiting[i] != op)
            io->waiting[left++] = io->waiting[i];
    io->waiting_count = left;
}

bool io_recv_give_up(struct io *io, struct recv_op *op) {
    op->is_unwanted = true;
    leave_line(io, op);
    return starved_leave(&io->starved, op);
}

static void receive(struct io *io, struct recv_op *op, int slot) {
    op->is_unwanted = false;
    op->slot = slot;
    count_on_slot(fly(io, &op->op, RECV, slot), 1);
}

void io_recv(struct io *io, struct recv_op *op, int slot, unsigned octets_max, bool data_expected) {
    (void)data_expected;
    assert(octets_max >= 1 && octets_max <= IO_BUFFER_SIZE);
    op->is_bulk = false;
    op->octets_max = octets_max;
    receive(io, op, slot);
}

void io_recv_bulk(struct io *io, struct recv_op *op, int slot) {
    op->is_bulk = io->bulk_free_count > 0;
    op->octets_max = IO_BULK_SIZE;
    receive(io, op, slot);
}

void io_send(struct io *io, struct op *op, int slot, const void *data, size_t length) {
    struct flight *flight = fly(io, op, SEND, slot);
    flight->data = data;
    flight->length = length;
    count_on_slot(flight, 1);
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
    assert(length == sizeof(uint64_t));
    flight->into = data;
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
    starved_add(&io->starved, op);
    io->waiting[io->waiting_count++] = op;
}

/* True when there was one: their deadlines wait until these have been tried, as with the real ring. */
static bool feed_starved(struct io *io) {
    struct recv_op *op;
    bool has_fed = false;
    for (unsigned tries = io->free_count; tries > 0 && (op = starved_take(&io->starved)) != NULL; tries--) {
        if (io->waiting[0] != op)
            sim_broken("who has waited longest for a buffer is passed over");
        leave_line(io, op);
        io_recv(io, op, op->slot, op->octets_max < IO_BUFFER_SIZE ? op->octets_max : IO_BUFFER_SIZE, false);
        flight_find(io, &op->op)->is_urgent = true;
        has_fed = true;
    }
    return has_fed;
}

/* Work that was put off goes on in the next turn or in a later one. */
void io_hurry(struct io *io) {
    io->is_hurried = true;
}

bool io_may_begin_work(const struct io *io) {
    return io->may_begin_work;
}

/* Octets have moved, or a connection or a message has come further. */
static bool has_effect(const struct completion *done) {
    switch (done->kind) {
    case RECV:
        return done->result != -ENOBUFS;
    case ACCEPT:
        return done->result >= 0;
    case CANCEL:
    case CANCEL_FD:
        return done->result != -ENOENT;
    case NOP:
        return false;
    case INSTALL:
    case CONNECT:
    case SEND:
    case SHUT:
    case CLOSE:
    case READ_FD:
        break;
    }
    return true;
}

static void deliver(struct io *io, const struct completion *done) {
    struct recv_op *recv_op = done->kind == RECV ? container_of(done->op, struct recv_op, op) : NULL;
    if (recv_op != NULL && done->result == -ENOBUFS && !recv_op->is_unwanted)
        starve(io, recv_op);
    else
        done->op->complete(done->op, done->result, done->flags);
}

/* Those that are there; others only come between turns. Returns true when any had an effect. */
static bool run_completions(struct io *io) {
    unsigned count = io->completions_count, late = 0;
    bool has_gained = false;
    for (unsigned i = 0; i < count; i++) {
        struct completion done = io->completions[i];
        if (done.is_late) {
            done.is_late = false;
            io->completions[late++] = done;
            continue;
        }
        has_gained |= has_effect(&done);
        deliver(io, &done);
    }
    io->completions_count = late;
    return has_gained;
}

/* Returns true when all that are due have passed. */
static bool pass_deadlines(struct io *io) {
    unsigned expire_max = 1 + sim_below(20);
    if (timers_next_ms(&io->timers) > io->now_ms || sim_on_deadlines == NULL)
        return timers_advance_some(&io->timers, io->now_ms, expire_max);
    io->vain_turns = 0;
    sim_on_deadlines(io, expire_max, false);
    bool are_all = timers_advance_some(&io->timers, io->now_ms, expire_max);
    sim_on_deadlines(io, expire_max, true);
    return are_all;
}

void io_dispatch(struct io *io) {
    bool is_busy = io->completions_count > 0 || io->is_hurried;
    io->now_ms = sim_now_ms();
    io->turns++;
    io->is_hurried = false;
    io->may_begin_work = !sim_once_in(4);
    if (run_completions(io))
        io->vain_turns = 0;
    else if (is_busy && ++io->vain_turns > VAIN_TURNS_MAX)
        sim_broken("a ring has turned %u times, and nothing came of it", io->vain_turns);
    io->is_hurried |= feed_starved(io) || !pass_deadlines(io);
    if (sim_on_work != NULL)
        sim_on_work(io);
}

void io_read_stats(const struct io *io, struct io_stats *ret_stats) {
    *ret_stats = (struct io_stats){.turns = io->turns,
                                   .starved = io->starved_total,
                                   .buffers_total = io->buffers_count,
                                   .buffers_in_use = io->in_use};
}
