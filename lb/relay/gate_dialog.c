/* A session in the gate. To the rest of the relay it looks like one that was greeted by a backend which is lost now:
 * the observer and the replay log are shown each command and each reply of ours, and the handover is a replay
 * (replay.c). What the host behind must still answer is the one command that is open then.
 *
 *   GATE → the search → REPLAY → RELAY; back from the search or the replay to GATE when nobody can be reached, or when
 *   the host refuses what the gate has let pass. */
#include "lb/relay/gate_dialog.h"

#include "lb/engine/log.h"
#include "lb/gate/report.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* Replies to a group of commands go out together; this much room is kept for one more. */
#define OUTPUT_MAX (IO_BUFFER_SIZE - GATE_REPLY_MAX)

static bool is_stressed(const struct session *session) {
    struct workers_shared *shared = session->worker->shared;
    return (uint64_t)atomic_load_explicit(&shared->sessions, memory_order_relaxed) * 5 >
           (uint64_t)shared->sessions_max * 4;
}

static uint64_t usual_size_max(const struct view *view, unsigned before) {
    uint64_t most = 0;
    for (unsigned i = 0; i < before; i++) {
        uint64_t limit = gate_offered_size(view->tiers[i].offer);
        most = limit > most ? limit : most;
    }
    return most;
}

static bool is_admitted(const struct session *session) {
    return session->gate->standing == STANDING_ADMITTED;
}

static struct gate_policy policy_of(const struct session *session) {
    const struct worker *worker = session->worker;
    const struct gate_dialog *dialog = session->gate;
    struct gate_policy policy = {
        .config = &worker->shared->config->gate,
        .tables = atomic_load(&worker->shared->gate_tables),
        .hostname = worker->shared->config->global.hostname,
        .offer = "",
        .client = &session->client,
        .standing = dialog->standing,
        .is_stressed = is_stressed(session),
    };
    if (is_admitted(session)) {
        policy.offer = worker->view->tiers[dialog->tier].offer;
        policy.usual_size_max = usual_size_max(worker->view, dialog->tier);
    }
    return policy;
}

static void set_limit(struct session *session, uint64_t ms) {
    struct io *io = session->worker->io;
    timer_set(io_timers(io), &session->deadline, io_now_ms(io) + ms);
}

/* A whole command has a deadline, which its first octets do not move. */
static void await_command(struct session *session) {
    uint64_t client_ms = session->worker->shared->config->timeouts.client_ms;
    set_limit(session, gate_command_ms(session->gate->standing, client_ms, is_stressed(session)));
}

/* --- what is said --- */

/* A buffer for replies, with room for one. */
static bool has_output(struct session *session) {
    struct flow *output = &session->flows[TO_CLIENT];
    unsigned id;
    if (output->has_buffer)
        return true;
    if (!io_buffer_take(session->worker->io, &id))
        return false;
    flow_fill(output, (uint16_t)id, 0, 0);
    return true;
}

static void send_output(struct session *session) {
    struct flow *output = &session->flows[TO_CLIENT];
    struct conn *conn = &session->client_conn;
    output->sending = (uint16_t)(output->length - output->offset);
    conn_send(conn, io_buffer(conn->io, output->buffer) + output->offset, output->sending);
}

static void go_on(struct session *session);

/* Behind what is still to be sent. */
static void end(struct session *session, enum close_reason reason) {
    struct gate_dialog *dialog = session->gate;
    bool is_sending = session->client_conn.send_armed;
    if (!is_sending && session->flows[TO_CLIENT].length == 0) {
        session_close(session, reason);
        return;
    }
    dialog->ending = reason;
    dialog->is_ending = true;
    if (!is_sending)
        send_output(session);
}

static void add_output(struct session *session, const struct gate_answer *said) {
    struct flow *output = &session->flows[TO_CLIENT];
    memcpy(io_buffer(session->worker->io, output->buffer) + output->length, said->text, said->length);
    output->length = (uint16_t)(output->length + said->length);
    output->cleared = output->shown = output->length;
}

static void log_refusal(const struct session *session, const struct gate_answer *said) {
    char client[ADDRESS_TEXT_MAX], report[GATE_REPORT_MAX];
    gate_report(&session->gate->gate, said, report, sizeof report);
    log_info("gate id=%llu client=%s %s", (unsigned long long)session->id, address_format(&session->client, client),
             report);
}

/* The observer and the log are told as of a backend's reply, but nothing of those who are not admitted: of each there
 * is one line at its end. */
static void answer(struct session *session, const struct gate_answer *said) {
    add_output(session, said);
    session->last_code = said->code;
    if (!is_admitted(session))
        return;
    if (said->code / 100 != 2) {
        counter_add(&session->worker->counters.gate_refused_total, 1);
        log_refusal(session, said);
    }
    relay_note_own_reply(session, said->text, said->length);
}

