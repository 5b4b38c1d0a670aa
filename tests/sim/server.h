/* Backends and their processes, one a connection. The first part is for the world; the rest for the files server*.c. */
#ifndef POSTERN_TESTS_SIM_SERVER_H
#define POSTERN_TESTS_SIM_SERVER_H

#include "tests/sim/network.h"

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
    FAULT_STICKS,     /* reads and says nothing any more */
    FAULT_LEAVES,     /* behind its reply, in a moment, without a word */
    FAULT_AGREES,     /* says an unasked 250 in content */
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

/* What FAULT_AGREES says. */
#define SIM_AGREEMENT "as you like it"

/* Of the first tier, of the strict one, and what an operator adds. */
#define SIM_BACKENDS_MAX 8u

struct sim_backend {
    enum fault fault;
    enum stage stage;
    unsigned once_in;          /* connections that meet the fault */
    bool is_healthy;           /* never has one in this world */
    bool is_strict;            /* of the second tier */
    unsigned patience_ms;      /* with a client that says nothing; 0: endless */
    unsigned met;              /* sessions that met the fault while nothing was held against it */
    bool was_out;              /* the view has left it out since it was there */
    uint64_t sick_ms, well_ms; /* it has its fault between them */
    bool lacks_8bitmime;       /* in its offer */
};

extern struct sim_backend sim_backends[SIM_BACKENDS_MAX];
extern unsigned sim_backends_count;
void servers_begin(void);
int servers_on_connect(const struct address *address, struct wire *wire);
/* But for those that serve probes. */
unsigned servers_open(void);

/* --- the inside --- */

#define COMMAND_MAX 2200u
#define OUT_MAX     65536u

struct server {
    struct agent agent;
    struct server *next_free;
    bool is_open;
    struct wire *wire;
    unsigned number; /* its backend's */
    bool has_fault, is_probe;
    bool awaits_header, greets_at_once, has_client; /* PROXY */
    struct address client;
    bool has_greeted, is_silent, is_stuck, is_leaving, in_content, has_mail, is_in_tls;
    unsigned recipients;
    int mail; /* whose content it gets; -1: none yet */
    unsigned mail_lines;
    bool is_content_right;
    unsigned chunk_left; /* octets of BDAT */
    bool has_chunks, chunk_is_last;
    uint64_t leaves_ms;          /* 0: it stays */
    uint64_t greets_ms, mute_ms; /* it says nothing before */
    uint64_t active_ms;          /* when it last heard or said anything */
    unsigned line_length, out_at, out_length;
    char line[COMMAND_MAX];
    char out[OUT_MAX];
};

/* server.c */
unsigned server_id(const struct server *server);
struct sim_backend *server_backend(const struct server *server);
__attribute__((format(printf, 2, 3))) void server_say(struct server *server, const char *format, ...);
void server_put(struct server *server, const char *text, unsigned length);
/* The lines of a reply before its last, perhaps: more than anybody holds back. */
void server_talk_long(struct server *server);
void server_end(struct server *server, bool by_reset);
/* True when the fault has happened, in place of the reply. */
bool server_fails_at(struct server *server, enum stage stage);

/* server_smtp.c: one more octet of what its client says. */
void server_on_octet(struct server *server, char octet);

#endif
