/* The other half of the simulated ring: completes what is in flight, in an order that is drawn, between two turns. */
#include "tests/sim/ring.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int (*sim_on_connect)(const struct address *address, struct wire *wire);

unsigned sim_short_once_in;

static struct wire *backlog, **backlog_end = &backlog;

void kernel_begin(void) {
    backlog = NULL;
    backlog_end = &backlog;
}

void sim_knock(struct wire *wire) {
    wire->next = NULL;
    *backlog_end = wire;
    backlog_end = &wire->next;
}

unsigned sim_backlog(void) {
    unsigned count = 0;
    for (const struct wire *wire = backlog; wire != NULL; wire = wire->next)
        count++;
    return count;
}

static struct wire *wire_at(struct io *io, int slot) {
    bool is_open = slot >= 0 && (unsigned)slot < io->slots.count && io->slots.is_taken[slot];
    return is_open ? io->slots.wires[slot] : NULL;
}

/* The lowest free one, as the kernel does. */
static int take_slot(struct io *io, struct wire *wire) {
    for (unsigned i = 0; i < io->slots.count; i++) {
        if (io->slots.is_taken[i])
            continue;
        io->slots.is_taken[i] = true;
        io->slots.wires[i] = wire;
        return (int)i;
    }
    return -ENFILE;
}

static int try_accept(struct io *io, struct flight *flight) {
    struct wire *wire = backlog;
    if (wire == NULL)
        return -EAGAIN;
    int slot = take_slot(io, wire);
    backlog = wire->next;
    if (backlog == NULL)
        backlog_end = &backlog;
    *flight->peer = wire->their_address;
    *flight->peer_length = sizeof wire->their_address.in4;
    if (slot < 0)
        wire_we_close(wire); /* a full table drops the client */
    return slot;
}

static int try_install(struct io *io, struct flight *flight) {
    int slot = take_slot(io, NULL);
    if (slot < 0)
        return slot;
    *flight->fd = slot;
    return 1;
}

static int try_connect(struct io *io, struct flight *flight) {
    struct wire *wire = wire_open();
    if (wire == NULL)
        return -ENOBUFS;
    int result = sim_on_connect(flight->address, wire);
    if (result == 0) {
        wire->is_to_backend = true;
        io->slots.wires[flight->slot] = wire;
        return 0;
    }
    wire_they_close(wire);
    wire_we_close(wire);
    return result;
}

static bool is_short_of_memory(const struct wire *wire) {
    return sim_short_once_in != 0 && wire->is_to_backend && sim_once_in(sim_short_once_in);
}

/* A receive, perhaps of less than there is: what comes later would be the rest. */
static int try_recv(struct io *io, struct flight *flight, unsigned *ret_flags) {
    struct recv_op *op = container_of(flight->op, struct recv_op, op);
    struct wire *wire = wire_at(io, flight->slot);
    if (wire == NULL)
        return -EBADF;
    if (is_short_of_memory(wire))
        return -ENOMEM;
    if (wire->to_us.length == 0)
        return wire_we_read(wire, NULL, 0);
    unsigned id;
    if (op->is_bulk && io->bulk_free_count > 0)
        id = io->bulk_free[--io->bulk_free_count];
    else if (op->is_bulk || io->free_count == 0)
        return -ENOBUFS;
    else
        id = io->free_buffers[--io->free_count];
    sim_lend(io, id);
    size_t most = sim_once_in(3) ? 1 + sim_below(40) : io_buffer_size(id);
    if (most > op->octets_max)
        most = op->octets_max;
    *ret_flags = id << 16;
    return wire_we_read(wire, io_buffer(io, id), most);
}

/* MSG_WAITALL: all of it, or what had gone when an error or a cancel came. */
static int try_send(struct io *io, struct flight *flight) {
    struct wire *wire = wire_at(io, flight->slot);
    if (wire == NULL)
        return -EBADF;
    if (is_short_of_memory(wire))
        return flight->moved > 0 ? (int)flight->moved : -ENOMEM;
    size_t left = flight->length - flight->moved;
    size_t part = sim_once_in(4) ? 1 + sim_below((unsigned)left) : left;
    int result = wire_we_write(wire, flight->data + flight->moved, part);
    if (result < 0)
        return flight->moved > 0 ? (int)flight->moved : result;
    flight->moved += (size_t)result;
    return flight->moved == flight->length ? (int)flight->length : -EAGAIN;
}

