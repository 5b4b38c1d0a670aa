/* The other half of the simulated ring: completes what is in flight, in an order that is drawn, between two turns.
 * Operations that can't complete yet wait at what they wait for (a connection, a listener, an event) and cost nothing
 * until that changes. */
#include "tests/sim/ring.h"
#include "tests/sim/sim.h"

#include <errno.h>

int (*sim_on_connect)(const struct address *address, struct wire *wire);

unsigned sim_short_once_in;

struct backlog {
    struct wire *first, **end;
    struct flight *accepts; /* that wait */
};

struct event {
    bool is_raised;
    struct flight *reader;
};

static struct backlog backlogs[SIM_LISTENERS_MAX];
static struct event events[EVENTS_MAX];
static int events_count;

void kernel_begin(void) {
    for (unsigned i = 0; i < SIM_LISTENERS_MAX; i++)
        backlogs[i] = (struct backlog){.end = &backlogs[i].first};
    events_count = 0;
}

/* --- events: numbers from 1 --- */

int io_event_open(void) {
    if (events_count == EVENTS_MAX)
        return -EMFILE;
    events[events_count++] = (struct event){0};
    return events_count;
}

void io_event_raise(int fd) {
    events[fd - 1].is_raised = true;
    flight_rouse(&events[fd - 1].reader);
}

void io_event_close(int fd) {
    (void)fd;
}

/* --- who waits to be accepted --- */

void sim_knock(unsigned listener, struct wire *wire) {
    struct backlog *backlog = &backlogs[listener];
    wire->next = NULL;
    *backlog->end = wire;
    backlog->end = &wire->next;
    flight_rouse(&backlog->accepts);
}

unsigned sim_backlog(unsigned listener) {
    unsigned count = 0;
    for (const struct wire *wire = backlogs[listener].first; wire != NULL; wire = wire->next)
        count++;
    return count;
}

struct wire *sim_backlog_take(unsigned listener) {
    struct backlog *backlog = &backlogs[listener];
    struct wire *wire = backlog->first;
    if (wire == NULL)
        return NULL;
    backlog->first = wire->next;
    if (backlog->first == NULL)
        backlog->end = &backlog->first;
    return wire;
}

/* --- slots --- */

static struct wire *wire_at(struct io *io, int slot) {
    bool is_open = slot >= 0 && (unsigned)slot < io->slots_count && io->slots[slot].is_taken;
    return is_open ? io->slots[slot].wire : NULL;
}

/* The lowest free one, as the kernel does. */
static int take_slot(struct io *io, struct wire *wire) {
    for (unsigned i = 0; i < io->slots_count; i++) {
        if (io->slots[i].is_taken)
            continue;
        io->slots[i] = (struct slot){.is_taken = true, .wire = wire};
        return (int)i;
    }
    return -ENFILE;
}

void sim_kill(struct io *io) {
    for (unsigned i = 0; i < io->slots_count; i++) {
        struct wire *wire = io->slots[i].is_taken ? io->slots[i].wire : NULL;
        if (wire == NULL)
            continue;
        wire->reader = wire->writer = NULL;
        io->slots[i] = (struct slot){0};
        wire_we_close(wire);
    }
}

/* --- operations --- */

static int wait_at(struct flight *flight, struct flight **where) {
    flight->waits_at = where;
    flight->next_waiting = *where;
    if (*where != NULL)
        (*where)->waits_at = &flight->next_waiting;
    *where = flight;
    return -EAGAIN;
}

static int try_accept(struct io *io, struct flight *flight) {
    unsigned listener = (unsigned)(flight->slot - SIM_LISTENER);
    struct wire *wire = sim_backlog_take(listener);
    if (wire == NULL)
        return wait_at(flight, &backlogs[listener].accepts);
    int slot = take_slot(io, wire);
    *flight->peer = wire->their_address;
    *flight->peer_length = sizeof wire->their_address.in4;
    if (slot < 0)
        wire_we_close(wire); /* a full table drops the client */
    return slot;
}

static int try_install(struct io *io, struct flight *flight) {
    if (sim_no_socket_once_in != 0 && sim_once_in(sim_no_socket_once_in))
        return -ENFILE;
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
    wire->is_probes = io->is_managers;
    int result = sim_on_connect(flight->address, wire);
    if (result == 0) {
        wire->is_to_backend = true;
        io->slots[flight->slot].wire = wire;
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
    if (wire->to_us.length == 0) {
        int result = wire_we_read(wire, NULL, 0);
        return result == -EAGAIN ? wait_at(flight, &wire->reader) : result;
    }
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
    if (flight->moved == flight->length)
        return (int)flight->length;
    return result == 0 ? wait_at(flight, &wire->writer) : -EAGAIN;
}

static int do_close(struct io *io, struct flight *flight) {
    struct slot *slot = &io->slots[flight->slot];
    struct wire *wire = slot->wire;
    if (!slot->is_taken) {
        sim_broken("slot %d is closed twice", flight->slot);
        return 0;
    }
    if (slot->receives + slot->sends > 0)
        sim_broken("slot %d is closed under an operation in flight", flight->slot);
    *slot = (struct slot){0};
    if (wire != NULL)
        wire_we_close(wire);
    return 0;
}

static int cancel_accepts(struct io *io, int listener) {
    int count = 0;
    for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *other = &io->flights[i];
        if (other->op == NULL || other->kind != ACCEPT || other->slot != listener)
            continue;
        other->is_told_to_end = true;
        flight_make_ready(other);
        count++;
    }
    return count;
}

