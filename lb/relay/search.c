/* The search for a backend: whom a session asks, in which order, and what becomes of what they answer. A failed attempt
 * only asks for the next choice, whose attempt answers in a later turn of the loop; until a complete 220 the client
 * notices nothing of it. */
#include "lb/engine/log.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* Asks for a backend of this tier; a suspect only when nobody else is there. */
static enum choice choose_in(struct session *session, const struct view_tier *tier, bool takes_suspects,
                             const struct view_member **ret_member) {
    struct worker *worker = session->worker;
    struct chooser chooser = {.worker = worker->index,
                              .tried = &session->tried,
                              .client = &session->client,
                              .random = chance_bits(&worker->chance),
                              .lacks_local = address_is_wildcard(session_local(session))};
    enum choice choice = view_choose(tier, &chooser, ret_member);
    if (choice == CHOICE_FOUND || !takes_suspects)
        return choice;
    chooser.takes_suspects = true;
    return view_choose(tier, &chooser, ret_member);
}

enum trial {
    TRIAL_BEGUN,
    TRIAL_WAITS,    /* some are full, or may come up at once */
    TRIAL_NONE,     /* every usable one was tried */
    TRIAL_SHORTAGE, /* our own: with no backend it would be otherwise */
};

/* Connects to a member of the tier. */
static enum trial try_tier(struct session *session, const struct view_tier *tier, bool takes_suspects,
                           struct attempt **ret_attempt) {
    struct worker *worker = session->worker;
    const struct view_member *member;
    enum choice choice;
    while ((choice = choose_in(session, tier, takes_suspects, &member)) == CHOICE_FOUND) {
        backend_set_add(&session->tried, member->backend);
        session->tries++;
        counter_add(&worker->counters.tries_total, 1);
        int result = attempt_start(session, member, ret_attempt);
        if (result == 0)
            return TRIAL_BEGUN;
        log_warning("session id=%llu server=%s not tried: %s", (unsigned long long)session->id, member->backend->name,
                    strerror(-result));
        if (is_shortage(result)) {
            attempt_spare_orphan(worker);
            return TRIAL_SHORTAGE;
        }
    }
    return choice == CHOICE_NONE ? TRIAL_NONE : TRIAL_WAITS;
}

void session_give_up_search(struct session *session, enum close_reason reason) {
    if (session->gate == NULL) {
        session_close(session, reason);
        return;
    }
    struct attempt *attempt = session->attempt, *hedge = session->hedge;
    session->attempt = session->hedge = NULL;
    attempt_give_up(attempt);
    attempt_give_up(hedge);
    gate_dialog_on_unreachable(session, reason);
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
        bool needs_gate = tier->config->gate && session->relay_ms == 0;
        if (needs_gate && tier->is_up) {
            gate_dialog_begin(session, i);
            return;
        }
        bool waits = needs_gate || queue_must_yield(session, tier);
        enum trial trial = waits ? TRIAL_WAITS : try_tier(session, tier, true, &session->attempt);
        if (trial == TRIAL_NONE)
            continue;
        if (trial == TRIAL_BEGUN)
            session_enter(session, SESSION_CONNECT);
        else if (trial == TRIAL_SHORTAGE)
            session_give_up_search(session, CLOSE_NO_ROOM);
        else if (!queue_join(session, tier, i))
            session_close(session, CLOSE_QUEUE_FULL);
        return;
    }
    if (session->gate != NULL || !session->was_refused_tier)
        session_give_up_search(session, CLOSE_NO_BACKEND);
    else if (view->config->gate.refuse == REFUSE_RCPT && session->relay_ms == 0)
        gate_dialog_begin_refusal(session);
    else
        session_close(session, session->tries > 0 ? CLOSE_UNVETTED_BEHIND_FAILURE : CLOSE_NOT_ADMITTED);
}

/* Of the descriptors in reserve, orphans and hedges take half at most: a hedge is a luxury, a refusal is not. */
static bool has_room_for_hedge(const struct worker *worker) {
    return worker->sessions.in_use + worker->attempts.in_use < 2 * worker->sessions_share + SLOTS_RESERVED / 2;
}

