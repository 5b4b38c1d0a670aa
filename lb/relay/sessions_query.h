/* A worker's sessions, for `show sessions` (sessions_query.c). */
#ifndef POSTERN_RELAY_SESSIONS_QUERY_H
#define POSTERN_RELAY_SESSIONS_QUERY_H

#include "backends/backend.h"
#include "lb/engine/mailbox.h"

#include <stdint.h>

struct worker;

/* One session as `show sessions` tells it: a copy, so that no worker waits for whoever prints it. */
struct session_row {
    uint64_t id;
    struct address client;
    char backend[BACKEND_NAME_MAX]; /* "" while none */
    char state[12];
    uint64_t age_ms;
    uint64_t idle_ms;
    uint64_t bytes_in;
    uint64_t bytes_out;
    unsigned tries;
};

#define SESSION_ROWS_MAX 64

/* A request for some sessions. The worker fills it in, and `reply` brings it back, to the manager's thread. */
struct sessions_query {
    struct message message;
    struct mailbox *reply;
    void (*on_reply)(struct message *message, void *receiver);
    unsigned from;                  /* in: where to go on; out: where the next query goes on, 0 at the end */
    char backend[BACKEND_NAME_MAX]; /* in: only sessions on this backend; "" = all */
    unsigned rows_count;            /* out */
    struct session_row rows[SESSION_ROWS_MAX];
};

/* From the manager. The query is the worker's until on_reply() is called with it. */
void worker_query_sessions(struct worker *worker, struct sessions_query *query);

#endif
