/* A session's tries at backends, one or two at a time, and which of them failed it. Owns session->search.attempt,
 * hedge, tried and tries: the attempt is the current try, in RELAY the backend's connection; the hedge is a second one
 * beside it, begun when the first is slow. search.c asks for tries; the view chooses the backend and takes its slot. */
#include "lb/relay/tries.h"

#include "lb/engine/log.h"
#include "lb/relay/outcome.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* Where the session goes on, by what the search was for. */
static const struct {
    enum stage_id found, nobody;
} ways[] = {
    [SEARCH_FOR_CLIENT] = {STAGE_RELAY, STAGE_ENDING},
    [SEARCH_FOR_GATE] = {STAGE_REPLAY, STAGE_GATE_UNREACHED},
    [SEARCH_FOR_LOST] = {STAGE_REPLAY, STAGE_ENDING},
};

enum stage_id tries_search(struct session *session, enum search_purpose purpose) {
    session->search.purpose = purpose;
    session->search.begun_ms = io_now_ms(session_io(session));
    return STAGE_SEARCH;
}

enum stage_id tries_found(const struct session *session) {
    return ways[session->search.purpose].found;
}

enum stage_id tries_found_nobody(struct session *session, enum close_reason reason) {
    session_expect_end(session, reason);
    return ways[session->search.purpose].nobody;
}

static enum choice choose_in(struct session *session, const struct view_tier *tier, bool takes_suspects,
                             const struct view_member **ret_member) {
    struct worker *worker = session->worker;
    struct chooser chooser = {.worker = worker->index,
                              .tried = &session->search.tried,
                              .client = &session->client.address,
                              .random = chance_bits(&worker->chance),
                              .lacks_local = address_is_wildcard(session_local(session))};
    enum choice choice = view_choose(tier, &chooser, ret_member);
    if (choice == CHOICE_FOUND || !takes_suspects)
        return choice;
    chooser.takes_suspects = true;
    return view_choose(tier, &chooser, ret_member);
}

enum trial tries_begin(struct session *session, const struct view_tier *tier, bool takes_suspects,
                       struct attempt **ret_attempt) {
    struct worker *worker = session->worker;
    const struct view_member *member;
    enum choice choice;
    while ((choice = choose_in(session, tier, takes_suspects, &member)) == CHOICE_FOUND) {
        backend_set_add(&session->search.tried, member->backend);
        session->search.tries++;
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

/* Of the descriptors in reserve, orphans and hedges take half at most: a hedge is a luxury, a refusal is not. */
static bool has_room_for_hedge(const struct worker *worker) {
    return worker->sessions.in_use + worker->attempts.in_use < 2 * worker->sessions_share + SLOTS_RESERVED / 2;
}

void tries_hedge(struct session *session) {
    if (!has_room_for_hedge(session->worker))
        return;
    const struct view_tier *tier = &session->worker->view->tiers[session->search.attempt->backend->tier];
    struct attempt *added;
    if (tries_begin(session, tier, false, &added) != TRIAL_BEGUN)
        return;
    if (session->search.hedge != NULL) {
        struct attempt *oldest = session->search.attempt;
        session->search.attempt = session->search.hedge;
        attempt_give_up(oldest);
    }
    session->search.hedge = added;
}

/* Keeps in mind whose failure it was. */
static void note_failure(struct attempt *attempt, enum failure failure) {
    counter_add(&attempt_share(attempt)->failures_total, failure == FAILURE_OF_PEER || failure == FAILURE_SILENCE);
    switch (failure) {
    case FAILURE_OF_PEER:
        outcome_failed(attempt->session, attempt, (enum backend_step)attempt->step, attempt->started_ms);
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

enum stage_id tries_failed(struct attempt *attempt, enum failure failure, const char *why) {
    struct session *session = attempt->session;
    log_info("session id=%llu server=%s try=%u failed: %s", (unsigned long long)session->id, attempt->backend->name,
             session->search.tries, why);
    note_failure(attempt, failure);
    if (session->search.attempt == attempt)
        session->search.attempt = session->search.hedge;
    session->search.hedge = NULL;
    if (failure == FAILURE_OF_NOBODY) /* it has done nothing to be left without a word */
        attempt_leave(attempt);
    else
        attempt_close(attempt);
    if (session->search.attempt == NULL)
        return failure == FAILURE_SHORTAGE ? tries_found_nobody(session, CLOSE_NO_ROOM) : STAGE_SEARCH;
    if (failure != FAILURE_SHORTAGE)
        tries_hedge(session);
    return STAGE_SAME;
}

void tries_win(struct attempt *attempt) {
    struct session *session = attempt->session;
    struct attempt *loser = session->search.attempt == attempt ? session->search.hedge : session->search.attempt;
    session->search.attempt = attempt;
    session->search.hedge = NULL;
    if (loser != NULL) /* it was slower, and has not failed: a replay may still go to it */
        backend_set_remove(&session->search.tried, loser->backend);
    attempt_give_up(loser);
    if (!session->client.has_greeted) { /* what failed before a long session has no bearing on its end */
        tries_forget_all(session);
        backend_set_add(&session->search.tried, attempt->backend);
    }
    counter_add(&attempt_share(attempt)->sessions_total, 1);
    outcome_begin(session);
}

void tries_give_up(struct session *session) {
    struct attempt *attempt = session->search.attempt, *hedge = session->search.hedge;
    session->search.attempt = session->search.hedge = NULL;
    attempt_give_up(attempt);
    attempt_give_up(hedge);
}

void tries_lose(struct session *session) {
    struct attempt *lost = session->search.attempt;
    session->search.attempt = NULL;
    attempt_close(lost);
}

void tries_forget(struct session *session, const struct backend *backend) {
    backend_set_remove(&session->search.tried, backend);
}

void tries_forget_all(struct session *session) {
    memset(&session->search.tried, 0, sizeof session->search.tried);
}

void tries_leave(struct attempt *attempt) {
    struct session *session = attempt->session;
    struct attempt *other = session->search.attempt == attempt ? session->search.hedge : session->search.attempt;
    session->search.attempt = session->search.hedge = NULL;
    attempt_give_up(other);
    attempt_leave(attempt);
}

void tries_take_words(struct attempt *attempt, size_t from, size_t length) {
    struct session *session = attempt->session;
    uint8_t *data = io_buffer(attempt->worker->io, attempt->greeting);
    memmove(data, data + from, length);
    session_take_last_words(session, attempt->greeting, (uint16_t)length);
    attempt->has_greeting = false;
}
