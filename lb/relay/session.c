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

static const struct {
    const char *name;
    const char *code;
    const char *reply;
    const char *text;
} reasons[] = {
#define REASON(name, code, reply, text) [CLOSE_##name] = {#name, code, reply, text},
#include "lb/relay/close_reasons.def"
#undef REASON
};

static const char *const state_names[] = {
    [SESSION_FREE] = "free",           [SESSION_ACCEPTED] = "accepted",     [SESSION_PROXY_IN] = "proxy-in",
    [SESSION_QUEUED] = "queued",       [SESSION_CONNECT] = "connect",       [SESSION_GREETING] = "greeting",
    [SESSION_RELAY] = "relay",         [SESSION_SWALLOWING] = "swallowing", [SESSION_REFUSING] = "refusing",
    [SESSION_LINGERING] = "lingering", [SESSION_CLOSING] = "closing",
};

#define TO(state) (1u << SESSION_##state)
#define ENDS      (TO(SWALLOWING) | TO(REFUSING) | TO(LINGERING) | TO(CLOSING))
static const unsigned allowed_moves[] = {
    [SESSION_FREE] = TO(ACCEPTED),
    [SESSION_ACCEPTED] = TO(PROXY_IN) | TO(QUEUED) | TO(CONNECT) | ENDS,
    [SESSION_PROXY_IN] = TO(QUEUED) | TO(CONNECT) | ENDS,
    [SESSION_QUEUED] = TO(QUEUED) | TO(CONNECT) | ENDS,
    [SESSION_CONNECT] = TO(QUEUED) | TO(CONNECT) | TO(GREETING) | ENDS,
    [SESSION_GREETING] = TO(QUEUED) | TO(CONNECT) | TO(RELAY) | ENDS,
    [SESSION_RELAY] = ENDS,
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
    case SESSION_SWALLOWING:
        return now + SWALLOW_QUIET_MS;
    case SESSION_REFUSING:
    case SESSION_LINGERING:
        return now + LINGER_TIME_MS;
    case SESSION_RELAY: /* relay.c sets it with every octet */
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

static void refuse(struct session *session);

static void session_on_deadline(struct timer *timer) {
    struct session *session = container_of(timer, struct session, deadline);
    switch (session->state) {
    case SESSION_PROXY_IN:
        session_close(session, CLOSE_PROXY_MISSING);
        break;
    case SESSION_QUEUED:
        session_close(session, CLOSE_QUEUE_TIMEOUT);
        break;
    case SESSION_CONNECT:
    case SESSION_GREETING:
        session_close(session, CLOSE_SEARCH_TIMEOUT);
        break;
    case SESSION_RELAY:
        relay_on_timeout(session);
        break;
    case SESSION_SWALLOWING:
        refuse(session);
        break;
    case SESSION_REFUSING:
    case SESSION_LINGERING:
        session_enter(session, SESSION_CLOSING);
        conn_close(&session->client_conn);
        break;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_CLOSING:
        break;
    }
}

/* --- the search for a backend --- */

/* Tiers in order of priority; a full tier never overflows into the next one (DESIGN §5). */
void session_choose(struct session *session) {
    struct worker *worker = session->worker;
    const struct view *view = worker->view;
    for (unsigned i = 0; i < view->tiers_count; i++) {
        const struct view_tier *tier = &view->tiers[i];
        if (!tier->is_up && !tier->is_starting)
            continue;
        if (tier->config->admit == ADMIT_VETTED && !session->is_vetted) {
            session->was_refused_tier = true;
            continue;
        }
        const struct view_member *member;
        enum choice choice;
        while ((choice = view_choose(tier, worker->index, &session->tried, &session->client, worker_random(worker),
                                     &member)) == CHOICE_FOUND) {
            backend_set_add(&session->tried, member->backend);
            session->tries++;
            counter_add(&worker->counters.tries, 1);
            int result = attempt_start(session, member);
            if (result == 0)
                return;
            log_warning("session id=%llu server=%s not tried: %s", (unsigned long long)session->id,
                        member->backend->name, strerror(-result));
        }
        if (choice == CHOICE_NONE)
            continue;
        if (!queue_join(session, tier, i))
            session_close(session, CLOSE_QUEUE_FULL);
        return;
    }
    session_close(session, session->was_refused_tier ? CLOSE_NOT_ADMITTED : CLOSE_NO_BACKEND);
}

void session_on_attempt_failed(struct session *session, const char *why) {
    struct attempt *attempt = session->attempt;
    session->attempt = NULL;
    counter_add(&attempt_share(attempt)->failures_total, 1);
    log_info("session id=%llu server=%s try=%u failed: %s", (unsigned long long)session->id, attempt->backend->name,
             session->tries, why);
    attempt->session = NULL;
    attempt_close(attempt);
    session_choose(session);
}

void session_on_greeting(struct session *session) {
    session->relay_ms = io_now_ms(session->worker->io);
    counter_add(&session->worker->counters.relayed, 1);
    counter_add(&attempt_share(session->attempt)->sessions_total, 1);
    session_enter(session, SESSION_RELAY);
    relay_begin(session);
}

/* The refusal goes out by the same way as a reply of our own. */
void session_on_verdict(struct session *session) {
    struct attempt *attempt = session->attempt;
    session->last_words = attempt->greeting;
    session->last_words_length = attempt->greeting_length;
    session->has_last_words = true;
    attempt->has_greeting = false;
    session->last_code = attempt->parser.code;
    session_close(session, CLOSE_BACKEND_REFUSED_CLIENT);
}

/* --- what the client does before the relay --- */

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
    conn_recv(conn, false);
}

