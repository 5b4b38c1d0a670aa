/* The worker's answer to `show sessions`: it copies some sessions into the query and sends it back, so that no worker
 * waits for the printing. Owns nothing; the query is the control socket's. */
#include "lb/relay/sessions_query.h"

#include "lb/relay/attempt.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <stdio.h>
#include <string.h>

static void describe(const struct session *session, struct session_row *row) {
    uint64_t now = io_now_ms(session->worker->io);
    *row = (struct session_row){
        .id = session->id,
        .client = session->client.address,
        .age_ms = now - session->client.accepted_ms,
        .idle_ms = now - session->relay.active_ms,
        .bytes_in = session->client.flows[TO_BACKEND].bytes,
        .bytes_out = session->client.flows[TO_CLIENT].bytes,
        .tries = session->search.tries,
    };
    snprintf(row->state, sizeof row->state, "%s", session_stage_name(session));
    if (session->search.attempt != NULL)
        snprintf(row->backend, sizeof row->backend, "%s", session->search.attempt->backend->name);
}

/* Looks at a bounded number of sessions in one turn; the manager asks on from `from`. */
#define SESSIONS_PER_QUERY 1024u

static void answer_query(struct message *message, void *receiver) {
    struct sessions_query *query = container_of(message, struct sessions_query, message);
    struct worker *worker = receiver;
    unsigned index = query->from;
    unsigned end = index + SESSIONS_PER_QUERY;
    query->rows_count = 0;
    for (; index < worker->sessions.touched && index < end && query->rows_count < SESSION_ROWS_MAX; index++) {
        const struct session *session = pool_at(&worker->sessions, index);
        if (session->stage == STAGE_FREE)
            continue;
        if (query->backend[0] != '\0' &&
            (session->search.attempt == NULL || strcmp(session->search.attempt->backend->name, query->backend) != 0))
            continue;
        describe(session, &query->rows[query->rows_count++]);
    }
    query->from = index < worker->sessions.touched ? index : 0;
    message->deliver = query->on_reply;
    mailbox_post(query->reply, message);
}

void worker_query_sessions(struct worker *worker, struct sessions_query *query) {
    query->message.deliver = answer_query;
    mailbox_post(&worker->mailbox, &query->message);
}