/* Of a session whose last answer closes it. */
static enum close_reason end_reason(const struct session *session) {
    switch (session->gate->standing) {
    case STANDING_CHECK:
        return CLOSE_CHECKED;
    case STANDING_NOT_VETTED:
        return session->tries > 0 ? CLOSE_REFUSED_BEHIND_FAILURE : CLOSE_REFUSED_AT_RCPT;
    case STANDING_ADMITTED:
        break;
    }
    return CLOSE_CUT_BY_ACCESS;
}

/* The same. Returns false when the session ends behind it. */
static bool say(struct session *session, const struct gate_answer *said) {
    answer(session, said);
    if (said->closes)
        end(session, end_reason(session));
    else
        await_command(session);
    return !said->closes;
}

/* --- the handover --- */

/* What the client has said behind the open command stays in its flow, as what it says from now on. */
static void hand_over(struct session *session) {
    struct flow *input = &session->flows[TO_BACKEND], *output = &session->flows[TO_CLIENT];
    if (!replay_log_is_complete(&session->log, session->offer != OFFER_NONE)) { /* no room: it can't be told all */
        end(session, CLOSE_NO_MEMORY);
        return;
    }
    if (input->has_buffer && input->offset == input->length)
        flow_release(session, input);
    if (output->length > output->offset && !session->client_conn.send_armed)
        send_output(session);
    else if (!session->client_conn.send_armed)
        flow_release(session, output);
    if (!input->has_buffer && !input->at_end && !session->client_conn.recv_armed)
        conn_recv(&session->client_conn, false);
    memset(&session->tried, 0, sizeof session->tried);
    session->search_ms = io_now_ms(session->worker->io);
    session_choose(session);
}

static void go_back(struct session *session, const struct gate_answer *said) {
    session_enter(session, SESSION_GATE);
    if (!has_output(session)) {
        session_close(session, CLOSE_NO_MEMORY);
        return;
    }
    session->gate->is_waiting = false;
    if (say(session, said) && !session->gate->is_taking)
        go_on(session);
}

void gate_dialog_on_unreachable(struct session *session, enum close_reason reason) {
    struct gate_answer said;
    if (session->gate->gate.awaits_tls) { /* a 4xx to STARTTLS would make it go on in clear */
        session_close(session, reason);
        return;
    }
    gate_on_unreachable(&session->gate->gate, &said);
    go_back(session, &said);
}

void gate_dialog_on_refusal(struct session *session, const uint8_t *reply, size_t length) {
    struct gate_answer said;
    bool ends_session = memcmp(reply, "421", 3) == 0 || memcmp(reply, "521", 3) == 0;
    if (session->gate->gate.awaits_tls && !ends_session) { /* as above */
        session_close(session, CLOSE_NO_BACKEND);
        return;
    }
    gate_on_refusal(&session->gate->gate, reply, length, &said);
    go_back(session, &said);
}

void gate_dialog_end(struct session *session) {
    if (session->gate == NULL)
        return;
    pool_put(&session->worker->gates, session->gate);
    session->gate = NULL;
}

/* --- what the client says --- */

/* Acts on what the gate wants; false: nothing more can be taken now. */
static bool take_next(struct session *session, enum gate_next next, const struct gate_answer *said) {
    switch (next) {
    case GATE_REPLIES:
        if (say(session, said))
            return true;
        if (!session->is_check)
            session_count_refusal(session);
        return false;
    case GATE_SKIPS:
        return true;
    case GATE_WAITS:
        session->gate->is_waiting = true;
        set_limit(session, GATE_FACT_MS);
        if (session->flows[TO_CLIENT].length > 0 && !session->client_conn.send_armed)
            send_output(session);
        return false;
    case GATE_HANDS_OVER:
        hand_over(session);
        return session->state == SESSION_GATE && !session->gate->is_ending; /* nobody was there */
    case GATE_QUITS:
        end(session, CLOSE_QUIT_ANSWERED);
        return false;
    case GATE_CUTS_BARE:
        end(session, CLOSE_BARE_LINE_END);
        return false;
    case GATE_CUTS_LINE:
        end(session, CLOSE_LINE_TOO_LONG);
        return false;
    case GATE_CUTS_FOREIGN:
        end(session, CLOSE_NOT_SMTP);
        return false;
    case GATE_CUTS_TALKER:
        end(session, CLOSE_TOO_MANY_ERRORS);
        return false;
    }
    return false;
}

