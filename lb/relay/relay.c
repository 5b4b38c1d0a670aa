/* Octets between a client and the backend it is committed to. Each direction has one buffer at most: received, looked
 * at by the observer, sent on, and only then is the next receive armed; so a slow reader slows its writer and memory
 * stays bounded whatever the two do. Octets are never rewritten.
 *
 * relay_show() is the one place through which all octets go: it tells the observer and the replay log, and says how
 * many may go on. What a backend says in clear goes on in complete replies only, so that a 421 of ours, or another
 * backend's reply, can stand in the place of one that never ends. */
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static struct conn *source_of(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? &session->client_conn : &session->attempt->conn;
}

static struct conn *target_of(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? &session->attempt->conn : &session->client_conn;
}

/* --- what the observer sees --- */

/* What octets have turned out to be, and so what becomes of the session behind what may go on. */
enum shown {
    SHOWN,                 /* they may go on, as far as they are cleared */
    SHOWN_421,             /* the backend leaves: the session is carried over */
    SHOWN_JUNK,            /* the backend's, and no SMTP */
    SHOWN_UNASKED,         /* the backend's, and the answer to nothing */
    SHOWN_UNCLEAR,         /* a host's reply leaves open how it reads the client's octets */
    SHOWN_BARE_LINE_END,   /* the client's, before a host behind a gate: nothing of them goes on */
    SHOWN_STARTTLS_BEHIND, /* the client's, in clear behind STARTTLS: likewise */
    SHOWN_PROXY_HEADER,    /* the client's first, in the place of a command: likewise */
};

static bool is_quiet(const struct session *session) {
    return !dialog_owes_reply(&session->dialog) && session->dialog.line_octets == 0;
}

/* What the backend has passed with a good reply. A mail is a good end of its own; so is the beginning of TLS, behind
 * which no other will be seen. */
static void note_step(struct session *session, const struct dialog_event *event) {
    static const uint8_t steps[VERBS_COUNT] = {
        [VERB_HELO] = STEP_HELLO, [VERB_EHLO] = STEP_HELLO, [VERB_STARTTLS] = STEP_HELLO,
        [VERB_MAIL] = STEP_MAIL,  [VERB_RCPT] = STEP_RCPT,  [VERB_DATA] = STEP_DATA,
    };
    bool ends_content = (event->verb == AWAITED_DOT || event->verb == AWAITED_BDAT_LAST) && event->code / 100 == 2;
    if (ends_content || event->kind == DIALOG_TLS) {
        struct backend_share *share = attempt_share(session->attempt);
        counter_add(&share->passed[ends_content ? STEP_CONTENT : STEP_HELLO], 1);
        counter_add(&share->mails, ends_content);
    } else if (event->verb < VERBS_COUNT && steps[event->verb] > session->passed_step) {
        session->passed_step = steps[event->verb];
    }
}

/* NULL: HELO was said, which offers nothing. */
static void note_offer(struct session *session, const uint8_t *reply, size_t length) {
    if (reply != NULL)
        early_talk_note(session->worker->view->early_talk, ehlo_invites_early_talk(reply, length), session->is_gated);
    session->offer = worker_intern_offer(session->worker, reply, length);
    dialog_note_chunking(&session->dialog, reply != NULL && reply_offers(reply, length, "CHUNKING"));
    dialog_note_prdr(&session->dialog, reply != NULL && reply_offers(reply, length, "PRDR"));
}

static void note_reply(struct session *session, const struct dialog_event *event, const uint8_t *reply, size_t length) {
    if (event->verb == AWAITED_RECIPIENT && !event->is_unsolicited)
        return; /* the final reply tells */
    session->last_code = event->code;
    if (event->is_unsolicited)
        return;
    if (event->code / 100 == 2 || event->code == 354)
        note_step(session, event);
    outcome_note_reply(session, event, reply, length);
    if (event->verb == VERB_EHLO && event->code / 100 == 2)
        note_offer(session, reply, length);
    if (event->verb == VERB_HELO && event->code / 100 == 2)
        note_offer(session, NULL, 0);
    replay_log_on_reply(&session->log, event->verb, event->code, is_quiet(session));
}

