/* The simulator: postern's own code between clients and backends that a seed draws, on a ring, a network and a clock of
 * its own. Shared by the files of this folder only. One thread, one world at a time. */
#ifndef POSTERN_TESTS_SIM_H
#define POSTERN_TESTS_SIM_H

#include "lb/base/address.h"
#include "lb/base/chance.h"
#include "lb/engine/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- chance.c: everything that is drawn comes from the seed --- */

extern struct chance sim_chance;
/* Evenly over 0 … limit − 1. */
unsigned sim_below(unsigned limit);
/* True once in `times`. */
bool sim_once_in(unsigned times);

/* --- trace.c: what happened, for a seed that fails; it takes the place of the log --- */

extern bool sim_is_verbose;
/* Begins a new trace. */
void sim_trace_begin(void);
__attribute__((format(printf, 1, 2))) void sim_trace(const char *format, ...);
/* An invariant is broken: prints what, and the trace's end. The seed has failed. */
__attribute__((format(printf, 1, 2))) void sim_broken(const char *format, ...);
bool sim_has_failed(void);

/* --- network.c: connections, as the two kernels see them --- */

#define WIRE_OCTETS_MAX 16384u

/* Octets under way in one direction. */
struct half {
    unsigned room; /* what the reader's kernel takes */
    unsigned length;
    bool has_end; /* FIN behind what is there */
    uint8_t data[WIRE_OCTETS_MAX];
};

/* A TCP connection between postern ("us") and a client or a backend ("them"). */
struct wire {
    struct wire *next; /* of the free ones, or of the backlog */
    bool we_hold, they_hold;
    bool is_to_backend;
    bool we_are_reset, they_are_reset; /* an RST has come in there */
    bool reset_was_told;               /* to us, by one error */
    struct address their_address;
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
unsigned wires_open(void);

/* --- ring.c: io.h --- */

/* The listening sockets of all worlds have this number. */
#define SIM_LISTENER 1000
/* What a connection to a backend meets: 0, -ECONNREFUSED, or -EAGAIN: nothing, until it is cancelled. */
extern int (*sim_on_connect)(const struct address *address, struct wire *wire);
/* A client has connected; `wire` waits for an accept. */
void sim_knock(struct wire *wire);
/* Of the sends to backends and receives from them one in so many fails for want of memory, which is nobody's fault but
 * postern's own; 0: none. */
extern unsigned sim_short_once_in;
/* Wires that wait there. */
unsigned sim_backlog(void);
uint64_t sim_now_ms(void);
void sim_set_now_ms(uint64_t now_ms);
/* Completions that the last turn has run. */
unsigned sim_completions(void);
/* Operations in flight, but for accepts and reads of the mailbox. */
unsigned sim_in_flight(const struct io *io);
/* The ring has asked for another turn at once. */
bool sim_is_hurried(const struct io *io);
/* Buffers that the next ring has, at most; 0: as many as it asks for. */
extern unsigned sim_buffers_max;

/* --- server.c: backends --- */

enum fault {
    FAULT_NONE,
    FAULT_REFUSES,
    FAULT_UNREACHABLE, /* no answer to the connection */
    FAULT_HANGS,       /* no greeting */
    FAULT_GREETS_421,
    FAULT_GREETS_554,
    FAULT_GREETS_GARBAGE,
    FAULT_GREETS_AND_LEAVES, /* 220 and 421 in one breath */
    FAULT_CLOSES,            /* those from here on happen at a stage */
    FAULT_RESETS,
    FAULT_SAYS_421,
    FAULT_IS_SILENT,
    FAULT_TALKS_GARBAGE,
    FAULT_BREAKS_OFF, /* the reply's beginning, then the end */
    FAULTS_COUNT
};

enum stage {
    STAGE_EHLO,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_DATA,
    STAGE_CONTENT,
    STAGE_DOT,
    STAGE_QUIT,
    STAGE_OTHER,
    STAGES_COUNT
};

#define SIM_BACKENDS_MAX 4u

struct sim_backend {
    enum fault fault;
    enum stage stage;
    unsigned once_in;     /* connections that meet the fault */
    bool is_healthy;      /* never has one in this world */
    unsigned patience_ms; /* with a client that says nothing; 0: endless */
    unsigned connections;
};

extern struct sim_backend sim_backends[SIM_BACKENDS_MAX];
extern unsigned sim_backends_count;
void servers_begin(void);
int servers_on_connect(const struct address *address, struct wire *wire);
/* Each does something, perhaps; true when one did. */
bool servers_act(void);
/* When the next one that waits for its time acts; UINT64_MAX: none does. */
uint64_t servers_next_ms(void);
unsigned servers_open(void);

/* --- mails.c: what is true of each mail --- */

#define MAIL_LINE_MAX 80u

struct mail {
    unsigned lines;
    unsigned accepted;   /* by backends */
    unsigned begun_at;   /* bits of backends that got an octet of its content */
    unsigned told;       /* what its client heard at the dot; 0: nothing */
    bool was_sent_whole; /* the client has sent its dot */
};

void mails_begin(void);
/* A new one; its number. */
unsigned mail_new(unsigned lines);
struct mail *mail_at(unsigned number);
/* The text of line `line` on the wire, with CRLF and stuffed dot; returns its length. */
size_t mail_line(unsigned number, unsigned line, char text[static MAIL_LINE_MAX]);
/* Holds what came of all mails against what was told. */
void mails_check(void);
unsigned mails_count(void);

/* --- script.c --- */

/* Some clients send their mails by BDAT. */
extern bool sim_has_chunks;

/* --- client.c --- */

void clients_begin(unsigned count);
bool clients_act(void);
uint64_t clients_next_ms(void);
/* Those that have not ended. */
unsigned clients_open(void);
/* No more of them come. */
unsigned clients_begun(void);
/* True when nothing but backends' faults can have cost a mail in this world: each mail of a polite client must be taken
 * then. */
extern bool sim_is_polite_served;

#endif
