/* Connections between postern ("us") and clients and backends ("them"), as the two kernels see them. */
#ifndef POSTERN_TESTS_SIM_NETWORK_H
#define POSTERN_TESTS_SIM_NETWORK_H

#include "lb/base/address.h"
#include "tests/sim/agents.h"

#include <stddef.h>

/* More than one receive of postern's takes. */
#define WIRE_OCTETS_MAX 20000u

struct flight;

/* Octets under way in one direction. */
struct half {
    unsigned room; /* what the reader's kernel takes */
    unsigned at, length;
    bool has_end; /* FIN behind what is there */
    uint8_t data[WIRE_OCTETS_MAX];
};

struct wire {
    struct wire *next; /* of the free ones, or of the backlog */
    bool we_hold, they_hold;
    bool is_to_backend, is_probes;
    bool we_are_reset, they_are_reset; /* an RST has come in there */
    bool reset_was_told;               /* to us, by one error */
    struct address their_address;
    struct agent *them;
    struct flight *reader, *writer; /* of ours, that wait for it */
    struct half to_us, to_them;
};

void wires_begin(void);
/* NULL when too many are open. Held by both ends. */
struct wire *wire_open(void);
/* Octets that the kernel takes, at most `length`; 0: none now; -EPIPE: it is gone. */
int wire_they_write(struct wire *wire, const void *data, size_t length);
/* Octets read; 0: the end; -EAGAIN: nothing yet; -ECONNRESET. */
int wire_they_read(struct wire *wire, void *data, size_t length);
void wire_they_shut(struct wire *wire);
void wire_they_close(struct wire *wire);
void wire_they_reset(struct wire *wire);
/* The same from our side, for the ring alone. */
int wire_we_write(struct wire *wire, const void *data, size_t length);
int wire_we_read(struct wire *wire, void *data, size_t length);
void wire_we_shut(struct wire *wire);
void wire_we_close(struct wire *wire);
/* But for those of probes. */
unsigned wires_open(void);

#endif
