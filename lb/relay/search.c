/* The stages search, connect and greeting: which tier a session asks, and what becomes of the answers of those that are
 * asked. A failed attempt only leads to the next choice, whose attempt answers in a later turn of the loop; until a
 * complete 220 the client notices nothing of it. Next come relay or a replay, the queue, or the end. tries.c makes the
 * attempts and remembers them. */
#include "lb/relay/search.h"

#include "lb/engine/log.h"
#include "lb/relay/client_limits.h"
#include "lb/relay/early.h"
#include "lb/relay/flow.h"
#include "lb/relay/outcome.h"
#include "lb/relay/queue.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* --- the choice --- */

static enum stage_id on_no_tier(struct session *session) {
    bool may_talk = session->worker->view->config->gate.refuse == REFUSE_RCPT && !session->client.has_greeted;
    if (session->search.purpose == SEARCH_FOR_GATE || !session->search.was_refused_tier)
        return tries_found_nobody(session, CLOSE_NO_BACKEND);
    if (may_talk)
        return STAGE_GATE_REFUSES;
    return session_end(session, session->search.tries > 0 ? CLOSE_UNVETTED_BEHIND_FAILURE : CLOSE_NOT_ADMITTED);
}

/* Asks a backend of this tier, or waits for one. STAGE_SAME: it has none. */
static enum stage_id choose_in(struct session *session, unsigned index) {
    const struct view_tier *tier = &session->worker->view->tiers[index];
    enum stage_id refused = client_limits_enter_tier(session, index);
    if (refused != STAGE_SAME)
        return refused;
    session->search.tier = (uint8_t)index;
    bool needs_gate = tier->config->gate && session->search.purpose == SEARCH_FOR_CLIENT;
    if (needs_gate && tier->is_up)
        return STAGE_GATE_OPENS;
    if (needs_gate || queue_must_yield(session, tier))
        return queue_join(session, tier);
    switch (tries_begin(session, tier, true, &session->search.attempt)) {
    case TRIAL_BEGUN:
        return STAGE_CONNECT;
    case TRIAL_SHORTAGE:
        return tries_found_nobody(session, CLOSE_NO_ROOM);
    case TRIAL_WAITS:
        return queue_join(session, tier);
    case TRIAL_NONE:
        break;
    }
    return STAGE_SAME;
}

/* Tiers in order of priority; a full tier never overflows into the next one (DESIGN §5). */
static enum stage_id choose(struct session *session) {
    const struct view *view = session->worker->view;
    if (session->replay.count == REPLAYS_MAX)
        return session_end(session, CLOSE_NO_REPLAY);
    for (unsigned i = 0; i < view->tiers_count; i++) {
        const struct view_tier *tier = &view->tiers[i];
        if (!tier->is_up && !tier->is_starting)
            continue;
        bool needs_vetting = tier->config->admit == ADMIT_VETTED;
        session->client.needed_vetting |= needs_vetting;
        if (needs_vetting && !session->client.is_vetted) {
            session->search.was_refused_tier = true;
            continue;
        }
        enum stage_id next = choose_in(session, i);
        if (next != STAGE_SAME)
            return next;
    }
    return on_no_tier(session);
}

/* --- what comes of it --- */

static void on_slow(struct attempt *attempt) {
    struct session *session = attempt->session;
    struct worker *worker = session->worker;
    struct backend *backend = attempt->backend;
    bool greets_others = atomic_load(&backend->greeted_ms) >= attempt->started_ms;
    if (!greets_others) {
        if (!attempt->has_greeting) /* a 220- teaser is a sign of life, as postscreen gives it */
            outcome_doubted(attempt);
        if (!atomic_exchange(&backend->is_suspect, true))
            log_warning("server %s is suspect: it has greeted nobody for %llums", backend->name,
                        (unsigned long long)worker->shared->config->timeouts.hedge_after_ms);
    } else if (worker->hedge_tokens < HEDGE_COST) {
        return;
    } else {
        worker->hedge_tokens -= HEDGE_COST;
    }
    if (attempt == session->search.hedge || session->search.hedge == NULL)
        tries_hedge(session);
}

