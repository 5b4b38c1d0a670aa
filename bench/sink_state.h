/* What the fault-injecting SMTP backend keeps: one thread, one ring. Shared by the files of the sink only. */
#ifndef POSTERN_BENCH_SINK_STATE_H
#define POSTERN_BENCH_SINK_STATE_H

#include "bench/sink_fault.h"
#include "bench/tls.h"
#include "lb/engine/conn.h"
#include "lb/engine/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where in content the next octet stands; what follows BODY_DOT decides whether the dot is the last one. */
enum body_state { BODY_LINE_START, BODY_MIDDLE, BODY_DOT, BODY_DOT_CR };

enum proxy_expected { EXPECT_NONE, EXPECT_V1, EXPECT_V2 };

#define SINK_LINE_MAX   4096
#define SINK_OUTPUT_MAX 8192

struct sink;
struct manners;

struct sink_session {
    void *pool_link;
    struct sink *sink;
    struct conn conn;
    struct timer timer;
    struct tls *tls;          /* NULL: in clear */
    struct tls *starting_tls; /* once the 220 is sent */
    enum fault fault;
    char client[ADDRESS_TEXT_MAX];
    bool awaits_proxy;
    bool has_greeted;
    bool in_content; /* after DATA */
    bool in_body;    /* behind the content's header */
    bool in_chunk;
    bool chunk_is_last;
    bool closes_after_send;
    bool resumes_reading; /* the timer's: a slow reader goes on */
    bool is_thinking;     /* the timer's: before it says the next reply */
    bool has_waited;
    bool did_mail;
    bool has_shaken_hands;
    unsigned errors; /* unknown commands */
    enum body_state content_state;
    uint64_t chunk_left;
    uint64_t content_octets;
    uint64_t content_hash;
    unsigned drip_at;
    size_t line_length;
    size_t output_length;
    char id[128]; /* X-Bench-Id of the mail being received */
    char line[SINK_LINE_MAX];
    char output[SINK_OUTPUT_MAX];
};

struct sink_stats {
    uint64_t sessions, current, mails, octets, probes, faults, without_proxy, encrypted;
    uint64_t last_octets, last_hash;
    char last_client[ADDRESS_TEXT_MAX];
};

struct sink {
    struct io *io;
    const char *name;
    struct address address;
    int listen_fd; /* -1: refuses */
    struct op accept_op;
    bool accepts_direct; /* what is in flight */
    struct op cancel_op;
    struct address peer;
    socklen_t peer_length;
    enum fault fault;
    enum proxy_expected proxy;
    unsigned greeting_delay_ms;
    unsigned reply_delay_ms;
    uint64_t read_rate;      /* octets a second; 0 = as fast as it can */
    bool has_no_hash;        /* content is counted only: a hash costs more than all the rest of a large mail */
    struct tls_context *tls; /* STARTTLS is offered; NULL: it is not */
    FILE *ids;
    const char *offer;             /* one more keyword in replies to EHLO; NULL: none */
    const struct manners *manners; /* NULL: it never hangs up on a client */
    struct pool sessions;
    struct sink_stats stats;
    bool quits;
};

#endif
