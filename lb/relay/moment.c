/* The moment at which a session that is to end from outside can be ended, and how it ends then. shut_down.c asks for
 * all sessions, relay.c behind each reply.
 *
 * Before content a 421 costs the sender no more than a later try, whatever it awaits (RFC 5321 §3.8). From the 354 on
 * the client hears nothing before the end of its content, and between that and the final reply a cut may double the
 * mail. Inside TLS nothing can be read: the session is taken for idle when the backend had the last word, nothing is on
 * its way, and some time has passed; more of it where the client may have sent a group of commands with content behind
 * them, to which the last word is not the last reply. A session that is ended there nevertheless may double its mail.
 */
#include "lb/relay/moment.h"

#include "lb/relay/attempt.h"
#include "lb/relay/doubled.h"
#include "lb/relay/worker_private.h"

static bool is_stopping(const struct worker *worker) {
    return worker->shut_down.state != WORKER_SERVES;
}

bool moment_is_told(const struct session *session) {
    return session->relay.is_shutting_down || is_stopping(session->worker);
}

static enum close_reason reason_for(const struct session *session) {
    return is_stopping(session->worker) ? CLOSE_STOPPING : CLOSE_SHUTDOWN;
}

enum moment moment_in_relay(const struct session *session) {
    const struct dialog *dialog = &session->client.dialog;
    if (!dialog_is_clear(dialog))
        return MOMENT_QUIET_TLS;
    if (dialog_awaits_final_reply(dialog))
        return MOMENT_FINAL_REPLY;
    if (dialog_is_in_content(dialog) || dialog_has_passed_content(dialog))
        return MOMENT_CONTENT;
    if (session->relay.is_mid_reply)
        return MOMENT_QUIET_COMMAND;
    bool may_end = is_stopping(session->worker) || dialog_is_between_transactions(dialog);
    return may_end || dialog_only_quit_is_open(dialog) ? MOMENT_NOW : MOMENT_QUIET_COMMAND;
}

/* Nothing is on its way in either direction, and nothing has been for so long. */
static bool is_quiet_for(const struct session *session, uint64_t ms) {
    return io_now_ms(session->worker->io) - session->relay.active_ms >= ms && !session->client.conn.send_armed &&
           !session->search.attempt->conn.send_armed && !session->client.flows[TO_BACKEND].has_buffer &&
           !session->client.flows[TO_CLIENT].has_buffer;
}

/* Where nothing can be read: a final reply may be owed though the backend had the last word. */
static bool may_be_in_group(const struct session *session) {
    return turn_may_hold_group(&session->relay.client_turn) || dialog_may_hide_acceptance(&session->client.dialog);
}

bool moment_has_come(const struct session *session, enum moment moment) {
    switch (moment) {
    case MOMENT_NOW:
        return true;
    case MOMENT_QUIET_COMMAND:
        return !dialog_owes_reply(&session->client.dialog) && is_quiet_for(session, COMMAND_QUIET_MS);
    case MOMENT_QUIET_TLS:
        return !session->relay.client_spoke_last &&
               is_quiet_for(session, may_be_in_group(session) ? TLS_GROUP_QUIET_MS : TLS_QUIET_MS);
    case MOMENT_CONTENT: /* between two chunks nothing holds the client back */
        return !dialog_is_in_content(&session->client.dialog) && !dialog_owes_reply(&session->client.dialog) &&
               is_quiet_for(session, COMMAND_QUIET_MS);
    case MOMENT_FINAL_REPLY:
    case MOMENT_LAST_WORDS:
    case MOMENT_CONTENT_READ:
    case MOMENT_BY_ITSELF:
        break;
    }
    return false;
}

/* Who has said QUIT, and heard 221 or hears it now, ends as always. */
static enum close_reason end_reason(const struct session *session, enum moment moment) {
    const struct dialog *dialog = &session->client.dialog;
    if (moment == MOMENT_LAST_WORDS)
        return session->ending.reason;
    if (session->stage != STAGE_RELAY || !dialog_is_clear(dialog))
        return reason_for(session);
    if (dialog_only_quit_is_open(dialog))
        return CLOSE_QUIT_ANSWERED;
    bool is_done = dialog_has_quit(dialog) && !dialog_owes_reply(dialog) && session->client.last_code == 221;
    return is_done ? CLOSE_DONE : reason_for(session);
}

static bool may_double(const struct session *session, enum moment moment) {
    if (moment == MOMENT_QUIET_TLS)
        return session->relay.client_spoke_last || may_be_in_group(session);
    return moment == MOMENT_FINAL_REPLY;
}

enum stage_id moment_end(struct session *session, enum moment moment) {
    if (may_double(session, moment))
        doubled_log(session);
    return session_end(session, end_reason(session, moment));
}

enum stage_id moment_behind_reply(struct session *session) {
    if (!moment_is_told(session) || moment_in_relay(session) != MOMENT_NOW)
        return STAGE_SAME;
    return moment_end(session, MOMENT_NOW);
}

void moment_tell(struct session *session, uint64_t by_ms) {
    if (session->relay.is_shutting_down)
        return;
    session->relay.is_shutting_down = true;
    session->relay_end.by_ms = by_ms;
    session->worker->shut_down.told++;
}

void moment_forget(struct session *session) {
    session->worker->shut_down.told -= session->relay.is_shutting_down;
    session->relay.is_shutting_down = false;
}
