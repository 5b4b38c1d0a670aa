/* A mail server that answers and ends as a test says, on a thread a connection: a backend, or what stands behind a
 * host. What no rule is for it answers as any server does. Where the test says each word itself, talk.h is enough. */
#ifndef POSTERN_TESTS_SCRIPTED_H
#define POSTERN_TESTS_SCRIPTED_H

#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum scripted_end {
    GOES_ON,
    HANGS_UP, /* behind the reply */
    RESETS,
    FALLS_SILENT, /* for the rest of the session: what is said next is no answer to it */
};

struct scripted_rule {
    const char *line;  /* the beginning of a client's line; "EOF": its end; "GREETING": the greeting */
    const char *reply; /* "": nothing */
    enum scripted_end end;
    unsigned quiet_ms; /* from the reply to the line before it says this unasked; then `line` is that line */
};

/* What a client with more sessions than so many, at once or in all (0: as many as it likes), hears instead. */
struct scripted_limit {
    struct scripted_rule rule; /* its `line` NULL: there is no limit */
    unsigned at_once, in_all;
};

struct scripted_client {
    char address[46];
    unsigned at_once, in_all;
};

#define SCRIPTED_CLIENTS_MAX 2048u
#define SCRIPTED_RULES_MAX   8u
#define SCRIPTED_TOLD_MAX    131072u

struct scripted {
    unsigned port;
    int fd;
    /* The first that fits holds. A rule is given before the connection that it is for begins, or by scripted_rule();
     * `line` NULL ends them. */
    struct scripted_rule rules[SCRIPTED_RULES_MAX + 1];
    /* Each connection begins with a header of PROXY version 1. 127.0.0.1, which probes, is under no limit. A change
     * holds for connections that begin after it. */
    bool takes_proxy;
    struct scripted_limit limit;
    atomic_uint limited; /* what the limit has answered */
    struct scripted_client clients[SCRIPTED_CLIENTS_MAX];
    unsigned piece;          /* octets in a segment of what it says; 0: whole replies */
    atomic_bool is_held;     /* it says nothing meanwhile */
    atomic_uint greeting_ms; /* it waits so long before each greeting */
    atomic_uint mails;       /* taken with a 2xx */
    atomic_uint sessions;    /* begun, probes among them */
    atomic_uint replies;     /* that it has said */
    atomic_uint ended;       /* of these, by whomever */
    /* All that it was told, where it is asked by one session at a time. */
    char told[SCRIPTED_TOLD_MAX];
    atomic_size_t told_length;
    char commands[SCRIPTED_TOLD_MAX]; /* the same of all sessions, without content */
    size_t commands_length;
    pthread_mutex_t lock; /* of the rules, clients, told and the commands */
};

void scripted_begin(struct scripted *scripted);
void scripted_end(struct scripted *scripted);

/* From now on this rule stands before all others; its texts stay the caller's. */
void scripted_rule(struct scripted *scripted, struct scripted_rule rule);
/* From now on `line` (as in a rule) is answered with `reply` ("" is silence, 421 and 221 hang up), whatever other rules
 * are there; both stay the caller's. */
void scripted_answer(struct scripted *scripted, const char *line, const char *reply);
/* It answers as any server does again. */
void scripted_forget(struct scripted *scripted);
/* How many commands held `text`. */
unsigned scripted_heard(struct scripted *scripted, const char *text);

/* Forgets what it was told. */
void scripted_begin_anew(struct scripted *scripted);
/* All that it was told is this; `what` for the failure's text. */
void scripted_expect_told(struct scripted *scripted, const char *wanted, const char *what);

#endif
