/* What the end of a backend means, in relay: its last word to this client, the client's own doing, or a loss; and
 * whether a loss is held against the backend.
 *
 * A backend that refuses a client in words and hangs up has answered; so has one that is tired of a silent client. Both
 * ends go on to the client. All else is a loss, and the session is carried over to another backend where that is
 * possible (carry_over.c). A loss that clients can bring about at will, of any backend, is held against none; any other
 * is only remembered here, and told once the same dialog has come to a good end elsewhere (outcome.c). relay.c asks,
 * and returns the stage that comes out. */
#include "lb/relay/loss.h"

#include "lb/relay/attempt.h"
#include "lb/relay/carry_over.h"
#include "lb/relay/doubled.h"
#include "lb/relay/outcome.h"
#include "lb/relay/tries.h"
#include "lb/relay/worker_private.h"

static uint64_t quiet_ms(const struct session *session) {
    return io_now_ms(session->worker->io) - session->relay.active_ms;
}

/* How long ago the backend has said the last that it was asked for; what the client says meanwhile does not count,
 * since it can say half a line, or an octet of content, whenever it likes. */
static uint64_t since_reply_ms(const struct session *session) {
    uint64_t from_ms = session->relay.has_replied ? session->relay.replied_ms : session->client.greeted_ms;
    return io_now_ms(session->worker->io) - from_ms;
}

static bool client_has_ended(const struct session *session) {
    return session->client.flows[TO_BACKEND].at_end;
}

/* --- whose doing it is --- */

/* The last reply was a refusal, of which the end may be a part. What answers content came before its end, unasked; a
 * chunk whose reply is still owed came behind the refusal. */
static bool has_just_refused(const struct session *session) {
    uint64_t age_ms = io_now_ms(session->worker->io) - session->relay.replied_ms;
    bool is_refusal = session->client.last_code >= 400 || session->client.last_code == 221;
    bool is_of_content = dialog_is_in_content(&session->client.dialog) && !dialog_owes_reply(&session->client.dialog);
    return session->relay.has_replied && is_refusal && (age_ms <= LAST_WORD_MS || is_of_content);
}

/* A server tires of a client that is silent for long; its end may meet the command with which the client goes on. */
static bool has_crossed(const struct session *session) {
    return !session->client.dialog.has_passed_content && since_reply_ms(session) >= IDLE_421_MS &&
           quiet_ms(session) <= LAST_WORD_MS;
}

/* Servers end a session on a client that is silent, or that has half-closed, or that they have refused. */
static bool is_backends_doing(const struct session *session) {
    bool is_asked = dialog_awaits_server(&session->client.dialog) || session->search.attempt->conn.send_armed;
    /* What it said before it took no more can't be heard while the client does not take what came before that. */
    bool is_unheard = session->relay.backend_is_lost && session->client.conn.send_armed;
    is_unheard |= conn_waits_for_buffer(&session->search.attempt->conn);
    if (!dialog_is_clear(&session->client.dialog) || client_has_ended(session) || has_just_refused(session) ||
        is_unheard || has_crossed(session))
        return false;
    return is_asked || since_reply_ms(session) < SILENT_END_MS;
}

/* The step that would be next for this session: the one behind what the backend has answered well. */
static enum backend_step next_step(const struct session *session) {
    unsigned next = session->relay.passed_step + 1u;
    if (session->client.dialog.is_in_transaction && next < STEP_RCPT)
        return STEP_RCPT;
    return next < STEP_DATA ? (enum backend_step)next : STEP_DATA;
}

/* The step that the backend did not pass: that of the oldest command without a reply, else the next one to come. */
static enum backend_step failed_step(const struct session *session) {
    const struct dialog *dialog = &session->client.dialog;
    switch (dialog_next_answer(dialog)) {
    case VERB_MAIL:
        return STEP_MAIL;
    case VERB_RCPT:
        return STEP_RCPT;
    case VERB_DATA:
        return STEP_DATA;
    default:
        break;
    }
    if (dialog_is_in_content(dialog)) /* and nothing of it has come yet */
        return STEP_DATA;
    return next_step(session);
}

