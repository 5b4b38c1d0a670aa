/* The life of a session. session_enter() alone writes its state; session_close() is its only exit. Nothing here
 * recurses: a failed attempt only asks for the next choice, whose attempt answers in a later turn of the loop.
 *
 * Until a backend's 220 has gone to the client nothing is committed, so every failure before it is hidden by the next
 * backend. What the client says meanwhile is kept in the buffer of its flow TO_BACKEND. */
#include "lb/relay/session.h"

#include "lb/engine/log.h"
#include "lb/relay/worker_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {
    [SESSION_FREE] = "free",         [SESSION_ACCEPTED] = "accepted",
    [SESSION_PROXY_IN] = "proxy-in", [SESSION_QUEUED] = "queued",
    [SESSION_CONNECT] = "connect",   [SESSION_GREETING] = "greeting",
    [SESSION_RELAY] = "relay",       [SESSION_PARKED] = "parked",
    [SESSION_REPLAY] = "replay",     [SESSION_SWALLOWING] = "swallowing",
    [SESSION_REFUSING] = "refusing", [SESSION_LINGERING] = "lingering",
    [SESSION_CLOSING] = "closing",   [SESSION_GATE] = "gate",
};

#define TO(state) (1u << SESSION_##state)
#define SEARCH    (TO(QUEUED) | TO(CONNECT))
#define ENDS      (TO(SWALLOWING) | TO(REFUSING) | TO(LINGERING) | TO(CLOSING))
static const unsigned allowed_moves[] = {
    [SESSION_FREE] = TO(ACCEPTED),
    [SESSION_ACCEPTED] = TO(PROXY_IN) | SEARCH | TO(GATE) | ENDS,
    [SESSION_PROXY_IN] = SEARCH | TO(GATE) | ENDS,
    [SESSION_QUEUED] = SEARCH | TO(GATE) | ENDS,
    [SESSION_CONNECT] = SEARCH | TO(GREETING) | TO(RELAY) | TO(REPLAY) | TO(GATE) | ENDS, /* by a hedge */
    [SESSION_GREETING] = SEARCH | TO(RELAY) | TO(REPLAY) | TO(GATE) | ENDS,
    [SESSION_GATE] = SEARCH | TO(GATE) | ENDS,
    [SESSION_RELAY] = TO(PARKED) | SEARCH | ENDS,
    [SESSION_PARKED] = SEARCH | ENDS,
    [SESSION_REPLAY] = TO(RELAY) | SEARCH | TO(GATE) | ENDS,
    [SESSION_SWALLOWING] = TO(REFUSING) | TO(LINGERING) | TO(CLOSING),
    [SESSION_REFUSING] = TO(LINGERING) | TO(CLOSING),
    [SESSION_LINGERING] = TO(CLOSING),
    [SESSION_CLOSING] = TO(FREE),
};

const char *session_state_name(enum session_state state) {
    return state_names[state];
}

/* The deadline of the whole search runs on through CONNECT and GREETING; each try has its own in its attempt. */
static uint64_t state_deadline(const struct session *session, uint64_t now) {
    const struct config *config = session->worker->shared->config;
    uint64_t search_end = session->search_ms + SEARCH_TIME_MAX_MS;
    switch (session->state) {
    case SESSION_PROXY_IN:
        return now + session->listener->config->proxy_timeout_ms;
    case SESSION_QUEUED: {
        uint64_t queue_end = now + config->tiers[session->queue_tier].queue_timeout_ms;
        return queue_end < search_end ? queue_end : search_end;
    }
    case SESSION_CONNECT:
    case SESSION_GREETING:
        return search_end;
    case SESSION_PARKED:
        return now + config->timeouts.client_ms;
    case SESSION_REPLAY:
        return now + config->timeouts.reply_ms;
    case SESSION_SWALLOWING:
        return now + SWALLOW_QUIET_MS;
    case SESSION_REFUSING:
    case SESSION_LINGERING:
        return now + LINGER_TIME_MS;
    case SESSION_RELAY: /* relay.c sets it with every octet */
    case SESSION_GATE:
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_CLOSING:
        return 0;
    }
    return 0;
}