/* The reply that ends at `end`; false: it must not go on. */
static bool on_reply(struct session *session, const struct dialog_event *event, size_t end) {
    struct flow *flow = &session->flows[TO_CLIENT];
    const uint8_t *reply = io_buffer(session->worker->io, flow->buffer) + flow->cleared;
    bool is_farewell = event->kind == DIALOG_421 || (event->is_unsolicited && event->code == 451);
    if (is_farewell && !loss_takes_421(session, event))
        return false;
    if (!is_farewell)
        note_reply(session, event, reply, end - flow->cleared);
    session->is_unasked &= event->is_unsolicited;
    session->is_mid_reply = false;
    session->has_replied = true;
    session->replied_ms = io_now_ms(session->worker->io);
    return true;
}

void relay_note_own_reply(struct session *session, const char *text, size_t length) {
    struct dialog_event event;
    bool is_guarded = session->dialog.is_guarded;
    session->dialog.is_guarded = false; /* how we read the client ourselves is in no doubt */
    dialog_feed_server(&session->dialog, (const uint8_t *)text, length, &event);
    session->dialog.is_guarded = is_guarded;
    if (event.kind == DIALOG_REPLY)
        note_reply(session, &event, (const uint8_t *)text, length);
}

/* What stands behind its 221 is for nobody. */
static enum shown on_junk(struct session *session, enum shown shown) {
    struct flow *flow = &session->flows[TO_CLIENT];
    bool is_behind_end = dialog_has_quit(&session->dialog) && !dialog_owes_reply(&session->dialog);
    if (is_behind_end)
        flow->length = flow->shown = flow->cleared;
    dialog_forget_partial_reply(&session->dialog);
    return is_behind_end ? SHOWN : shown;
}

static enum shown show_server(struct session *session) {
    struct flow *flow = &session->flows[TO_CLIENT];
    const uint8_t *data = io_buffer(session->worker->io, flow->buffer);
    session->is_unasked = !dialog_awaits_server(&session->dialog);
    while (flow->shown < flow->length) {
        struct dialog_event event;
        bool is_content = dialog_is_in_content(&session->dialog);
        flow->shown += (uint32_t)dialog_feed_server(&session->dialog, data + flow->shown,
                                                    (size_t)(flow->length - flow->shown), &event);
        if (event.kind == DIALOG_UNTRUSTED && session->is_gated) {
            session->has_bare_content = is_content;
            return SHOWN_UNCLEAR;
        }
        if (event.kind == DIALOG_JUNK || event.kind == DIALOG_UNASKED)
            return on_junk(session, event.kind == DIALOG_JUNK ? SHOWN_JUNK : SHOWN_UNASKED);
        bool is_reply = event.kind == DIALOG_REPLY || event.kind == DIALOG_TLS || event.kind == DIALOG_421;
        if (is_reply && !on_reply(session, &event, flow->shown))
            return SHOWN_421;
        if (is_reply || !dialog_is_clear(&session->dialog))
            flow->cleared = flow->shown;
    }
    /* Too long to be held. */
    if (flow->shown - flow->cleared > REPLY_HELD_MAX) {
        flow->cleared = flow->shown;
        session->is_mid_reply = true;
    }
    return SHOWN;
}

void session_guard(struct session *session) {
    session->is_gated = true;
    dialog_guard(&session->dialog);
}

size_t relay_show_command(struct session *session, const uint8_t *data, size_t length, struct dialog_event *ret_event) {
    bool is_command = dialog_takes_commands(&session->dialog);
    size_t consumed = dialog_feed_client(&session->dialog, data, length, ret_event);
    if (is_command)
        replay_log_append(&session->log, data, consumed);
    return consumed;
}

static enum shown show_client(struct session *session) {
    struct flow *flow = &session->flows[TO_BACKEND];
    const uint8_t *data = io_buffer(session->worker->io, flow->buffer);
    if (flow->bytes == 0 && flow->shown == 0 && proxy_in_looks_like(data, flow->length))
        return SHOWN_PROXY_HEADER;
    while (flow->shown < flow->length) {
        struct dialog_event event;
        bool is_content = dialog_is_in_content(&session->dialog);
        flow->shown +=
            (uint32_t)relay_show_command(session, data + flow->shown, (size_t)(flow->length - flow->shown), &event);
        if (event.kind == DIALOG_STARTTLS_BEHIND)
            return SHOWN_STARTTLS_BEHIND;
        if (event.kind == DIALOG_UNTRUSTED && session->is_gated) {
            session->has_bare_content = is_content;
            return SHOWN_BARE_LINE_END;
        }
        if (event.kind == DIALOG_BLOCKED)
            break;
    }
    flow->cleared = flow->shown;
    if (!dialog_is_clear(&session->dialog))
        replay_log_finish(&session->log);
    return SHOWN;
}