/* The observer is shown what an admitted client says: it knows of more that servers read differently. */
static enum gate_piece show(struct session *session, enum gate_piece piece, const uint8_t *data, size_t length) {
    struct dialog_event event = {.kind = DIALOG_NONE};
    if (!is_admitted(session) || length == 0)
        return piece;
    size_t shown = relay_show_command(session, data, length, &event);
    bool is_clear = shown == length && (piece != PIECE_LINE || event.kind == DIALOG_COMMAND);
    return is_clear ? piece : PIECE_BARE;
}

/* The command should have been the last one of its group. */
static bool is_early(const struct session *session, const uint8_t *line, size_t length) {
    enum smtp_verb verb = command_verb(line, length);
    bool is_hello = verb == VERB_EHLO || verb == VERB_HELO;
    bool is_minded = session->worker->shared->config->gate.pipelining || verb == VERB_STARTTLS;
    return is_admitted(session) && is_minded && gate_must_wait_behind(verb) &&
           (!is_hello || worker_minds_early_talk(session->worker));
}

static bool take_piece(struct session *session, enum gate_piece piece, const uint8_t *data, size_t length,
                       bool is_last) {
    const struct gate_policy policy = policy_of(session);
    struct gate *gate = &session->gate->gate;
    struct gate_answer said = {.length = 0};
    piece = show(session, piece, data, length);
    if (piece == PIECE_LINE && !is_last && is_early(session, data, length)) {
        session->dialog.has_pipelined = true;
        end(session, CLOSE_PIPELINING);
        return false;
    }
    enum gate_next next = gate_take_piece(gate, &policy, piece, data, length, &said);
    session->dialog.is_not_smtp |= gate->is_foreign;
    gate_questions_ask(session);
    if (next == GATE_WAITS) /* it may have been answered just now */
        next = gate_resume(gate, &policy, &said);
    return take_next(session, next, &said);
}

/* Takes what the input holds. Returns false when the session has left, or waits for something else than octets. */
static bool take_input(struct session *session) {
    struct flow *input = &session->flows[TO_BACKEND];
    while (input->has_buffer && input->offset < input->length && session->flows[TO_CLIENT].length < OUTPUT_MAX) {
        const uint8_t *data = io_buffer(session->worker->io, input->buffer) + input->offset;
        size_t left = (size_t)(input->length - input->offset), length;
        enum gate_piece piece = gate_next_piece(session->gate->gate.chunk_left, data, left, &length);
        if (piece == PIECE_UNFINISHED)
            break;
        input->offset = input->shown = input->cleared = (uint16_t)(input->offset + length);
        input->bytes += length;
        if (!take_piece(session, piece, data, length, input->offset == input->length))
            return false;
    }
    if (input->has_buffer && input->offset == input->length)
        flow_release(session, input);
    return true;
}

static void go_on(struct session *session) {
    struct gate_dialog *dialog = session->gate;
    struct conn *conn = &session->client_conn;
    if (dialog->is_teasing || dialog->is_waiting || dialog->is_ending || conn->send_armed)
        return;
    if (!has_output(session)) {
        session_close(session, CLOSE_NO_MEMORY);
        return;
    }
    dialog->is_taking = true;
    bool goes_on = take_input(session);
    dialog->is_taking = false;
    if (!goes_on || conn->send_armed)
        return;
    if (session->flows[TO_CLIENT].length > 0) {
        send_output(session);
        return;
    }
    flow_release(session, &session->flows[TO_CLIENT]); /* none is held while the client is silent */
    if (session->flows[TO_BACKEND].at_end)
        session_close(session, CLOSE_CLIENT_CLOSED);
    else if (!conn->recv_armed)
        conn_recv_at_most(conn, flow_room(&session->flows[TO_BACKEND]));
}

/* A fact is known. */
void gate_dialog_resume(struct session *session) {
    const struct gate_policy policy = policy_of(session);
    struct gate_answer said;
    if (!has_output(session)) {
        session_close(session, CLOSE_NO_MEMORY);
        return;
    }
    enum gate_next next = gate_resume(&session->gate->gate, &policy, &said);
    if (next == GATE_WAITS)
        return;
    session->gate->is_waiting = false;
    session->gate->is_taking = true;
    bool goes_on = take_next(session, next, &said);
    session->gate->is_taking = false;
    if (goes_on)
        go_on(session);
}

/* --- the greeting --- */

static void greet(struct session *session) {
    struct gate_dialog *dialog = session->gate;
    struct gate_answer said;
    if (!has_output(session)) {
        session_close(session, CLOSE_NO_MEMORY);
        return;
    }
    dialog->is_teasing = false;
    gate_greeting(session->worker->shared->config->global.hostname, false, &said);
    answer(session, &said);
    await_command(session);
    if (!session->client_conn.send_armed)
        send_output(session);
}