void session_enter(struct session *session, enum session_state state) {
    assert(allowed_moves[session->state] & (1u << state));
    log_debug("session id=%llu %s -> %s", (unsigned long long)session->id, state_names[session->state],
              state_names[state]);
    session->state = state;
    uint64_t deadline = state_deadline(session, io_now_ms(session->worker->io));
    if (deadline == 0)
        timer_cancel(&session->deadline);
    else
        timer_set(io_timers(session->worker->io), &session->deadline, deadline);
}

static void session_on_deadline(struct timer *timer) {
    struct session *session = container_of(timer, struct session, deadline);
    switch (session->state) {
    case SESSION_PROXY_IN:
        session_close(session, conn_waits_for_buffer(&session->client_conn) ? CLOSE_NO_MEMORY : CLOSE_PROXY_MISSING);
        break;
    case SESSION_QUEUED:
        session_close(session, CLOSE_QUEUE_TIMEOUT);
        break;
    case SESSION_CONNECT:
    case SESSION_GREETING:
        session_give_up_search(session, CLOSE_SEARCH_TIMEOUT);
        break;
    case SESSION_GATE:
        gate_dialog_on_timeout(session);
        break;
    case SESSION_RELAY:
        loss_on_timeout(session);
        break;
    case SESSION_PARKED:
        session_close(session, CLOSE_CLIENT_TIMEOUT);
        break;
    case SESSION_REPLAY:
        replay_on_timeout(session);
        break;
    case SESSION_SWALLOWING:
        session_refuse(session);
        break;
    case SESSION_REFUSING:
    case SESSION_LINGERING:
        session_end_lingering(session);
        break;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_CLOSING:
        break;
    }
}

/* --- what the client does before the relay --- */

void session_listen_early(struct session *session) {
    conn_recv_at_most(&session->client_conn, EARLY_BYTES_MAX + 1 - session->flows[TO_BACKEND].length);
}

/* Keeps what was said too early: appended to the flow's one buffer, at most EARLY_BYTES_MAX. */
static void keep_early(struct session *session, int length) {
    struct conn *conn = &session->client_conn;
    struct flow *flow = &session->flows[TO_BACKEND];
    session->is_early_talker = true;
    if ((unsigned)flow->length + (unsigned)length > EARLY_BYTES_MAX) {
        io_buffer_release(conn->io, conn->received_buffer);
        session_close(session, CLOSE_EARLY_TALK);
        return;
    }
    if (!flow->has_buffer) {
        flow->has_buffer = true;
        flow->buffer = conn->received_buffer;
    } else {
        memcpy(io_buffer(conn->io, flow->buffer) + flow->length, io_buffer(conn->io, conn->received_buffer),
               (size_t)length);
        io_buffer_release(conn->io, conn->received_buffer);
    }
    flow->length += (uint16_t)length;
    if (proxy_in_looks_like(io_buffer(conn->io, flow->buffer), flow->length)) {
        session_close(session, CLOSE_PROXY_UNLISTED);
        return;
    }
    session_listen_early(session);
}

static void on_early_input(struct session *session, int result) {
    if (result > 0) {
        keep_early(session, result);
    } else if (result == 0 && session->flows[TO_BACKEND].has_buffer) {
        session->flows[TO_BACKEND].at_end = true; /* a script that wrote all it has to say and waits for the answers */
    } else {
        session_close(session, is_shortage(result) ? CLOSE_CLIENT_STARVED : CLOSE_CLIENT_LEFT);
    }
}

static void on_received(struct session *session, int result) {
    switch (session->state) {
    case SESSION_PROXY_IN:
        proxy_in_on_received(session, result);
        break;
    case SESSION_QUEUED:
    case SESSION_CONNECT:
    case SESSION_GREETING:
        if (session->relay_ms != 0)
            replay_on_client(session, result);
        else
            on_early_input(session, result);
        break;
    case SESSION_PARKED:
    case SESSION_REPLAY:
        replay_on_client(session, result);
        break;
    case SESSION_RELAY:
        relay_on_received(session, TO_BACKEND, result);
        break;
    case SESSION_GATE:
        gate_dialog_on_received(session, result);
        break;
    case SESSION_SWALLOWING:
        session_on_swallowed(session, result);
        break;
    case SESSION_REFUSING:
    case SESSION_LINGERING:
        session_on_discarded(session, result);
        break;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_CLOSING:
        break;
    }
}