/* Shows what the flow's buffer holds to the observer, and clears what may go on. */
static enum shown relay_show(struct session *session, enum direction direction) {
    return direction == TO_BACKEND ? show_client(session) : show_server(session);
}

/* --- moving octets --- */

/* Large buffers are few, so they are for what is only passed through. */
static bool takes_bulk(const struct session *session, enum direction direction) {
    return session->flows[direction].is_bulk &&
           (dialog_is_in_content(&session->dialog) || !dialog_is_clear(&session->dialog));
}

static void rearm(struct session *session, enum direction direction) {
    struct conn *source = source_of(session, direction);
    const struct flow *flow = &session->flows[direction];
    if (source->recv_armed)
        return;
    if (flow->has_buffer)
        conn_recv_at_most(source, flow_room(flow));
    else if (takes_bulk(session, direction))
        conn_recv_bulk(source);
    else
        conn_recv(source, false);
}

void relay_end_with_client(struct session *session) {
    bool is_done = dialog_has_quit(&session->dialog) && session->last_code == 221;
    session_close(session, is_done ? CLOSE_DONE : CLOSE_CLIENT_CLOSED);
}

/* The client has said QUIT and half-closed, and all before it was answered and has been sent on. Some hosts await the
 * client's end before their 221 (Exim for 200 ms), so the host's side is closed, and the 221, if it has not come yet,
 * is ours. That spares us the shutdown, which io_uring hands to a kernel thread. */
static bool ends_behind_quit(struct session *session) {
    const struct dialog *dialog = &session->dialog;
    const struct flow *from_client = &session->flows[TO_BACKEND];
    bool has_said_all = from_client->at_end && !from_client->has_buffer && dialog_has_quit(dialog);
    if (!has_said_all || session->flows[TO_CLIENT].has_buffer || !dialog_is_clear(dialog))
        return false;
    if (!dialog_owes_reply(dialog))
        relay_end_with_client(session);
    else if (dialog_only_quit_is_open(dialog))
        session_close(session, CLOSE_QUIT_ANSWERED);
    return session->state != SESSION_RELAY;
}

/* The client has half-closed, and what it said has been sent. The backend must learn that no more will come. */
static void pass_end_on(struct session *session) {
    bool is_behind_quit = dialog_has_quit(&session->dialog) && dialog_is_clear(&session->dialog);
    if (!session->backend_is_lost && !ends_behind_quit(session) && !is_behind_quit)
        conn_shutdown_write(&session->attempt->conn);
}

void flow_release(struct session *session, struct flow *flow) {
    if (flow->has_buffer)
        io_buffer_release(session->worker->io, flow->buffer);
    flow->has_buffer = false;
    flow->offset = flow->shown = flow->cleared = flow->length = flow->sending = 0;
}

void flow_fill(struct flow *flow, uint16_t buffer, unsigned offset, unsigned length) {
    flow->has_buffer = true;
    flow->buffer = buffer;
    flow->offset = flow->shown = flow->cleared = (uint32_t)offset;
    flow->length = length;
    flow->sending = 0;
}

/* What is being sent can't be moved to make room. */
unsigned flow_room(const struct flow *flow) {
    if (!flow->has_buffer)
        return IO_BUFFER_SIZE;
    size_t held = flow->sending > 0 ? flow->length : flow->length - flow->offset;
    size_t room = io_buffer_size(flow->buffer) - held;
    return room < IO_BUFFER_SIZE ? (unsigned)room : IO_BUFFER_SIZE;
}

static void make_room(struct io *io, struct flow *flow) {
    uint8_t *data = io_buffer(io, flow->buffer);
    memmove(data, data + flow->offset, flow->length - flow->offset);
    flow->shown -= flow->offset;
    flow->cleared -= flow->offset;
    flow->length -= flow->offset;
    flow->offset = 0;
}

void flow_take(struct session *session, struct flow *flow, uint16_t received, unsigned length) {
    struct io *io = session->worker->io;
    if (!flow->has_buffer) {
        flow_fill(flow, received, 0, length);
        return;
    }
    assert(length <= flow_room(flow));
    if (flow->sending == 0)
        make_room(io, flow);
    memcpy(io_buffer(io, flow->buffer) + flow->length, io_buffer(io, received), length);
    flow->length += length;
    io_buffer_release(io, received);
}

