/* Octets between a client and the backend it is committed to. Each direction has one buffer at most: received, looked
 * at by the observer, sent on, and only then is the next receive armed; so a slow reader slows its writer and memory
 * stays bounded whatever the two do. Octets are never rewritten.
 *
 * relay_pass() is the one place through which all octets go: it tells the observer and says how many may go on. */
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <errno.h>

static struct conn *source_of(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? &session->client_conn : &session->attempt->conn;
}

static struct conn *target_of(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? &session->attempt->conn : &session->client_conn;
}

/* Exactly one deadline runs: `client` while no reply is owed, `reply` while one is, `server` once content has begun.
 * Where the dialog can't be read (TLS) it is the largest. */
static uint64_t deadline_ms(const struct session *session) {
    const struct config_timeouts *timeouts = &session->worker->shared->config->timeouts;
    if (!dialog_is_clear(&session->dialog))
        return timeouts->client_ms > timeouts->server_ms ? timeouts->client_ms : timeouts->server_ms;
    if (!dialog_owes_reply(&session->dialog))
        return timeouts->client_ms;
    return session->dialog.has_passed_content ? timeouts->server_ms : timeouts->reply_ms;
}

static void restart_deadline(struct session *session) {
    session->active_ms = io_now_ms(session->worker->io);
    if (!session->backend_is_lost)
        timer_set(io_timers(session->worker->io), &session->deadline, session->active_ms + deadline_ms(session));
}

static void note_reply(struct session *session, const struct dialog_event *event) {
    session->last_code = event->code;
    bool ends_content = event->verb == AWAITED_DOT || event->verb == AWAITED_BDAT_LAST;
    if (ends_content && !event->is_unsolicited && event->code / 100 == 2)
        counter_add(&attempt_share(session->attempt)->mails, 1);
}

/* Shows octets to the observer; returns how many of them may go on now. */
static size_t relay_pass(struct session *session, enum direction direction, const uint8_t *data, size_t length) {
    size_t passed = 0;
    while (passed < length) {
        struct dialog_event event;
        size_t consumed = direction == TO_BACKEND
                              ? dialog_feed_client(&session->dialog, data + passed, length - passed, &event)
                              : dialog_feed_server(&session->dialog, data + passed, length - passed, &event);
        passed += consumed;
        if (event.kind == DIALOG_REPLY)
            note_reply(session, &event);
        if (event.kind == DIALOG_STARTTLS_BEHIND)
            session->has_talked_behind_starttls = true;
        if (event.kind == DIALOG_STARTTLS_BEHIND || event.kind == DIALOG_BLOCKED ||
            (consumed == 0 && event.kind == DIALOG_NONE))
            break;
    }
    return passed;
}

static void rearm(struct session *session, enum direction direction) {
    struct conn *source = source_of(session, direction);
    if (!source->recv_armed)
        conn_recv(source, false);
}

/* The client has half-closed. After QUIT the backend closes by itself and spares us the shutdown, which io_uring
 * hands to a kernel thread; otherwise it must learn that no more will come. */
static void pass_end_on(struct session *session) {
    if (!dialog_has_quit(&session->dialog))
        conn_shutdown_write(&session->attempt->conn);
    else
        timer_set(io_timers(session->worker->io), &session->deadline, io_now_ms(session->worker->io) + LINGER_TIME_MS);
}

/* Sends on what the flow's buffer holds, as far as the observer lets it. */
static void forward(struct session *session, enum direction direction) {
    struct flow *flow = &session->flows[direction];
    struct conn *target = target_of(session, direction);
    const uint8_t *data = io_buffer(target->io, flow->buffer) + flow->offset;
    size_t passed = relay_pass(session, direction, data, (size_t)(flow->length - flow->offset));
    if (session->has_talked_behind_starttls) {
        session_close(session, CLOSE_STARTTLS_BEHIND);
        return;
    }
    flow->blocked = passed == 0;
    if (passed == 0)
        return;
    flow->sending = (uint16_t)passed;
    conn_send(target, data, passed);
}

static void unblock(struct session *session, enum direction direction) {
    if (session->state == SESSION_RELAY && session->flows[direction].blocked)
        forward(session, direction);
}

