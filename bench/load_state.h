/* What the SMTP client load keeps: one thread, one ring. Shared by the files of the load only. */
#ifndef POSTERN_BENCH_LOAD_STATE_H
#define POSTERN_BENCH_LOAD_STATE_H

#include "bench/arrivals.h"
#include "bench/histogram.h"
#include "bench/sizes.h"
#include "bench/tls.h"
#include "lb/engine/conn.h"
#include "lb/engine/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where a session is: what it waits for. PHASE(name of its constant, name in the report) */
#define LOAD_PHASES(PHASE)                                                                                             \
    PHASE(AT_CONNECT, "connect")                                                                                       \
    PHASE(AT_GREETING, "greeting")                                                                                     \
    PHASE(AT_EHLO, "ehlo")                                                                                             \
    PHASE(AT_STARTTLS, "starttls")                                                                                     \
    PHASE(AT_HANDSHAKE, "handshake")                                                                                   \
    PHASE(AT_IDLE, "idle")                                                                                             \
    PHASE(AT_MAIL, "mail")                                                                                             \
    PHASE(AT_RCPT, "rcpt")                                                                                             \
    PHASE(AT_DATA, "data")                                                                                             \
    PHASE(AT_CONTENT, "content")                                                                                       \
    PHASE(AT_DOT, "dot")                                                                                               \
    PHASE(AT_QUIT, "quit")
enum phase {
#define PHASE(constant, name) constant,
    LOAD_PHASES(PHASE)
#undef PHASE
        PHASES
};

enum outcome {
    ACCEPTED,   /* every mail got its 250 */
    TEMPFAILED, /* a 4xx */
    REFUSED,    /* a 5xx */
    DROPPED,    /* closed or reset without a reply */
    TIMED_OUT,  /* nothing came within the patience */
    OUTCOMES
};

struct load_options {
    struct address target;
    struct cidr source; /* sessions connect from its addresses in turn; family 0 = the system's choice */
    unsigned sessions;
    double rate; /* sessions a second; 0 = closed loop */
    bool is_poisson;
    uint64_t seed;
    unsigned concurrency; /* of the closed loop */
    unsigned mails;       /* a session */
    struct sizes sizes;   /* of a mail's body */
    bool has_pipelining;
    unsigned starttls_percent;
    uint64_t patience_ms;
    uint64_t hold_ms;      /* idle sessions wait this long after EHLO instead of sending mail */
    uint64_t think_ms;     /* before each command */
    unsigned early_octets; /* said before the greeting */
    uint64_t send_rate;    /* octets a second of a slow client's content; 0 = as fast as it can */
    unsigned slow_percent; /* of clients; of the others nobody is slow */
    const char *ids;
};

/* Times in microseconds from when a session was due: a load that cannot keep up counts against who made it wait. */
struct load_result {
    uint64_t by_outcome[OUTCOMES];
    uint64_t by_phase[OUTCOMES][PHASES];
    uint64_t mails;
    uint64_t encrypted; /* sessions that spoke TLS */
    uint64_t started;
    uint64_t finished;
    uint64_t mail_octets; /* of the last mail sent, its header included */
    uint64_t mail_hash;
    double seconds;
    double cpu_us;
    char last_reply[200]; /* the last that was 4xx or 5xx */
    struct histogram connect, greeting, session;
};

struct load;

struct client {
    void *pool_link;
    struct load *load;
    struct conn conn;
    struct timer timer; /* the patience, the pace of a slow sender, a thought */
    struct tls *tls;
    enum phase phase;
    bool is_sending_body;
    bool is_thinking; /* the command is written and waits */
    bool is_slow;
    uint64_t scheduled_us;
    unsigned number;
    unsigned mails_left;
    const char *body; /* of the mail being sent, with the final dot */
    size_t body_octets;
    size_t body_sent;
    struct address source;
    unsigned line_length;
    char line[600];
    char command[256];
    unsigned command_length;
    char id[40];
};

struct load {
    struct io *io;
    /* A session is over, and its connection closed. */
    void (*on_client_end)(struct load *load, struct client *client);
    struct load_options options;
    struct load_result result;
    struct pool clients;
    struct arrivals arrivals;
    int pace_fd; /* a timerfd: finer than the ring's timers */
    struct op pace;
    struct timer retry; /* all clients are in use */
    struct op stop;     /* SIGTERM */
    uint64_t start_us;
    struct chance chance; /* of sizes */
    char *body;           /* the largest; smaller ones are its last part */
    size_t body_octets;
    struct tls_context *tls;
    FILE *ids;
    char last_header[256]; /* of the last mail sent; its body */
    const char *last_body;
    size_t last_body_octets;
};

#endif
