/* What sessions tell. Successes of backends need no message: they are counted in the backend's shares. */
#include "lb/relay/outcome.h"

#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"
#include "lb/smtp/verdict.h"

void outcome_failed(struct session *session, const struct attempt *attempt) {
    struct worker *worker = session->worker;
    struct outcome outcome = {attempt->backend->serial, (uint32_t)client_key(&session->client)};
    if (spsc_put(&worker->outcomes, &outcome) && worker->shared->manager != NULL)
        mailbox_wake(worker->shared->manager);
}

void outcome_note_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply,
                        size_t length) {
    struct seen *seen = &session->seen;
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
    const struct seen *seen = &session->seen;
    struct sighting sighting = {
        .key = reputation_key(&session->client),
        .host = reputation_host(&session->client),
        .clean = seen->clean,
        .rejected = seen->rejected,
        .recipients = seen->recipients,
        .unknown = seen->unknown,
        .has_talked_early = session->is_early_talker,
        .has_pipelined = session->dialog.has_pipelined,
        .is_not_smtp = session->dialog.is_not_smtp,
        .needed_vetting = session->needed_vetting,
    };
    bool is_news = seen->clean > 0 || seen->rejected > 0 || seen->recipients > 0 || sighting.has_talked_early ||
                   sighting.has_pipelined || sighting.is_not_smtp || sighting.needed_vetting;
    if (is_news && session->worker->shared->reputation != NULL)
        spsc_put(&session->worker->sightings, &sighting);
}
