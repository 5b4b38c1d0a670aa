/* The SMTP client load: one thread, one ring. Shared by the files of the load only. */
#ifndef POSTERN_BENCH_LOAD_H
#define POSTERN_BENCH_LOAD_H

#include "bench/histogram.h"
#include "lb/engine/conn.h"
#include "lb/engine/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where a session is: what it waits for. */
enum phase {
    AT_CONNECT,
    AT_GREETING,
    AT_EHLO,
    AT_IDLE,
    AT_MAIL,
    AT_RCPT,
    AT_DATA,
    AT_CONTENT,
    AT_DOT,
    AT_QUIT,
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
    double rate;          /* sessions a second; 0 = closed loop */
    unsigned concurrency; /* of the closed loop */
    unsigned mails;       /* a session */
    size_t size;          /* octets of a mail's body */
    uint64_t patience_ms;
    uint64_t hold_ms;      /* idle sessions wait this long after EHLO instead of sending mail */
    unsigned early_octets; /* said before the greeting */
    uint64_t send_rate;    /* octets a second of content; 0 = as fast as it can */
    const char *ids;
};

struct load_result {
    uint64_t by_outcome[OUTCOMES];
    uint64_t by_phase[OUTCOMES][PHASES];
    uint64_t mails;
    uint64_t started;
    uint64_t finished;
    uint64_t content_octets; /* of the last mail sent, its header included */
    char last_header[256];
    char last_reply[200]; /* the last that was 4xx or 5xx */
    struct histogram greeting, session;
};

struct load;

struct client {
    void *pool_link;
    struct load *load;
    struct conn conn;
    struct timer timer; /* the patience, or the pace of a slow sender */
    enum phase phase;
    bool is_sending_body;
    uint64_t scheduled_us;
    unsigned number;
    unsigned mails_left;
    uint64_t body_sent;
    uint64_t patience_until_ms;
    struct address source;
    unsigned line_length;
    char line[600];
    char command[256];
    char id[40];
};

struct load {
    struct io *io;
    struct load_options options;
    struct load_result result;
    struct pool clients;
    struct timer pace;
    uint64_t start_us;
    char *body;
    size_t body_octets;
    FILE *ids;
    unsigned held; /* idle sessions that have reached EHLO */
};

uint64_t load_now_us(void);
/* --- load_client.c --- */
void client_start(struct load *load, unsigned number, uint64_t scheduled_us);
/* --- load.c --- */
void load_on_client_end(struct load *load, struct client *client);

#endif