/* The first line alone, and then nothing: who talks now does not wait for anybody's greeting. */
static void tease(struct session *session, uint64_t wait_ms) {
    struct gate_answer said;
    if (!has_output(session)) {
        session_close(session, CLOSE_NO_MEMORY);
        return;
    }
    session->gate->is_teasing = true;
    gate_greeting(session->worker->shared->config->global.hostname, true, &said);
    add_output(session, &said);
    send_output(session);
    set_limit(session, wait_ms);
}

static bool begin(struct session *session, enum gate_standing standing, unsigned tier) {
    struct gate_dialog *dialog = pool_get(&session->worker->gates);
    if (dialog == NULL) {
        session_close(session, CLOSE_NO_MEMORY);
        return false;
    }
    memset(dialog, 0, sizeof *dialog);
    dialog->standing = standing;
    dialog->tier = (uint8_t)tier;
    session->gate = dialog;
    session_enter(session, SESSION_GATE);
    const struct gate_policy policy = policy_of(session);
    gate_init(&dialog->gate, &policy);
    return true;
}

void gate_dialog_begin(struct session *session, unsigned tier) {
    struct worker *worker = session->worker;
    uint64_t wait_ms = gate_pregreet_ms(&worker->shared->config->gate, is_stressed(session));
    if (!begin(session, STANDING_ADMITTED, tier))
        return;
    session_guard(session);
    session->relay_ms = io_now_ms(worker->io);
    counter_add(&worker->counters.gated_total, 1);
    gate_questions_ask(session);
    if (session->is_early_talker && worker_minds_early_talk(worker))
        session_close(session, CLOSE_TALKED_EARLY);
    else if (wait_ms == 0 || session->is_early_talker || gate_visitor_has_waited(session))
        greet(session);
    else
        tease(session, wait_ms);
}

/* Nothing is learnt of them by a wait. What they said before the greeting is worked off behind it. */
void gate_dialog_begin_refusal(struct session *session) {
    if (!begin(session, session->is_check ? STANDING_CHECK : STANDING_NOT_VETTED, 0))
        return;
    if (!session->is_check)
        session_count_refusal(session);
    greet(session);
}

/* --- events --- */

/* Who may have been invited to talk now by a backend (PIPECONNECT) is answered as if it had waited: what it says is
 * EHLO and an envelope, and what the gate offers it is something else than it remembers, so that it waits from then on.
 */
static void on_talk_before_greeting(struct session *session, int result) {
    struct conn *conn = &session->client_conn;
    if (result <= 0) {
        session_close(session, result == 0 ? CLOSE_CLIENT_LEFT : close_reason_of_client_error(result));
        return;
    }
    bool is_proxy = proxy_in_looks_like(io_buffer(conn->io, conn->received_buffer), (size_t)result);
    session->is_early_talker = true;
    if (!is_proxy && !worker_minds_early_talk(session->worker)) {
        flow_fill(&session->flows[TO_BACKEND], conn->received_buffer, 0, (unsigned)result);
        greet(session);
        return;
    }
    io_buffer_release(conn->io, conn->received_buffer);
    session_close(session, is_proxy ? CLOSE_PROXY_UNLISTED : CLOSE_TALKED_EARLY);
}

void gate_dialog_on_received(struct session *session, int result) {
    if (session->gate->is_teasing) {
        on_talk_before_greeting(session, result);
        return;
    }
    if (result < 0) {
        session_close(session, close_reason_of_client_error(result));
        return;
    }
    if (result > 0) /* behind the beginning of a line that is held already */
        flow_take(session, &session->flows[TO_BACKEND], session->client_conn.received_buffer, (unsigned)result);
    session->flows[TO_BACKEND].at_end |= result == 0;
    go_on(session);
}

void gate_dialog_on_sent(struct session *session, int result) {
    struct flow *output = &session->flows[TO_CLIENT];
    struct gate_dialog *dialog = session->gate;
    if (result < 0) {
        session_close(session, close_reason_of_client_error(result));
        return;
    }
    output->bytes += output->sending;
    output->offset += output->sending;
    output->sending = 0;
    if (output->offset < output->length) {
        send_output(session);
        return;
    }
    flow_release(session, output);
    if (dialog->is_ending)
        session_close(session, dialog->ending);
    else
        go_on(session);
}

void gate_dialog_on_timeout(struct session *session) {
    struct gate_dialog *dialog = session->gate;
    if (dialog->is_teasing) {
        gate_visitor_note(session);
        greet(session);
    } else if (dialog->is_waiting) {
        gate_on_no_answer(&dialog->gate);
        gate_dialog_resume(session);
    } else {
        session_close(session, CLOSE_CLIENT_TIMEOUT);
    }
}