static enum stage_id on_greeted(struct attempt *attempt) {
    struct session *session = attempt->session;
    tries_win(attempt);
    outcome_note_passed(session, STEP_GREETING);
    attempt->is_committed = true;
    if (session->worker->shared->config->tiers[attempt->backend->tier].gate) /* by a replay, too */
        session_guard(session);
    if (session->search.purpose == SEARCH_FOR_CLIENT) {
        session->client.has_greeted = true;
        session->client.greeted_ms = io_now_ms(session_io(session));
        counter_add(&session->worker->counters.relayed_total, 1);
        flow_fill(&session->client.flows[TO_CLIENT], attempt->greeting, 0, attempt->greeting_length);
        attempt->has_greeting = false;
    }
    return tries_found(session);
}

/* The refusal goes out by the same way as a reply of our own; what stands behind it is no reply. */
static enum stage_id on_verdict(struct attempt *attempt) {
    struct session *session = attempt->session;
    outcome_refused(attempt);
    if (session->search.purpose == SEARCH_FOR_CLIENT) {
        tries_win(attempt);
        session->client.last_code = attempt->parser.code;
        tries_take_words(attempt, 0, attempt->parser.total_octets);
        return session_end(session, CLOSE_BACKEND_REFUSED_CLIENT);
    }
    if (session->search.purpose == SEARCH_FOR_LOST) /* the client is in mid-dialog already */
        return tries_failed(attempt, FAILURE_OF_NOBODY, "it refuses this client");
    tries_take_words(attempt, 0, attempt->parser.total_octets); /* another host of the tier would say the same */
    tries_leave(attempt);
    return STAGE_GATE_OVERRULED;
}

static enum stage_id on_attempt(struct attempt *attempt, const struct attempt_news *news) {
    switch (news->event) {
    case ATTEMPT_CONNECTED:
        break;
    case ATTEMPT_SLOW:
        on_slow(attempt);
        break;
    case ATTEMPT_GREETED:
        return on_greeted(attempt);
    case ATTEMPT_REFUSED:
        return on_verdict(attempt);
    case ATTEMPT_FAILED:
        return tries_failed(attempt, news->failure, news->why);
    }
    return STAGE_SAME;
}

/* A hedge that has taken the place of a failed try may be connected already. */
static enum stage_id on_attempt_while_connecting(struct attempt *attempt, const struct attempt_news *news) {
    if (news->event == ATTEMPT_CONNECTED && attempt == attempt->session->search.attempt)
        return STAGE_GREETING;
    return on_attempt(attempt, news);
}

/* This backend is not to greet any more. */
static enum stage_id on_backend_shut_down(struct session *session, const struct backend *backend) {
    struct attempt *hedge = session->search.hedge;
    if (hedge != NULL && hedge->backend == backend) {
        session->search.hedge = NULL;
        attempt_give_up(hedge);
        return STAGE_SAME;
    }
    struct attempt *left = session->search.attempt;
    session->search.attempt = hedge;
    session->search.hedge = NULL;
    attempt_give_up(left);
    return session->search.attempt == NULL ? STAGE_SEARCH : STAGE_SAME;
}

/* --- the stages --- */

/* Of the whole search, through all its tries; each has its own. */
static uint64_t deadline_ms(const struct session *session, uint64_t now_ms) {
    (void)now_ms;
    return session->search.begun_ms + SEARCH_TIME_MAX_MS;
}

static enum stage_id on_timeout(struct session *session) {
    return tries_found_nobody(session, CLOSE_SEARCH_TIMEOUT);
}

#define FOUND (TO(RELAY) | TO(REPLAY) | TO(GATE_OVERRULED))
#define LOST  (TO(GATE_UNREACHED) | TO(ENDING))

const struct stage stage_search = {
    .name = "search",
    .moves = TO(QUEUED) | TO(CONNECT) | TO(GATE_OPENS) | TO(GATE_REFUSES) | LOST,
    .is_transient = true,
    .begin = choose,
};

const struct stage stage_connect = {
    .name = "connect",
    .moves = TO(GREETING) | TO(SEARCH) | FOUND | LOST, /* found by a hedge */
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = early_on_received,
    .on_sent = early_on_sent,
    .on_attempt = on_attempt_while_connecting,
    .on_backend_shut_down = on_backend_shut_down,
    .moment = session_may_end_now,
};

const struct stage stage_greeting = {
    .name = "greeting",
    .moves = TO(SEARCH) | FOUND | LOST,
    .deadline_ms = deadline_ms,
    .on_timeout = on_timeout,
    .on_received = early_on_received,
    .on_sent = early_on_sent,
    .on_attempt = on_attempt,
    .on_backend_shut_down = on_backend_shut_down,
    .moment = session_may_end_now,
};