static bool is_vetted(const struct session *session) {
    struct workers_shared *shared = session->worker->shared;
    if (network_file_has_address(&atomic_load(&shared->access)->allowed, &session->client))
        return true;
    return shared->reputation != NULL &&
           reputation_table_is_vetted(&shared->reputation->table, reputation_key(&session->client),
                                      reputation_host(&session->client));
}

void session_admit(struct session *session) {
    session->search_ms = io_now_ms(session->worker->io);
    if (network_file_has_address(&atomic_load(&session->worker->shared->access)->denied, &session->client)) {
        session_close(session, CLOSE_DENIED);
        return;
    }
    session->is_vetted = is_vetted(session);
    session->worker->hedge_tokens += session->worker->hedge_tokens < HEDGE_TOKENS_MAX;
    session_choose(session);
}

/* The descriptor is in the table: now the session can hear and speak. */
static void begin(struct session *session) {
    const struct config_listen *listen = session->listener->config;
    conn_recv(&session->client_conn, false);
    if (session->worker->is_stopping) {
        session_close(session, CLOSE_STOPPING);
    } else if (cidr_list_contains(&listen->proxy_from, &session->client)) {
        session_enter(session, SESSION_PROXY_IN); /* too many or not: only the header tells a client from a check */
    } else if (!session->counts) {
        session_close(session, CLOSE_TOO_MANY_SESSIONS);
    } else {
        session_admit(session);
    }
}

static void on_sent(struct session *session, int result) {
    switch (session->state) {
    case SESSION_RELAY:
        relay_on_sent(session, TO_CLIENT, result);
        break;
    case SESSION_PARKED:
    case SESSION_REPLAY:
    case SESSION_QUEUED:
    case SESSION_CONNECT:
    case SESSION_GREETING:
        replay_on_client_sent(session, result);
        break;
    case SESSION_GATE:
        gate_dialog_on_sent(session, result);
        break;
    case SESSION_REFUSING:
        if (session->last_words_are_sent) {
            session_on_last_words_sent(session, result);
            break;
        }
        session_note_late_sent(session, result);
        session_send_last_words(session);
        break;
    case SESSION_SWALLOWING:
        session_note_late_sent(session, result);
        break;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_PROXY_IN:
    case SESSION_LINGERING:
    case SESSION_CLOSING:
        break;
    }
}

static void session_on_event(struct conn *conn, enum conn_event event, int result) {
    struct session *session = container_of(conn, struct session, client_conn);
    switch (event) {
    case CONN_OPENED:
        if (result == 0)
            begin(session);
        else
            session_close(session, CLOSE_NO_MEMORY);
        break;
    case CONN_RECEIVED:
        on_received(session, result);
        break;
    case CONN_SENT:
        on_sent(session, result);
        break;
    case CONN_SHUT:
        if (session->state == SESSION_LINGERING && !conn->recv_armed)
            conn_recv(conn, true);
        break;
    case CONN_CLOSED:
        session_finish(session);
        break;
    }
}

void session_init(struct session *session, struct worker *worker, const struct listener *listener) {
    memset(session, 0, sizeof *session);
    session->worker = worker;
    session->listener = listener;
    session->id = ++worker->next_id * worker->shared->workers_count + worker->index;
    session->accepted_ms = session->active_ms = io_now_ms(worker->io);
    session->deadline.expire = session_on_deadline;
    dialog_init(&session->dialog);
    replay_log_init(&session->log, &worker->replay_chunks);
    conn_init(&session->client_conn, worker->io, session_on_event);
}

void session_start(struct session *session, int slot, int fd) {
    session_enter(session, SESSION_ACCEPTED);
    if (slot < 0) {
        conn_adopt_fd(&session->client_conn, fd);
        return;
    }
    conn_adopt_slot(&session->client_conn, slot);
    begin(session);
}
