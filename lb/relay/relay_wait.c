/* Who must do something next in the stage relay, and so whose deadline runs: exactly one does. What a deadline awaits
 * is one side's, and only that side's doing puts it off: a client that talks on does not put off the reply that is owed
 * to it, nor do words that nobody asked for put off the end of a silent client. relay.c calls it after whatever has
 * happened. */
#include "lb/relay/relay_wait.h"

#include "lb/relay/attempt.h"
#include "lb/relay/worker_private.h"

/* The rest of a line is the client's to say: that its octets are on their way to the backend gives it no new time. */
static bool is_mid_command(const struct session *session) {
    return session->client.dialog.line_octets > 0 && !dialog_is_in_content(&session->client.dialog);
}

static enum relay_wait waits_for(const struct session *session) {
    if (session->relay.backend_is_lost)
        return WAITS_FOR_LAST_WORDS;
    if (!dialog_is_clear(&session->client.dialog))
        return WAITS_FOR_ANYBODY;
    if (session->client.conn.send_armed && !session->relay.is_unasked)
        return WAITS_FOR_READER;
    if (dialog_awaits_server(&session->client.dialog))
        return WAITS_FOR_REPLY;
    return session->search.attempt->conn.send_armed && !is_mid_command(session) ? WAITS_FOR_TAKER : WAITS_FOR_CLIENT;
}

/* A client that has said QUIT and closed may hear nothing any more. */
static bool has_left_behind_quit(const struct session *session) {
    const struct dialog *dialog = &session->client.dialog;
    return session->client.flows[TO_BACKEND].at_end && dialog_has_quit(dialog) &&
           (dialog_only_quit_is_open(dialog) || !dialog_owes_reply(dialog));
}

static uint64_t reply_ms(const struct session *session) {
    const struct config_timeouts *timeouts = &session->worker->shared->config->timeouts;
    if (session->client.dialog.has_passed_content)
        return timeouts->server_ms;
    bool has_failed = atomic_load_explicit(&session->search.attempt->backend->has_failed, memory_order_relaxed);
    return has_failed && timeouts->reply_ms > REPLY_FROM_FAILED_MS ? REPLY_FROM_FAILED_MS : timeouts->reply_ms;
}

static uint64_t limit_ms(const struct session *session) {
    const struct config_timeouts *timeouts = &session->worker->shared->config->timeouts;
    bool is_last = session->relay.waits_for != WAITS_FOR_ANYBODY && has_left_behind_quit(session);
    if (is_last && timeouts->client_ms > LINGER_TIME_MS)
        return LINGER_TIME_MS;
    switch (session->relay.waits_for) {
    case WAITS_FOR_CLIENT:
    case WAITS_FOR_READER:
        return timeouts->client_ms;
    case WAITS_FOR_REPLY:
        return reply_ms(session);
    case WAITS_FOR_TAKER:
        return timeouts->server_ms;
    case WAITS_FOR_ANYBODY:
        return timeouts->client_ms > timeouts->server_ms ? timeouts->client_ms : timeouts->server_ms;
    case WAITS_FOR_LAST_WORDS:
        return LINGER_TIME_MS;
    }
    return timeouts->client_ms;
}

/* What is awaited has gone on, though it is not done. A whole command has a deadline, not each octet of it, and so has
 * a whole reply. */
static bool is_progress(const struct session *session, enum relay_event event) {
    switch (session->relay.waits_for) {
    case WAITS_FOR_CLIENT:
        return event == RELAY_CLIENT_SPOKE && session->client.dialog.line_octets == 0;
    case WAITS_FOR_READER:
        return event == RELAY_CLIENT_TOOK;
    case WAITS_FOR_TAKER:
        return event == RELAY_BACKEND_TOOK;
    case WAITS_FOR_ANYBODY:
        return true;
    case WAITS_FOR_REPLY: /* what a reply that has come changes is whom the session waits for */
    case WAITS_FOR_LAST_WORDS:
        return false;
    }
    return false;
}

/* The beginning of a reply, perhaps of a farewell: how long it was quiet before is told by what comes of it. */
static bool is_unfinished_reply(const struct session *session, enum relay_event event) {
    const struct flow *flow = &session->client.flows[TO_CLIENT];
    return event == RELAY_BACKEND_SPOKE && flow->shown > flow->cleared;
}

void relay_wait(struct session *session, enum relay_event event) {
    uint64_t now = io_now_ms(session->worker->io);
    enum relay_wait before = session->relay.waits_for;
    if (!is_unfinished_reply(session, event))
        session->relay.active_ms = now;
    session->relay.waits_for = waits_for(session);
    if (event == RELAY_BEGUN || session->relay.waits_for != before || is_progress(session, event))
        session->relay.waits_since_ms = now;
    timer_set(io_timers(session->worker->io), &session->deadline, session->relay.waits_since_ms + limit_ms(session));
}

enum stage_id relay_hurry(struct session *session) {
    uint64_t deadline = session->relay.waits_since_ms + limit_ms(session);
    if (deadline < session->deadline.deadline_ms)
        timer_set(io_timers(session->worker->io), &session->deadline, deadline);
    return STAGE_SAME;
}
