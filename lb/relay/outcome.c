/* What sessions tell the manager: of backends, whose failures are told only when the same dialog has come to a good end
 * elsewhere; and of clients, what was seen of them. Both go by bounded rings, and what finds no room is dropped and
 * counted. Owns session->outcome, whose blame is memory of a worker's pool. */
#include "lb/relay/outcome.h"

#include "lb/relay/attempt.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"
#include "lb/smtp/verdict.h"

static void tell(struct worker *worker, const struct outcome *outcome) {
    if (spsc_put(&worker->outcomes, outcome) && worker->shared->manager != NULL)
        mailbox_wake(worker->shared->manager);
}

/* --- backends --- */

void outcome_doubted(const struct attempt *attempt) {
    struct backend_share *share = attempt_share(attempt);
    uint64_t now = io_now_ms(attempt->worker->io);
    struct outcome outcome = {.backend_serial = attempt->backend->serial, .kind = OUTCOME_DOUBT};
    if (share->doubted_ms != 0 && now - share->doubted_ms < DOUBT_MS)
        return;
    share->doubted_ms = now;
    tell(attempt->worker, &outcome);
}

void outcome_left(const struct attempt *attempt) {
    tell(attempt->worker, &(struct outcome){.backend_serial = attempt->backend->serial, .kind = OUTCOME_LEFT});
}

void outcome_refused(const struct attempt *attempt) {
    if (attempt->backend->proxy == PROXY_NONE)
        tell(attempt->worker, &(struct outcome){.backend_serial = attempt->backend->serial, .kind = OUTCOME_REFUSED});
}

void outcome_passed(const struct attempt *attempt, enum backend_step step) {
    atomic_store_explicit(&attempt_share(attempt)->passed_ms[step], io_now_ms(attempt->worker->io),
                          memory_order_relaxed);
}

void outcome_begin(struct session *session) {
    session->relay.passed_step = STEP_GREETING;
}

void outcome_note_passed(struct session *session, enum backend_step step) {
    outcome_passed(session->search.attempt, step);
    if (step > session->relay.passed_step)
        session->relay.passed_step = (uint8_t)step;
}

void outcome_failed(struct session *session, const struct attempt *attempt, enum backend_step step, uint64_t since_ms) {
    const struct backend *backend = attempt->backend;
    outcome_doubted(attempt);
    struct blame *blame = session->outcome.blame;
    if (blame == NULL) {
        session->outcome.blame = blame = pool_get(&session->worker->blames);
        blame->count = 0; /* there are as many as sessions */
    }
    for (unsigned i = 0; i < blame->count; i++)
        if (blame->backends[i].serial == backend->serial)
            return;
    if (blame->count == BLAMED_MAX)
        return;
    blame->backends[blame->count].since_ms = since_ms;
    blame->backends[blame->count].serial = backend->serial;
    blame->backends[blame->count].step = (uint8_t)step;
    blame->backends[blame->count++].tier = (uint8_t)backend->tier;
}

void outcome_forget_blame(struct session *session) {
    if (session->outcome.blame != NULL)
        pool_put(&session->worker->blames, session->outcome.blame);
    session->outcome.blame = NULL;
}

void outcome_content_lost(struct session *session, const struct attempt *attempt) {
    struct outcome outcome = {.backend_serial = attempt->backend->serial,
                              .client_key = (uint32_t)client_key(&session->client.address),
                              .kind = OUTCOME_CONTENT_LOST,
                              .step = STEP_CONTENT};
    tell(session->worker, &outcome);
}

/* The mail was accepted by another one: who failed it is at fault. Only peers of the same tier are held to each other.
 */
static void convict(struct session *session) {
    const struct backend *better = session->search.attempt->backend;
    const struct blame *blame = session->outcome.blame;
    for (unsigned i = 0; i < blame->count; i++) {
        struct outcome outcome = {.since_ms = blame->backends[i].since_ms,
                                  .backend_serial = blame->backends[i].serial,
                                  .client_key = (uint32_t)client_key(&session->client.address),
                                  .kind = OUTCOME_CONVICTION,
                                  .step = blame->backends[i].step};
        if (outcome.backend_serial != better->serial && blame->backends[i].tier == better->tier)
            tell(session->worker, &outcome);
    }
    outcome_forget_blame(session);
}

/* The transaction came to nothing: perhaps it was what the others failed at. */
static void acquit_of_transaction(struct session *session) {
    struct blame *blame = session->outcome.blame;
    unsigned kept = 0;
    for (unsigned i = 0; i < blame->count; i++)
        if (blame->backends[i].step < STEP_MAIL)
            blame->backends[kept++] = blame->backends[i];
    blame->count = kept;
    if (kept == 0)
        outcome_forget_blame(session);
}

static void judge(struct session *session, const struct dialog_event *event) {
    bool is_good = event->code / 100 == 2;
    switch (event->verb) {
    case AWAITED_DOT:
    case AWAITED_BDAT_LAST:
        if (is_good)
            convict(session);
        else
            acquit_of_transaction(session);
        break;
    case VERB_EHLO:
    case VERB_HELO:
    case VERB_RSET:
        if (is_good)
            acquit_of_transaction(session);
        break;
    default:
        break;
    }
}

/* --- clients --- */

void outcome_note_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply,
                        size_t length) {
    struct seen *seen = &session->outcome.seen;
    if (session->outcome.blame != NULL)
        judge(session, event);
    switch (event->verb) {
    case AWAITED_DOT:
    case AWAITED_BDAT_LAST:
        seen->clean += event->code / 100 == 2 && seen->clean < UINT16_MAX;
        seen->rejected +=
            verdict_is_on_content(event->code, &event->enhanced, reply, length) && seen->rejected < UINT16_MAX;
        break;
    case VERB_RCPT:
        seen->recipients += seen->recipients < UINT16_MAX;
        seen->unknown +=
            verdict_is_unknown_recipient(event->code, &event->enhanced, reply, length) && seen->unknown < UINT16_MAX;
        break;
    default:
        break;
    }
}

void outcome_of_client(struct session *session) {
    const struct seen *seen = &session->outcome.seen;
    bool minds_early_talk = worker_minds_early_talk(session->worker);
    struct sighting sighting = {
        .key = reputation_key(&session->client.address),
        .host = reputation_host(&session->client.address),
        .clean = seen->clean,
        .rejected = seen->rejected,
        .recipients = seen->recipients,
        .unknown = seen->unknown,
        .has_talked_early = session->client.is_early_talker && minds_early_talk,
        .has_pipelined =
            session->client.dialog.has_pipelined || (session->client.dialog.has_pipelined_hello && minds_early_talk),
        .is_not_smtp = session->client.dialog.is_not_smtp,
        .needed_vetting = session->client.needed_vetting,
    };
    bool is_news = seen->clean > 0 || seen->rejected > 0 || seen->recipients > 0 || sighting.has_talked_early ||
                   sighting.has_pipelined || sighting.is_not_smtp || sighting.needed_vetting;
    if (is_news && !session->client.is_check && session->worker->shared->reputation != NULL)
        spsc_put(&session->worker->sightings, &sighting);
}
