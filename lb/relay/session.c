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
    [SESSION_CLOSING] = "closing",   [SESSION_REFUSAL_DIALOG] = "refusal",
};

#define TO(state) (1u << SESSION_##state)
#define ENDS      (TO(SWALLOWING) | TO(REFUSING) | TO(LINGERING) | TO(CLOSING))
static const unsigned allowed_moves[] = {
    [SESSION_FREE] = TO(ACCEPTED),
    [SESSION_ACCEPTED] = TO(PROXY_IN) | TO(QUEUED) | TO(CONNECT) | TO(REFUSAL_DIALOG) | ENDS,
    [SESSION_PROXY_IN] = TO(QUEUED) | TO(CONNECT) | TO(REFUSAL_DIALOG) | ENDS,
    [SESSION_QUEUED] = TO(QUEUED) | TO(CONNECT) | TO(REFUSAL_DIALOG) | ENDS,
    [SESSION_CONNECT] =
        TO(QUEUED) | TO(CONNECT) | TO(GREETING) | TO(RELAY) | TO(REPLAY) | TO(REFUSAL_DIALOG) | ENDS, /* by a hedge */
    [SESSION_GREETING] = TO(QUEUED) | TO(CONNECT) | TO(RELAY) | TO(REPLAY) | TO(REFUSAL_DIALOG) | ENDS,
    [SESSION_REFUSAL_DIALOG] = ENDS,
    [SESSION_RELAY] = TO(PARKED) | TO(QUEUED) | TO(CONNECT) | ENDS,
    [SESSION_PARKED] = TO(QUEUED) | TO(CONNECT) | ENDS,
    [SESSION_REPLAY] = TO(RELAY) | TO(QUEUED) | TO(CONNECT) | ENDS,
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
    case SESSION_REFUSAL_DIALOG:
        return now + REFUSAL_IDLE_MS;
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
    case SESSION_PARKED:
    case SESSION_REFUSAL_DIALOG:
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

/* Asks for a backend of this tier; a suspect only when nobody else is there. */
static enum choice choose_in(struct session *session, const struct view_tier *tier, bool takes_suspects,
                             const struct view_member **ret_member) {
    struct worker *worker = session->worker;
    struct chooser chooser = {worker->index, &session->tried, &session->client, worker_random(worker), false};
    enum choice choice = view_choose(tier, &chooser, ret_member);
    if (choice == CHOICE_FOUND || !takes_suspects)
        return choice;
    chooser.takes_suspects = true;
    return view_choose(tier, &chooser, ret_member);
}

/* Connects to a member of the tier. Anything but CHOICE_FOUND: nobody was there. */
static enum choice try_tier(struct session *session, const struct view_tier *tier, bool takes_suspects,
                            struct attempt **ret_attempt) {
    const struct view_member *member;
    enum choice choice;
    while ((choice = choose_in(session, tier, takes_suspects, &member)) == CHOICE_FOUND) {
        backend_set_add(&session->tried, member->backend);
        session->tries++;
        counter_add(&session->worker->counters.tries, 1);
        int result = attempt_start(session, member, ret_attempt);
        if (result == 0)
            break;
        log_warning("session id=%llu server=%s not tried: %s", (unsigned long long)session->id, member->backend->name,
                    strerror(-result));
    }
    return choice;
}

/* Tiers in order of priority; a full tier never overflows into the next one (DESIGN §5). */
void session_choose(struct session *session) {
    const struct view *view = session->worker->view;
    for (unsigned i = 0; i < view->tiers_count; i++) {
        const struct view_tier *tier = &view->tiers[i];
        if (!tier->is_up && !tier->is_starting)
            continue;
        bool needs_vetting = tier->config->admit == ADMIT_VETTED;
        session->needed_vetting |= needs_vetting;
        if (needs_vetting && !session->is_vetted) {
            session->was_refused_tier = true;
            continue;
        }
        enum choice choice = try_tier(session, tier, true, &session->attempt);
        if (choice == CHOICE_FOUND) {
            session_enter(session, SESSION_CONNECT);
            return;
        }
        if (choice == CHOICE_NONE)
            continue;
        if (!queue_join(session, tier, i))
            session_close(session, CLOSE_QUEUE_FULL);
        return;
    }
    if (!session->was_refused_tier)
        session_close(session, CLOSE_NO_BACKEND);
    else if (view->config->gate.refuse == REFUSE_RCPT && session->relay_ms == 0)
        refusal_dialog_begin(session);
    else
        session_close(session, CLOSE_NOT_ADMITTED);
}

/* A second try beside the first, in the same tier. Of two that are both slow the older one goes. */
static void hedge(struct session *session) {
    const struct view_tier *tier = &session->worker->view->tiers[session->attempt->backend->tier];
    struct attempt *added;
    if (try_tier(session, tier, false, &added) != CHOICE_FOUND)
        return;
    if (session->hedge != NULL) {
        struct attempt *oldest = session->attempt;
        session->attempt = session->hedge;
        attempt_give_up(oldest);
    }
    session->hedge = added;
}

void session_on_slow(struct attempt *attempt) {
    struct session *session = attempt->session;
    struct worker *worker = session->worker;
    struct backend *backend = attempt->backend;
    bool greets_others = atomic_load(&backend->greeted_ms) >= attempt->started_ms;
    if (!greets_others) {
        if (!attempt->has_greeting) /* a 220- teaser is a sign of life, as postscreen gives it */
            outcome_failed(session, attempt);
        if (!atomic_exchange(&backend->is_suspect, true))
            log_warning("server %s is suspect: it has greeted nobody for %llums", backend->name,
                        (unsigned long long)worker->shared->config->timeouts.hedge_after_ms);
    } else if (worker->hedge_tokens < HEDGE_COST) {
        return;
    } else {
        worker->hedge_tokens -= HEDGE_COST;
    }
    if (attempt == session->hedge || session->hedge == NULL)
        hedge(session);
}

void session_on_attempt_failed(struct attempt *attempt, const char *why, bool is_fault) {
    struct session *session = attempt->session;
    counter_add(&attempt_share(attempt)->failures_total, 1);
    log_info("session id=%llu server=%s try=%u failed: %s", (unsigned long long)session->id, attempt->backend->name,
             session->tries, why);
    if (is_fault)
        outcome_failed(session, attempt);
    if (session->attempt == attempt)
        session->attempt = session->hedge;
    session->hedge = NULL;
    attempt->session = NULL;
    attempt_close(attempt);
    if (session->attempt != NULL)
        hedge(session);
    else if (session->replays == REPLAYS_MAX)
        session_close(session, CLOSE_NO_REPLAY);
    else
        session_choose(session);
}

/* The first complete 220 wins. */
static void commit_to(struct attempt *attempt) {
    struct session *session = attempt->session;
    struct attempt *loser = session->attempt == attempt ? session->hedge : session->attempt;
    session->attempt = attempt;
    session->hedge = NULL;
    attempt_give_up(loser);
    attempt->is_committed = true;
    if (session->relay_ms == 0) { /* what failed before a long session has no bearing on its end */
        memset(&session->tried, 0, sizeof session->tried);
        backend_set_add(&session->tried, attempt->backend);
    }
    counter_add(&attempt_share(attempt)->sessions_total, 1);
}

void session_on_greeting(struct attempt *attempt) {
    struct session *session = attempt->session;
    if (session->relay_ms != 0 && session->replays == REPLAYS_MAX) {
        session_close(session, CLOSE_NO_REPLAY);
        return;
    }
    commit_to(attempt);
    if (session->relay_ms != 0) {
        replay_on_greeting(session);
        return;
    }
    session->relay_ms = io_now_ms(session->worker->io);
    counter_add(&session->worker->counters.relayed, 1);
    flow_fill(&session->flows[TO_CLIENT], attempt->greeting, 0, attempt->greeting_length);
    attempt->has_greeting = false;
    relay_begin(session);
}

/* The refusal goes out by the same way as a reply of our own. */
void session_on_verdict(struct attempt *attempt) {
    struct session *session = attempt->session;
    if (session->relay_ms != 0) { /* the client is in mid-dialog already */
        session_on_attempt_failed(attempt, "it refuses this client", false);
        return;
    }
    commit_to(attempt);
    attempt->is_committed = false;
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
    case SESSION_REFUSAL_DIALOG:
        refusal_dialog_on_received(session, result);
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
           reputation_table_is_vetted(&shared->reputation->table, reputation_key(&session->client));
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
    if (!session->counts) {
        session_close(session, CLOSE_TOO_MANY_SESSIONS);
    } else if (cidr_list_contains(&listen->proxy_from, &session->client)) {
        session_enter(session, SESSION_PROXY_IN);
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
    case SESSION_REFUSAL_DIALOG:
        refusal_dialog_on_sent(session, result);
        break;
    case SESSION_REFUSING:
        if (!session->last_words_are_sent)
            session_send_last_words(session);
        else
            session_linger(session);
        break;
    case SESSION_FREE:
    case SESSION_ACCEPTED:
    case SESSION_PROXY_IN:
    case SESSION_SWALLOWING:
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
