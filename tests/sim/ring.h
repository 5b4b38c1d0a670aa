/* The simulated ring: io.h for postern (ring.c), and between two turns the kernel that completes what was asked for
 * (kernel.c). Each worker and the manager has one. */
#ifndef POSTERN_TESTS_SIM_RING_H
#define POSTERN_TESTS_SIM_RING_H

#include "lb/engine/io.h"
#include "lb/engine/starved.h"
#include "tests/sim/network.h"

#define FLIGHTS_MAX 4096u
#define FLIGHTS_MAP 16384u /* a power of two, far larger */
#define BULK_COUNT  8u
#define EVENTS_MAX  16u

enum kind { ACCEPT, INSTALL, CONNECT, RECV, SEND, SHUT, CANCEL, CANCEL_FD, CLOSE, READ_FD, NOP };

/* One operation. It is ready when it may complete, or waits where its `waits_at` is told. */
struct flight {
    struct op *op; /* NULL: free */
    struct io *io;
    struct flight *next_waiting; /* of accepts */
    enum kind kind;
    int slot; /* or a number */
    bool is_told_to_end, is_ready, is_urgent;
    unsigned place;           /* among the ready ones */
    struct flight **waits_at; /* what points to it while it waits for that to change */
    union {
        struct {
            const uint8_t *data;
            size_t length, moved;
        };
        struct {
            struct address *peer;
            socklen_t *peer_length;
        };
        const struct address *address;
        const struct op *target;
        int *fd;
        void *into;
    };
};

struct completion {
    struct op *op;
    int result;
    unsigned flags;
    enum kind kind;
    bool is_late;      /* it is on its way for a turn more, so that a cancel finds nothing and is told so first */
    uint8_t missed_by; /* cancels that found nothing since */
};

struct slot {
    struct wire *wire; /* NULL: not connected yet */
    bool is_taken;
    uint8_t receives, sends; /* in flight */
};

struct io {
    struct timers timers;
    uint64_t now_ms;
    struct slot *slots;
    unsigned slots_count;
    unsigned buffers_count, bulk_free_count, free_count, in_use;
    uint16_t *free_buffers;
    uint16_t bulk_free[BULK_COUNT];
    bool *is_lent; /* by id */
    uint8_t *memory, *bulk_memory;
    struct starved starved;
    struct flight *flights, *free_flights[FLIGHTS_MAX], *ready[FLIGHTS_MAX], **map;
    unsigned free_flights_count, ready_count;
    struct completion completions[FLIGHTS_MAX];
    unsigned completions_count;
    const struct recv_op *waiting[FLIGHTS_MAX]; /* those in `starved`, in the order in which they came */
    unsigned waiting_count;
    uint64_t turns, starved_total;
    unsigned vain_turns; /* in a row, in which it had something to do, and nothing came of it */
    bool is_hurried, may_begin_work, is_managers;
};

/* --- for the world --- */

/* The listening sockets have this number, and the following, one a worker. */
#define SIM_LISTENER      1000
#define SIM_LISTENERS_MAX 4
/* What a connection to a backend meets: 0, -ECONNREFUSED, or -EAGAIN: nothing, until it is cancelled. */
extern int (*sim_on_connect)(const struct address *address, struct wire *wire);
/* Of the sends to backends and receives from them one in so many fails for want of memory, which is nobody's fault but
 * postern's own; 0: none. */
extern unsigned sim_short_once_in;
/* Buffers that the next ring has, at most; 0: as many as it asks for. */
extern unsigned sim_buffers_max;
/* When a ring's deadlines pass, before and after; `expire_max` of them do at most. NULL: nobody looks. */
extern void (*sim_on_deadlines)(const struct io *io, unsigned expire_max, bool is_over);
/* A ring has dispatched all that its turn takes. */
extern void (*sim_on_work)(const struct io *io);
/* One socket in so many can't be made, or not be put into the table; 0: none. */
extern unsigned sim_no_socket_once_in;

/* A new world: no rings, nobody waits to be accepted. */
void kernel_begin(void);
/* A client has connected to that listener; `wire` waits for an accept. */
void sim_knock(unsigned listener, struct wire *wire);
/* Wires that wait there. */
unsigned sim_backlog(unsigned listener);
/* The first one that waits there, accepted by nobody any more; NULL: none. */
struct wire *sim_backlog_take(unsigned listener);
/* Operations in flight, but for accepts and reads of the mailbox. */
unsigned sim_in_flight(const struct io *io);
/* Its process has ended: the kernel closes what it had open. */
void sim_kill(struct io *io);
/* The ring has something to do now: operations that may complete, completions to run, or it has asked for a turn. */
bool sim_is_busy(const struct io *io);

/* --- between the two halves, and for the network --- */

struct flight *flight_find(const struct io *io, const struct op *op);
/* It may complete: looked at from now on. */
void flight_make_ready(struct flight *flight);
/* What it waited for has changed; *where is NULL then. */
static inline void flight_rouse(struct flight **where) {
    if (*where != NULL)
        flight_make_ready(*where);
}
/* It is over. */
void flight_end(struct flight *flight);
/* The buffer is somebody's from now on. */
void sim_lend(struct io *io, unsigned id);

#endif
