/* What postern learns from a dialog as it passes: of each command for the replay log, of each reply for the counters of
 * its backend, the client's reputation and the session itself. The relay, a replay and the gate show it what passes.
 * Owns nothing; it writes the session's parts that tests/tidy lists for it. */
#include "lb/relay/observe.h"

#include "lb/relay/attempt.h"
#include "lb/relay/offers.h"
#include "lb/relay/outcome.h"
#include "lb/relay/worker_private.h"

static bool is_quiet(const struct session *session) {
    return !dialog_owes_reply(&session->client.dialog) && session->client.dialog.line_octets == 0;
}

/* What the backend has passed with a good reply; the beginning of TLS is one, behind which no other will be seen. */
static void note_step(struct session *session, const struct dialog_event *event) {
    static const uint8_t steps[VERBS_COUNT] = {
        [VERB_HELO] = STEP_HELLO, [VERB_EHLO] = STEP_HELLO, [VERB_STARTTLS] = STEP_HELLO,
        [VERB_MAIL] = STEP_MAIL,  [VERB_RCPT] = STEP_RCPT,  [VERB_DATA] = STEP_DATA,
    };
    bool ends_content = (event->verb == AWAITED_DOT || event->verb == AWAITED_BDAT_LAST) && event->code / 100 == 2;
    if (ends_content) {
        counter_add(&attempt_share(session->search.attempt)->mails, 1);
        outcome_passed(session->search.attempt, STEP_CONTENT);
    } else if (event->kind == DIALOG_TLS) {
        outcome_passed(session->search.attempt, STEP_HELLO);
    } else if (event->verb < VERBS_COUNT && steps[event->verb] > STEP_GREETING) {
        outcome_note_passed(session, (enum backend_step)steps[event->verb]);
    }
}

/* NULL: HELO was said, which offers nothing. */
static void note_offer(struct session *session, const uint8_t *reply, size_t length) {
    if (reply != NULL)
        early_talk_note(session->worker->view->early_talk, ehlo_invites_early_talk(reply, length),
                        session->client.is_gated);
    session->replay.offer = offers_intern(&session->worker->offers, reply, length);
    dialog_note_chunking(&session->client.dialog, reply != NULL && reply_offers(reply, length, "CHUNKING"));
    dialog_note_prdr(&session->client.dialog, reply != NULL && reply_offers(reply, length, "PRDR"));
}

/* What the client heard last is this. Returns true where that answers something: the final reply tells. */
static bool is_answer(struct session *session, const struct dialog_event *event) {
    if (event->verb == AWAITED_RECIPIENT && !event->is_unsolicited)
        return false;
    session->client.last_code = event->code;
    return !event->is_unsolicited;
}

static void note_answer(struct session *session, const struct dialog_event *event, const uint8_t *reply,
                        size_t length) {
    outcome_note_reply(session, event, reply, length);
    if (event->verb == VERB_EHLO && event->code / 100 == 2)
        note_offer(session, reply, length);
    if (event->verb == VERB_HELO && event->code / 100 == 2)
        note_offer(session, NULL, 0);
    replay_log_on_reply(&session->replay.log, event->verb, event->code, is_quiet(session));
}

void observe_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply, size_t length) {
    if (!is_answer(session, event))
        return;
    if (event->code / 100 == 2 || event->code == 354)
        note_step(session, event);
    note_answer(session, event, reply, length);
}

void observe_own_reply(struct session *session, const char *text, size_t length) {
    struct dialog_event event;
    bool is_guarded = session->client.dialog.is_guarded;
    session->client.dialog.is_guarded = false; /* how we read the client ourselves is in no doubt */
    dialog_feed_server(&session->client.dialog, (const uint8_t *)text, length, &event);
    session->client.dialog.is_guarded = is_guarded;
    if (event.kind == DIALOG_REPLY && is_answer(session, &event)) /* no backend has passed a step by it */
        note_answer(session, &event, (const uint8_t *)text, length);
}

size_t observe_command(struct session *session, const uint8_t *data, size_t length, struct dialog_event *ret_event) {
    bool is_command = dialog_takes_commands(&session->client.dialog);
    size_t consumed = dialog_feed_client(&session->client.dialog, data, length, ret_event);
    if (is_command)
        replay_log_append(&session->replay.log, data, consumed);
    return consumed;
}