static int do_close(struct io *io, struct flight *flight) {
    struct wire *wire = wire_at(io, flight->slot);
    if (!io->slots.is_taken[flight->slot])
        sim_broken("slot %d is closed twice", flight->slot);
    for (unsigned i = 0; i < io->flights_count; i++) {
        const struct flight *other = &io->flights[i];
        if (other != flight && other->slot == flight->slot && (other->kind == RECV || other->kind == SEND))
            sim_broken("slot %d is closed under an operation in flight", flight->slot);
    }
    io->slots.is_taken[flight->slot] = false;
    io->slots.wires[flight->slot] = NULL;
    if (wire != NULL)
        wire_we_close(wire);
    return 0;
}

static bool cancels(const struct flight *cancel, const struct flight *other) {
    if (cancel->kind == CANCEL_FD)
        return other->kind == ACCEPT && other->slot == cancel->slot;
    return other->op == cancel->target && other != cancel;
}

static int do_cancel(struct io *io, struct flight *flight) {
    int count = 0;
    for (unsigned i = 0; i < io->flights_count; i++) {
        if (!cancels(flight, &io->flights[i]))
            continue;
        io->flights[i].is_told_to_end = true;
        count++;
    }
    return flight->kind == CANCEL_FD ? count : count > 0 ? 0 : -ENOENT;
}

static int try_flight(struct io *io, struct flight *flight, unsigned *ret_flags) {
    if (flight->is_told_to_end && flight->kind != SEND)
        return -ECANCELED;
    switch (flight->kind) {
    case ACCEPT:
        return try_accept(io, flight);
    case INSTALL:
        return try_install(io, flight);
    case CONNECT:
        return try_connect(io, flight);
    case RECV:
        return try_recv(io, flight, ret_flags);
    case SEND:
        if (flight->is_told_to_end)
            return flight->moved > 0 ? (int)flight->moved : -ECANCELED;
        return try_send(io, flight);
    case SHUT:
        if (wire_at(io, flight->slot) != NULL)
            wire_we_shut(wire_at(io, flight->slot));
        return 0;
    case CANCEL:
    case CANCEL_FD:
        return do_cancel(io, flight);
    case CLOSE:
        return do_close(io, flight);
    case READ_FD: {
        struct pollfd poll_fd = {.fd = flight->slot, .events = POLLIN};
        bool is_ready = sim_once_in(4) && poll(&poll_fd, 1, 0) == 1;
        return is_ready ? (int)read(flight->slot, flight->into, flight->length) : -EAGAIN;
    }
    case NOP:
        return 0;
    }
    return 0;
}

static void look_at(struct io *io, unsigned index) {
    struct flight *flight = &io->flights[index];
    unsigned flags = 0;
    int result = try_flight(io, flight, &flags);
    if (result == -EAGAIN)
        return;
    struct completion *completion = &io->completions[io->completions_count++];
    *completion = (struct completion){flight->op, result, flags, flight->kind == RECV};
    io->flights[index] = io->flights[--io->flights_count];
}

/* Each operation about once, in any order; some are left for later. One number is drawn for each: which, and whether.
 */
void io_wait(struct io *io) {
    unsigned laziness = 1 + sim_below(4); /* one in so many is left */
    bool has_backlog = backlog != NULL;
    for (unsigned left = io->flights_count; left > 0 && io->flights_count > 0; left--) {
        uint64_t drawn = chance_bits(&sim_chance);
        unsigned index = (unsigned)((drawn >> 32) * io->flights_count >> 32);
        bool is_left = laziness > 1 && (drawn & 0xFFFF) * laziness < 0x10000;
        if (!is_left && (has_backlog || io->flights[index].kind != ACCEPT))
            look_at(io, index);
    }
}