/* A second try beside the first, in the same tier. Of two that are both slow the older one goes. */
static void hedge(struct session *session) {
    if (!has_room_for_hedge(session->worker))
        return;
    const struct view_tier *tier = &session->worker->view->tiers[session->attempt->backend->tier];
    struct attempt *added;
    if (try_tier(session, tier, false, &added) != TRIAL_BEGUN)
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
            outcome_doubted(attempt);
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

/* Keeps in mind whose failure it was. */
static void note_failure(struct attempt *attempt, enum failure failure) {
    struct session *session = attempt->session;
    counter_add(&attempt_share(attempt)->failures_total, failure == FAILURE_OF_PEER || failure == FAILURE_SILENCE);
    switch (failure) {
    case FAILURE_OF_PEER:
        outcome_failed(session, attempt, (enum backend_step)attempt->step);
        break;
    case FAILURE_SILENCE:
        outcome_doubted(attempt);
        break;
    case FAILURE_SHORTAGE:
        attempt_spare_orphan(attempt->worker);
        break;
    case FAILURE_OF_NOBODY:
        break;
    }
}

void session_on_attempt_failed(struct attempt *attempt, enum failure failure, const char *why) {
    struct session *session = attempt->session;
    log_info("session id=%llu server=%s try=%u failed: %s", (unsigned long long)session->id, attempt->backend->name,
             session->tries, why);
    note_failure(attempt, failure);
    if (session->attempt == attempt)
        session->attempt = session->hedge;
    session->hedge = NULL;
    if (failure == FAILURE_OF_NOBODY) /* it has done nothing to be left without a word */
        attempt_leave(attempt);
    else
        attempt_close(attempt);
    if (session->attempt != NULL) {
        if (failure != FAILURE_SHORTAGE)
            hedge(session);
        return;
    }
    if (failure == FAILURE_SHORTAGE)
        session_give_up_search(session, CLOSE_NO_ROOM);
    else if (session->replays == REPLAYS_MAX)
        session_close(session, CLOSE_NO_REPLAY);
    else
        session_choose(session);
}

void session_search_elsewhere(struct session *session, const struct backend *backend) {
    struct attempt *hedge = session->hedge;
    if (hedge != NULL && hedge->backend == backend) {
        session->hedge = NULL;
        attempt_give_up(hedge);
        return;
    }
    struct attempt *left = session->attempt;
    session->attempt = hedge;
    session->hedge = NULL;
    attempt_give_up(left);
    if (session->attempt == NULL)
        session_choose(session);
}

/* The first complete 220 wins. */
static void commit_to(struct attempt *attempt) {
    struct session *session = attempt->session;
    struct attempt *loser = session->attempt == attempt ? session->hedge : session->attempt;
    session->attempt = attempt;
    session->hedge = NULL;
    if (loser != NULL) /* it was slower, and has not failed: a replay may still go to it */
        backend_set_remove(&session->tried, loser->backend);
    attempt_give_up(loser);
    attempt->is_committed = true;
    if (session->worker->shared->config->tiers[attempt->backend->tier].gate) /* by a replay, too */
        session_guard(session);
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
    counter_add(&session->worker->counters.relayed_total, 1);
    flow_fill(&session->flows[TO_CLIENT], attempt->greeting, 0, attempt->greeting_length);
    attempt->has_greeting = false;
    relay_begin(session);
}

void session_take_host_refusal(struct attempt *attempt, size_t from, size_t length) {
    struct session *session = attempt->session;
    struct attempt *other = session->attempt == attempt ? session->hedge : session->attempt;
    uint8_t reply[GREETING_BYTES_MAX];
    memcpy(reply, io_buffer(attempt->worker->io, attempt->greeting) + from, length);
    session->attempt = session->hedge = NULL;
    attempt_give_up(other);
    attempt_leave(attempt);
    gate_dialog_on_refusal(session, reply, length);
}

/* The refusal goes out by the same way as a reply of our own. */
void session_on_verdict(struct attempt *attempt) {
    struct session *session = attempt->session;
    if (session->gate != NULL) { /* another host of the tier would say the same */
        session_take_host_refusal(attempt, 0, attempt->parser.total_octets);
        return;
    }
    if (session->relay_ms != 0) { /* the client is in mid-dialog already */
        session_on_attempt_failed(attempt, FAILURE_OF_NOBODY, "it refuses this client");
        return;
    }
    commit_to(attempt);
    attempt->is_committed = false;
    session->last_words = attempt->greeting;
    session->last_words_length = attempt->parser.total_octets; /* what stands behind it is no reply */
    session->has_last_words = true;
    attempt->has_greeting = false;
    session->last_code = attempt->parser.code;
    session_close(session, CLOSE_BACKEND_REFUSED_CLIENT);
}