/* Since when it was to pass that step. */
static uint64_t failed_since_ms(const struct session *session) {
    return session->relay.waits_for == WAITS_FOR_REPLY ? session->relay.waits_since_ms : io_now_ms(session->worker->io);
}

static void hold_against_backend(struct session *session) {
    counter_add(&attempt_share(session->search.attempt)->failures_total, 1);
    if (session->client.dialog.has_passed_content)
        outcome_content_lost(session, session->search.attempt);
    else
        outcome_failed(session, session->search.attempt, failed_step(session), failed_since_ms(session));
}

static bool only_quit_is_left(const struct session *session) {
    return dialog_only_quit_is_open(&session->client.dialog) && !session->relay.is_mid_reply;
}

/* The session goes on elsewhere, or ends. */
static enum stage_id leave(struct session *session, enum close_reason reason, const char *why) {
    if (only_quit_is_left(session))
        return session_end(session, CLOSE_QUIT_ANSWERED);
    if (can_carry_over(session))
        return carry_over(session, why);
    return session_end(session, reason);
}

static enum stage_id lose(struct session *session, enum close_reason reason, const char *why) {
    if (!only_quit_is_left(session) && is_backends_doing(session))
        hold_against_backend(session);
    session->relay.lost_in_silence =
        !dialog_awaits_server(&session->client.dialog) && quiet_ms(session) >= SILENT_END_MS;
    return leave(session, reason, why);
}

/* For want of our own: nothing is wrong with the backend, which may be asked again. */
static enum stage_id lose_for_shortage(struct session *session, int error) {
    tries_forget(session, session->search.attempt->backend);
    return leave(session, CLOSE_NO_ROOM, socket_error(error));
}

/* --- 421, and 451 of servers that say it to the idle (qmail) --- */

bool loss_takes_421(struct session *session, const struct dialog_event *event) {
    const struct enhanced_code *enhanced = &event->enhanced;
    bool is_verdict = enhanced->class == 4 && enhanced->subject == 7;
    bool is_asked = !event->is_unsolicited || session->client.dialog.has_passed_content;
    /* Servers take so many mails in a connection, and no more (Exim's smtp_accept_max_per_connection). */
    bool is_recycled = dialog_mails_accepted(&session->client.dialog) > 0;
    /* It has waited for the client, or it refuses the mail in its content. */
    bool is_clients =
        event->is_unsolicited && (event->code == 451 || (enhanced->subject == 4 && enhanced->detail == 2));
    /* To a client that has left, or was idle, it is the answer. */
    bool is_answer = !is_asked && (client_has_ended(session) || quiet_ms(session) >= IDLE_421_MS);
    if (is_asked && !is_verdict && !is_recycled && !is_clients && is_backends_doing(session))
        hold_against_backend(session);
    if (!is_asked && !is_verdict && !is_recycled && !is_answer)
        outcome_left(session->search.attempt);
    if (!is_verdict && !is_answer && can_carry_over(session)) {
        session->relay.lost_in_silence = event->is_unsolicited && enhanced->subject == 4 && enhanced->detail == 2;
        return false;
    }
    session->client.last_code = event->code;
    dialog_accept_421(&session->client.dialog);
    return true;
}

/* --- ends --- */

static bool is_amid_reply(const struct session *session) {
    const struct flow *flow = &session->client.flows[TO_CLIENT];
    return session->relay.is_mid_reply || flow->shown > flow->cleared;
}

/* 221, 421 and 521 say that the connection ends, whatever else is owed (RFC 5321 §4.2.2, RFC 7504 §3). Any other
 * refusal is followed by the end at once, and leaves nothing behind of which an answer is still to come. */
static bool has_last_word(const struct session *session, int result) {
    unsigned code = session->client.last_code;
    if (!session->relay.has_replied || is_amid_reply(session))
        return false;
    if (code == 221 || code == 421 || code == 521)
        return true;
    if (!has_just_refused(session))
        return false;
    if (dialog_is_in_content(&session->client.dialog))
        return true;
    return result == 0 && (!dialog_owes_reply(&session->client.dialog) || !session->client.dialog.is_in_transaction);
}