static void on_early_input(struct session *session, int result) {
    if (result > 0) {
        keep_early(session, result);
    } else if (result == 0 && session->flows[TO_BACKEND].has_buffer) {
        session->flows[TO_BACKEND].at_end = true; /* a script that wrote all it has to say and waits for the answers */
    } else {
        session_close(session, CLOSE_CLIENT_LEFT);
    }
}

/* --- the end --- */

static void log_end(const struct session *session) {
    char client[ADDRESS_TEXT_MAX];
    const struct attempt *attempt = session->attempt;
    uint64_t now = io_now_ms(session->worker->io);
    const struct config *config = session->worker->shared->config;
    log_info(
        "session id=%llu client=%s listen=%s server=%s tier=%s tries=%u wait_ms=%lld time_ms=%llu in=%llu out=%llu "
        "mails=%u code=%u phase=%s vetted=%s end=%s reason=\"%s\"",
        (unsigned long long)session->id, address_format(&session->client, client), session->listener->config->name,
        attempt != NULL ? attempt->backend->name : "-",
        attempt != NULL ? config->tiers[attempt->backend->tier].name : "-", session->tries,
        session->relay_ms != 0 ? (long long)(session->relay_ms - session->accepted_ms) : -1,
        (unsigned long long)(now - session->accepted_ms), (unsigned long long)session->flows[TO_BACKEND].bytes,
        (unsigned long long)session->flows[TO_CLIENT].bytes, dialog_mails_accepted(&session->dialog),
        session->last_code, session->relay_ms != 0 ? dialog_phase_name(dialog_phase(&session->dialog)) : "-",
        session->is_vetted ? "yes" : "no", reasons[session->reason].code, reasons[session->reason].text);
}

static void linger(struct session *session) {
    session_enter(session, SESSION_LINGERING);
    conn_shutdown_write(&session->client_conn);
}

/* Behind the client's unfinished content or inside its TLS nothing of ours would be understood (DESIGN §5). */
static bool may_speak(const struct session *session) {
    if (session->has_last_words)
        return true;
    if (reasons[session->reason].reply[0] == '\0')
        return false;
    return session->relay_ms == 0 || dialog_is_clear(&session->dialog);
}

/* Our own reply, unless a backend's refusal already stands in the buffer. */
static void write_reply(struct session *session, unsigned buffer) {
    session->last_words = (uint16_t)buffer;
    session->has_last_words = true;
    session->last_code = 421;
    counter_add(&session->worker->counters.refused, 1);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    session->last_words_length =
        (uint16_t)snprintf((char *)io_buffer(session->worker->io, buffer), IO_BUFFER_SIZE,
                           reasons[session->reason].reply, session->worker->shared->config->global.hostname);
#pragma GCC diagnostic pop
}

static void send_last_words(struct session *session) {
    struct conn *conn = &session->client_conn;
    unsigned buffer;
    if (!session->has_last_words && io_buffer_take(conn->io, &buffer))
        write_reply(session, buffer);
    if (!session->has_last_words) {
        linger(session);
        return;
    }
    session->last_words_are_sent = true;
    session->flows[TO_CLIENT].bytes += session->last_words_length;
    conn_send(conn, io_buffer(conn->io, session->last_words), session->last_words_length);
}

static void release_flow(struct session *session, struct flow *flow) {
    if (flow->has_buffer)
        io_buffer_release(session->worker->io, flow->buffer);
    flow->has_buffer = false;
}

/* What the attempt is still sending belongs to it from now on. */
static void part_from_attempt(struct session *session) {
    struct flow *flow = &session->flows[TO_BACKEND];
    struct attempt *attempt = session->attempt;
    if (attempt != NULL && attempt->conn.send_armed && flow->has_buffer && !attempt->has_buffer) {
        attempt->buffer = flow->buffer;
        attempt->has_buffer = true;
        flow->has_buffer = false;
    }
    session->attempt = NULL;
    attempt_give_up(attempt);
    release_flow(session, flow);
}

/* After a client that has nothing more to say, or that we do not talk to, a plain close is enough. In all other cases
 * unread input would turn the close into a RST that can eat the backend's last words. */
