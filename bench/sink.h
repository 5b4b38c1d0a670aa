/* The fault-injecting SMTP backend: one thread, one ring. Shared by the files of the sink only. */
#ifndef POSTERN_BENCH_SINK_H
#define POSTERN_BENCH_SINK_H

#include "bench/tls.h"
#include "lb/engine/conn.h"
#include "lb/engine/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum fault {
#define FAULT(name, text) FAULT_##name,
#include "bench/faults.def"
#undef FAULT
    FAULTS_COUNT
};

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

/* --- sink_session.c --- */
/* `fd` is a normal descriptor, or a slot of the ring's table. */
void sink_session_start(struct sink *sink, int fd, bool is_slot, const struct address *peer);
const char *fault_name(enum fault fault);
bool fault_parse(const char *name, enum fault *ret_fault);

/* A reply, at the end of those that wait to be sent. */
__attribute__((format(printf, 2, 3))) void sink_say(struct sink_session *session, const char *format, ...);
/* Counts that the session's fault has shown. */
void sink_misbehave(struct sink_session *session);
/* The same, and closes without a word. */
void sink_die(struct sink_session *session);

/* --- sink_content.c: each takes what it can of the content and returns how much that was --- */
void sink_content_begin(struct sink_session *session);
/* A line of the header, or as much of one as there was room for. */
/* No more replies, nor to what stands behind: that one would be taken for the first that is missing. */
void sink_fall_silent(struct sink_session *session);
void sink_content_line(struct sink_session *session, const char *line, size_t length, bool is_whole);
size_t sink_content_body(struct sink_session *session, const char *data, size_t length);
size_t sink_content_chunk(struct sink_session *session, const char *data, size_t length);
/* BDAT with its arguments. */
void sink_content_bdat(struct sink_session *session, const char *arguments);

/* --- sink_manners.c --- */
/* NULL: there are none of that name. */
const struct manners *sink_manners_find(const char *name);
/* True when this command was refused in words, which end the session. */
bool sink_refuses(struct sink_session *session, const char *line);
/* One more unknown command; true when it was one too many, which was said and ends the session. */
bool sink_has_had_enough(struct sink_session *session);

/* --- sink_control.c --- */
/* Listens on a UNIX socket for `fault NAME`, `stats`, `quit`. Returns 0 or -errno. */
int sink_control_start(struct sink *sink, const char *path);
/* Sends one command (words, ended by NULL) to a running sink and prints its answer. Returns an exit status. */
int sink_tell(const char *path, char *const *words);

/* --- sink.c --- */
void sink_set_fault(struct sink *sink, enum fault fault);

#endif