/* Where nothing can be read. A backend that goes while the client awaits its word has not finished; one that has closed
 * with the client's farewell unread resets. */
static enum close_reason opaque_end(const struct session *session, int result) {
    bool is_over = client_has_ended(session) ||
                   (session->relay.client_spoke_last && turn_is_farewell(&session->relay.client_turn));
    if (is_over || (result == 0 && !session->relay.client_spoke_last))
        return CLOSE_OPAQUE_ENDED;
    if (is_shortage(result))
        return CLOSE_NO_ROOM;
    return result < 0 ? CLOSE_BACKEND_RESET : CLOSE_OPAQUE_LOST;
}

enum stage_id loss_on_backend_end(struct session *session, int result) {
    if (!dialog_is_clear(&session->client.dialog))
        return session_end(session, opaque_end(session, result));
    if (dialog_has_quit(&session->client.dialog) && session->client.last_code == 221)
        return session_end(session, CLOSE_DONE);
    if (client_has_ended(session) && !dialog_awaits_server(&session->client.dialog))
        return session_end(session, CLOSE_CLIENT_CLOSED);
    if (is_shortage(result))
        return lose_for_shortage(session, result);
    if (has_last_word(session, result))
        return session_end(session, CLOSE_BACKEND_LAST_WORD);
    if (result < 0)
        return lose(session, CLOSE_BACKEND_RESET, socket_error(result));
    return lose(session, CLOSE_BACKEND_CLOSED, "closed");
}

/* Where nothing can be read, the side is late that was spoken to. */
static enum stage_id end_opaque(struct session *session) {
    bool awaits_client = session->client.conn.send_armed || !session->relay.client_spoke_last;
    return session_end(session, awaits_client ? CLOSE_CLIENT_TIMEOUT : CLOSE_BACKEND_TIMEOUT);
}

enum stage_id loss_on_junk(struct session *session) {
    return lose(session, CLOSE_BACKEND_GARBAGE, "said what is no SMTP");
}

/* A client can bring this about with commands, and chunks, that servers read differently; but a mail behind DATA has
 * the same end for all of them. What the server believes to have read may be a mail to it. */
enum stage_id loss_on_unasked(struct session *session) {
    if (session->client.dialog.client_mode == CLIENT_CONTENT && !client_has_ended(session))
        hold_against_backend(session);
    else
        outcome_doubted(session->search.attempt);
    if (dialog_is_in_content(&session->client.dialog) && dialog_has_passed_content(&session->client.dialog))
        doubled_log(session);
    return leave(session, CLOSE_BACKEND_UNASKED, "agreed to what it was not told");
}

enum stage_id loss_of_client(struct session *session) {
    bool is_done = dialog_has_quit(&session->client.dialog) && session->client.last_code == 221;
    return session_end(session, is_done ? CLOSE_DONE : CLOSE_CLIENT_CLOSED);
}

enum stage_id loss_on_timeout(struct session *session) {
    switch (session->relay.waits_for) {
    case WAITS_FOR_LAST_WORDS:
        return lose(session, CLOSE_BACKEND_RESET, "took no more");
    case WAITS_FOR_REPLY:
        return lose(session, CLOSE_BACKEND_TIMEOUT, "no reply in time");
    case WAITS_FOR_TAKER:
        return lose(session, CLOSE_BACKEND_TIMEOUT, "took no more in time");
    case WAITS_FOR_ANYBODY:
        return end_opaque(session);
    case WAITS_FOR_READER: /* it takes none of the replies that the backend could give */
        return session_end(session, CLOSE_CLIENT_UNREADING);
    case WAITS_FOR_CLIENT:
        break;
    }
    return client_has_ended(session) ? loss_of_client(session) : session_end(session, CLOSE_CLIENT_TIMEOUT);
}