static bool closes_plainly(const struct session *session) {
    switch (session->reason) {
    case CLOSE_DONE:
    case CLOSE_CLIENT_CLOSED:
    case CLOSE_CLIENT_RESET:
    case CLOSE_CLIENT_LEFT:
    case CLOSE_PROXY_MALFORMED:
    case CLOSE_PROXY_TOO_LONG:
    case CLOSE_PROXY_MISSING:
    case CLOSE_PROXY_CLOSED:
    case CLOSE_PROXY_UNLISTED:
        return true;
    default:
        return !conn_is_open(&session->client_conn);
    }
}

/* Our last words, behind what is still being sent; where SMTP allows none, only the half-close. */
static void refuse(struct session *session) {
    if (!may_speak(session)) {
        linger(session);
        return;
    }
    session_enter(session, SESSION_REFUSING);
    if (!session->client_conn.send_armed)
        send_last_words(session);
}

/* The client reads no reply before it has sent all of its content, so that is read and thrown away first. */
static void swallow_content(struct session *session) {
    session_enter(session, SESSION_SWALLOWING);
    if (!session->client_conn.recv_armed)
        conn_recv(&session->client_conn, true);
}

static void on_swallowed(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (result <= 0) {
        session_enter(session, SESSION_CLOSING);
        conn_close(conn);
        return;
    }
    const uint8_t *data = io_buffer(conn->io, conn->received_buffer);
    dialog_feed_client(&session->dialog, data, (size_t)result, &event);
    io_buffer_release(conn->io, conn->received_buffer);
    session->discarded_bytes += (uint64_t)result;
    uint64_t limit = session->worker->shared->config->gate.message_bytes_max + SWALLOW_EXTRA_BYTES;
    if (event.kind == DIALOG_UNTRUSTED) {
        linger(session);
    } else if (event.kind == DIALOG_CONTENT_END || session->discarded_bytes > limit) {
        session->discarded_bytes = 0;
        refuse(session);
    } else {
        timer_set(io_timers(conn->io), &session->deadline, io_now_ms(conn->io) + SWALLOW_QUIET_MS);
        conn_recv(conn, true);
    }
}

void session_close(struct session *session, enum close_reason reason) {
    if (session->state >= SESSION_SWALLOWING)
        return;
    session->reason = reason;
    queue_leave(session);
    log_end(session);
    if (closes_plainly(session)) {
        session_enter(session, SESSION_CLOSING);
        conn_close(&session->client_conn);
    } else if (session->relay_ms != 0 && dialog_is_in_content(&session->dialog)) {
        swallow_content(session);
    } else {
        refuse(session);
    }
    part_from_attempt(session);
}

void session_shut_down(struct session *session, enum close_reason reason) {
    if (session->state >= SESSION_SWALLOWING)
        return;
    if (session->state != SESSION_RELAY || dialog_is_between_transactions(&session->dialog)) {
        session_close(session, reason);
        return;
    }
    session->is_shutting_down = true;
    session->reason = reason;
}

static void session_finish(struct session *session) {
    struct worker *worker = session->worker;
    release_flow(session, &session->flows[TO_BACKEND]);
    release_flow(session, &session->flows[TO_CLIENT]);
    if (session->has_last_words)
        io_buffer_release(worker->io, session->last_words);
    timer_cancel(&session->deadline);
    session_enter(session, SESSION_FREE);
    worker_release_session(session);
}

static void discard_input(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    if (result > 0) {
        io_buffer_release(conn->io, conn->received_buffer);
        session->discarded_bytes += (uint64_t)result;
    }
    if (result > 0 && session->discarded_bytes <= LINGER_BYTES_MAX) {
        conn_recv(conn, false);
    } else if (session->state == SESSION_LINGERING) {
        session_enter(session, SESSION_CLOSING);
        conn_close(conn);
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
        on_early_input(session, result);
        break;
    case SESSION_RELAY:
        relay_on_received(session, TO_BACKEND, result);
        break;
    case SESSION_SWALLOWING:
        on_swallowed(session, result);
        break;
    case SESSION_REFUSING:
    case SESSION_LINGERING:
        discard_input(session, result);
        break;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_CLOSING:
        break;
    }
}

void session_admit(struct session *session) {
    session->search_ms = io_now_ms(session->worker->io);
    session->is_vetted = cidr_list_contains(session->worker->shared->allowed, &session->client);
    session_choose(session);
}

/* The descriptor is in the table: now the session can hear and speak. */
static void begin(struct session *session) {
    const struct config_listen *listen = session->listener->config;
    conn_recv(&session->client_conn, false);
    if (!session->counts) {
        session_close(session, CLOSE_TOO_MANY_SESSIONS);
    } else if (cidr_list_contains(&listen->proxy_from, &session->client)) {
        session_enter(session, SESSION_PROXY_IN);
    } else {
        session_admit(session);
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
        if (session->state == SESSION_RELAY)
            relay_on_sent(session, TO_CLIENT, result);
        else if (session->state == SESSION_REFUSING && !session->last_words_are_sent)
            send_last_words(session);
        else if (session->state == SESSION_REFUSING)
            linger(session);
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
