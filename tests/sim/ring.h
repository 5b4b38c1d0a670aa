/* The inside of the simulated ring, for its two halves: ring.c, which postern calls, and kernel.c, which completes. */
#ifndef POSTERN_TESTS_SIM_RING_H
#define POSTERN_TESTS_SIM_RING_H

#include "tests/sim/sim.h"

#define FLIGHTS_MAX 4096u
#define BULK_COUNT  8u

enum kind { ACCEPT, INSTALL, CONNECT, RECV, SEND, SHUT, CANCEL, CANCEL_FD, CLOSE, READ_FD, NOP };

struct flight {
    struct op *op;
    enum kind kind;
    int slot; /* or a number */
    bool is_told_to_end;
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
    bool is_recv;
};

struct sockets {
    unsigned count;
    struct wire **wires; /* by slot; NULL: free */
    bool *is_taken;
};

struct io {
    struct timers timers;
    uint64_t now_ms;
    struct sockets slots;
    unsigned buffers_count, bulk_free_count, free_count, in_use;
    uint16_t *free_buffers;
    uint16_t bulk_free[BULK_COUNT];
    bool is_lent[IO_BULK_FIRST + BULK_COUNT]; /* by id */
    uint8_t *memory, *bulk_memory;
    struct recv_op *starved, **starved_end; /* first in, first out */
    struct flight flights[FLIGHTS_MAX];
    unsigned flights_count;
    struct completion completions[FLIGHTS_MAX];
    unsigned completions_count;
    uint64_t turns, starved_total;
    bool is_hurried, may_begin_work;
};

/* --- ring.c --- */

/* The buffer is somebody's from now on. */
void sim_lend(struct io *io, unsigned id);

/* --- kernel.c --- */

/* Nobody waits to be accepted. */
void kernel_begin(void);

#endif