/* The host may have taken a mail whose client hears a refusal, and will say it again. */
static void close_in_doubt(struct session *session, enum close_reason reason) {
    if (dialog_may_hide_acceptance(&session->dialog))
        shut_down_log_doubled(session);
    session_close(session, reason);
}

/* The backend's end, behind what came before it; the client's, at once. */
static void end_by(struct session *session, enum shown shown) {
    switch (shown) {
    case SHOWN:
        break;
    case SHOWN_421:
        replay_begin(session, "said 421");
        break;
    case SHOWN_JUNK:
        loss_on_junk(session);
        break;
    case SHOWN_UNASKED:
        loss_on_unasked(session);
        break;
    case SHOWN_UNCLEAR:
        close_in_doubt(session, CLOSE_UNCLEAR_REPLY);
        break;
    case SHOWN_BARE_LINE_END:
        close_in_doubt(session, CLOSE_BARE_LINE_END);
        break;
    case SHOWN_STARTTLS_BEHIND:
        close_in_doubt(session, CLOSE_STARTTLS_BEHIND);
        break;
    case SHOWN_PROXY_HEADER:
        session_close(session, CLOSE_PROXY_UNLISTED);
        break;
    }
}

/* Sends on what the flow's buffer holds, as far as it may go; not while some of it is being sent. */
static void forward(struct session *session, enum direction direction) {
    struct flow *flow = &session->flows[direction];
    enum shown shown = relay_show(session, direction);
    flow->blocked = flow->offset == flow->cleared;
    bool is_refused = direction == TO_BACKEND && shown != SHOWN; /* nothing of it goes on */
    if (is_refused) {
        end_by(session, shown);
        return;
    }
    if (!flow->blocked) {
        struct conn *target = target_of(session, direction);
        flow->sending = flow->cleared - flow->offset;
        conn_send(target, io_buffer(target->io, flow->buffer) + flow->offset, flow->sending);
    } else if (direction == TO_CLIENT && shown == SHOWN) {
        rearm(session, TO_CLIENT); /* for the rest of the reply */
    }
    end_by(session, shown);
}

/* What was received goes on at once, unless the octets before it are still on their way, or nobody takes it. */
static void take(struct session *session, enum direction direction, uint16_t received, unsigned length) {
    struct flow *flow = &session->flows[direction];
    flow_take(session, flow, received, length);
    bool must_wait = flow->sending > 0 || (direction == TO_BACKEND && session->backend_is_lost);
    if (!must_wait)
        forward(session, direction);
}

/* A reply may have made room for what the client says. */
static void unblock_client(struct session *session) {
    const struct flow *flow = &session->flows[TO_BACKEND];
    if (session->state == SESSION_RELAY && flow->has_buffer && flow->blocked && !session->backend_is_lost)
        forward(session, TO_BACKEND);
}

/* --- ends --- */

/* A client that closes inside TLS with its server's close_notify unread resets, be it behind its own; it has heard all
 * that it wanted. */
static bool has_finished_opaque(const struct session *session) {
    uint64_t age_ms = io_now_ms(session->worker->io) - session->active_ms;
    return session->client_spoke_last ? turn_is_farewell(&session->client_turn) : age_ms <= LAST_WORD_MS;
}

static void end_with_clients_error(struct session *session, int error) {
    enum close_reason reason = close_reason_of_client_error(error);
    if (!dialog_is_clear(&session->dialog))
        session_close(session,
                      reason == CLOSE_CLIENT_RESET && has_finished_opaque(session) ? CLOSE_OPAQUE_ENDED : reason);
    else
        session_close(session, dialog_has_quit(&session->dialog) ? CLOSE_DONE : reason);
}

static void on_client_end(struct session *session, int result) {
    if (result < 0) {
        end_with_clients_error(session, result);
        return;
    }
    session->flows[TO_BACKEND].at_end = true;
    if (!session->flows[TO_BACKEND].has_buffer)
        pass_end_on(session);
}