/* The target has completed by itself. Its completion then comes later than what the cancel is told, since a kernel that
 * has other work at hand may put it off: whoever asks again instead of awaiting it may ask for ever. */
static int miss(struct io *io, const struct op *target) {
    for (unsigned i = 0; i < io->completions_count; i++) {
        struct completion *completion = &io->completions[i];
        if (completion->op != target)
            continue;
        completion->is_late = true;
        if (++completion->missed_by > 1)
            sim_broken("a cancel that found nothing is tried again");
    }
    for (unsigned i = 0; i < io->waiting_count; i++)
        if (&io->waiting[i]->op == target)
            sim_broken("a cancel looks in the kernel for a receive that waits for a buffer");
    return -ENOENT;
}

static int do_cancel(struct io *io, struct flight *flight) {
    if (flight->kind == CANCEL_FD)
        return cancel_accepts(io, flight->slot);
    struct flight *other = flight_find(io, flight->target);
    if (other == NULL)
        return miss(io, flight->target);
    other->is_told_to_end = true;
    flight_make_ready(other);
    return 0;
}

static int read_event(struct flight *flight) {
    struct event *event = &events[flight->slot - 1];
    if (!event->is_raised)
        return wait_at(flight, &event->reader);
    event->is_raised = false;
    return sizeof(uint64_t);
}

/* A cancel may find that the operation completes after all. */
static int try_ending(struct io *io, struct flight *flight, unsigned *ret_flags) {
    bool is_too_late = sim_once_in(4);
    if (flight->kind == SEND)
        return flight->moved > 0 ? (int)flight->moved : -ECANCELED;
    if (flight->kind != RECV || !is_too_late || wire_at(io, flight->slot) == NULL ||
        wire_at(io, flight->slot)->to_us.length == 0)
        return -ECANCELED;
    return try_recv(io, flight, ret_flags);
}

static int try_flight(struct io *io, struct flight *flight, unsigned *ret_flags) {
    if (flight->is_told_to_end)
        return try_ending(io, flight, ret_flags);
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
    case READ_FD:
        return read_event(flight);
    case NOP:
        return 0;
    }
    return 0;
}

/* It is no longer looked at until what it waits for changes. */
static void lay_by(struct io *io, struct flight *flight) {
    io->ready[flight->place] = io->ready[--io->ready_count];
    io->ready[flight->place]->place = flight->place;
    flight->is_ready = false;
}

static void look_at(struct io *io, struct flight *flight) {
    unsigned flags = 0;
    int result = try_flight(io, flight, &flags);
    if (result == -EAGAIN) {
        if (flight->waits_at != NULL || flight->kind == CONNECT)
            lay_by(io, flight);
        return;
    }
    struct completion *completion = &io->completions[io->completions_count++];
    bool is_recv = flight->kind == RECV;
    *completion = (struct completion){
        .op = flight->op,
        .result = result,
        .flags = flags,
        .kind = flight->kind,
        .is_late = (is_recv || flight->kind == SEND) && sim_once_in(16) && result != -ENOBUFS,
    };
    flight_end(flight);
}

/* Receives that have got their turn for a buffer are tried at once. */
static void look_at_urgent(struct io *io) {
    for (unsigned i = io->ready_count; i-- > 0;) {
        struct flight *flight = io->ready[i];
        bool is_urgent = flight->is_urgent;
        flight->is_urgent = false;
        if (is_urgent)
            look_at(io, flight);
    }
}

/* Each operation about once, in any order; some are left for later. One number is drawn for each: which, and whether.
 */
void io_wait(struct io *io) {
    if (io->ready_count == 0)
        return;
    look_at_urgent(io);
    unsigned laziness = 1 + sim_below(4); /* one in so many is left */
    for (unsigned left = io->ready_count; left > 0 && io->ready_count > 0; left--) {
        uint64_t drawn = chance_bits(&sim_chance);
        unsigned index = (unsigned)((drawn >> 32) * io->ready_count >> 32);
        bool is_left = laziness > 1 && (drawn & 0xFFFF) * laziness < 0x10000;
        if (!is_left)
            look_at(io, io->ready[index]);
    }
}