static void on_source_end(struct session *session, enum direction direction, int result) {
    if (direction == TO_CLIENT) {
        if (result < 0)
            session_close(session, CLOSE_BACKEND_RESET);
        else if (session->last_code == 421)
            session_close(session, CLOSE_BACKEND_ENDED);
        else if (dialog_has_quit(&session->dialog) && session->last_code == 221)
            session_close(session, CLOSE_DONE);
        else if (session->flows[TO_BACKEND].at_end)
            session_close(session, CLOSE_CLIENT_CLOSED);
        else
            session_close(session, CLOSE_BACKEND_CLOSED);
    } else if (result < 0) {
        session_close(session, dialog_has_quit(&session->dialog) ? CLOSE_DONE : CLOSE_CLIENT_RESET);
    } else {
        session->flows[TO_BACKEND].at_end = true;
        pass_end_on(session);
    }
}

void relay_on_received(struct session *session, enum direction direction, int result) {
    struct flow *flow = &session->flows[direction];
    if (result <= 0) {
        on_source_end(session, direction, result);
        return;
    }
    flow->has_buffer = true;
    flow->buffer = source_of(session, direction)->received_buffer;
    flow->offset = 0;
    flow->length = (uint16_t)result;
    forward(session, direction);
    unblock(session, direction == TO_CLIENT ? TO_BACKEND : TO_CLIENT);
    if (session->state == SESSION_RELAY)
        restart_deadline(session);
}

static void count_sent(struct session *session, enum direction direction, unsigned octets) {
    struct backend_share *share = attempt_share(session->attempt);
    struct counters *counters = &session->worker->counters;
    session->flows[direction].bytes += octets;
    if (direction == TO_BACKEND) {
        counter_add(&share->bytes_in, octets);
        counter_add(&counters->bytes_in, octets);
    } else {
        counter_add(&share->bytes_out, octets);
        counter_add(&counters->bytes_out, octets);
    }
}

/* A backend that takes no more may have said why: what it said is still to be received and passed on before its end
 * is. */
static void on_target_lost(struct session *session, enum direction direction) {
    struct flow *flow = &session->flows[direction];
    if (direction == TO_CLIENT) {
        session_close(session, dialog_has_quit(&session->dialog) ? CLOSE_DONE : CLOSE_CLIENT_RESET);
        return;
    }
    io_buffer_release(session->worker->io, flow->buffer);
    flow->has_buffer = false;
    session->backend_is_lost = true;
    timer_set(io_timers(session->worker->io), &session->deadline, io_now_ms(session->worker->io) + LINGER_TIME_MS);
}

void relay_on_sent(struct session *session, enum direction direction, int result) {
    struct flow *flow = &session->flows[direction];
    if (result < 0) {
        on_target_lost(session, direction);
        return;
    }
    count_sent(session, direction, flow->sending);
    flow->offset += flow->sending;
    if (flow->offset < flow->length) {
        forward(session, direction);
        if (session->state == SESSION_RELAY)
            restart_deadline(session);
        return;
    }
    io_buffer_release(session->worker->io, flow->buffer);
    flow->has_buffer = false;
    if (direction == TO_CLIENT && session->is_shutting_down && dialog_is_between_transactions(&session->dialog)) {
        session_close(session, session->reason);
        return;
    }
    if (direction == TO_BACKEND && flow->at_end)
        pass_end_on(session);
    else
        rearm(session, direction);
    restart_deadline(session);
}

void relay_on_timeout(struct session *session) {
    if (session->backend_is_lost)
        session_close(session, CLOSE_BACKEND_RESET);
    else if (session->flows[TO_BACKEND].at_end && dialog_has_quit(&session->dialog))
        session_close(session, CLOSE_DONE);
    else if (dialog_owes_reply(&session->dialog))
        session_close(session, CLOSE_BACKEND_TIMEOUT);
    else
        session_close(session, CLOSE_CLIENT_TIMEOUT);
}

/* The greeting goes to the client, what it said too early to the backend. */
void relay_begin(struct session *session) {
    struct attempt *attempt = session->attempt;
    struct flow *flow = &session->flows[TO_CLIENT];
    flow->has_buffer = true;
    flow->buffer = attempt->greeting;
    flow->offset = 0;
    flow->length = attempt->greeting_length;
    attempt->has_greeting = false;
    forward(session, TO_CLIENT);
    if (session->flows[TO_BACKEND].has_buffer)
        forward(session, TO_BACKEND);
    else
        rearm(session, TO_BACKEND);
    if (session->state == SESSION_RELAY)
        restart_deadline(session);
}