/* What the client has said since the backend's last word: inside TLS nothing else tells what it may have been. */
static void note_turn(struct session *session, enum direction direction, unsigned octets) {
    const struct conn *conn = &session->client_conn;
    bool is_clients = direction == TO_BACKEND;
    if (is_clients && !session->client_spoke_last)
        turn_begin(&session->client_turn, io_buffer(conn->io, conn->received_buffer)[0],
                   dialog_phase(&session->dialog) == PHASE_TLS);
    if (is_clients)
        turn_add(&session->client_turn, octets);
    session->client_spoke_last = is_clients;
}

void relay_on_received(struct session *session, enum direction direction, int result) {
    if (result > 0) {
        note_turn(session, direction, (unsigned)result);
        session->flows[direction].is_bulk |= (unsigned)result == IO_BUFFER_SIZE;
        take(session, direction, source_of(session, direction)->received_buffer, (unsigned)result);
        if (direction == TO_CLIENT)
            unblock_client(session);
    } else if (direction == TO_CLIENT) {
        loss_on_backend_end(session, result);
    } else {
        on_client_end(session, result);
    }
    if (session->state == SESSION_RELAY)
        relay_wait(session, direction == TO_CLIENT ? RELAY_BACKEND_SPOKE : RELAY_CLIENT_SPOKE);
}

static void count_sent(struct session *session, enum direction direction, unsigned octets) {
    struct backend_share *share = attempt_share(session->attempt);
    struct counters *counters = &session->worker->counters;
    session->flows[direction].bytes += octets;
    if (direction == TO_BACKEND) {
        counter_add(&share->bytes_in, octets);
        counter_add(&counters->bytes_in, octets);
    } else {
        counter_add(&share->bytes_out, octets);
        counter_add(&counters->bytes_out, octets);
    }
}

/* A backend that takes no more may have said why: what it said is still to be received and passed on before its end
 * is. What it was not sent yet is kept for another one. */
static void on_target_lost(struct session *session, enum direction direction, int result) {
    struct flow *flow = &session->flows[direction];
    if (direction == TO_CLIENT) {
        end_with_clients_error(session, result);
        return;
    }
    flow->sending = 0;
    flow->offset = flow->cleared = flow->shown;
    if (flow->offset == flow->length)
        flow_release(session, flow);
    if (is_shortage(result)) { /* it is not gone, and has no last words */
        loss_on_backend_end(session, result);
        return;
    }
    session->backend_is_lost = true;
    relay_wait(session, RELAY_BACKEND_TOOK);
}

/* All that could go of the flow has gone. */
static void on_flow_empty(struct session *session, enum direction direction) {
    flow_release(session, &session->flows[direction]);
    if (direction == TO_CLIENT && (session_ends_behind_reply(session) || ends_behind_quit(session)))
        return;
    if (direction == TO_BACKEND && session->flows[TO_BACKEND].at_end)
        pass_end_on(session);
    else
        rearm(session, direction);
}

void relay_on_sent(struct session *session, enum direction direction, int result) {
    struct flow *flow = &session->flows[direction];
    if (result < 0) {
        on_target_lost(session, direction, result);
        return;
    }
    count_sent(session, direction, flow->sending);
    flow->offset += flow->sending;
    flow->sending = 0;
    if (flow->offset < flow->length)
        forward(session, direction);
    else
        on_flow_empty(session, direction);
    if (session->state == SESSION_RELAY)
        relay_wait(session, direction == TO_CLIENT ? RELAY_CLIENT_TOOK : RELAY_BACKEND_TOOK);
}

static void begin_flow(struct session *session, enum direction direction) {
    if (session->state != SESSION_RELAY)
        return;
    if (session->flows[direction].has_buffer)
        forward(session, direction);
    else if (direction == TO_BACKEND && session->flows[TO_BACKEND].at_end)
        pass_end_on(session);
    else
        rearm(session, direction);
}

/* The flows hold what is to go on: at the beginning the greeting and what the client said too early, after a replay
 * what the new backend has said and the client said meanwhile. */
void relay_begin(struct session *session) {
    const struct conn *backend = &session->attempt->conn;
    assert(!backend->recv_armed && !backend->send_armed && !session->client_conn.send_armed);
    session->backend_is_lost = session->has_replied = false;
    session->passed_step = STEP_GREETING;
    session_enter(session, SESSION_RELAY);
    begin_flow(session, TO_CLIENT);
    begin_flow(session, TO_BACKEND);
    if (session->state == SESSION_RELAY)
        relay_wait(session, RELAY_BEGUN);
}
