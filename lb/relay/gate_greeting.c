/* The stages in which the gate greets. An admitted client is shown the greeting's first line alone and has to keep
 * silent for a while: junk can't, and is cut before it has said a command. Behind the greeting the session is in the
 * stage GATE (gate_dialog.c). */
#include "lb/relay/gate_greeting.h"

#include "lb/gate/visitors.h"
#include "lb/relay/early.h"
#include "lb/relay/flow.h"
#include "lb/relay/gate_questions.h"
#include "lb/relay/gate_session.h"
#include "lb/relay/worker_private.h"

static enum stage_id greet(struct session *session) {
    struct gate_answer said;
    if (!gate_has_output(session))
        return session_end(session, CLOSE_NO_MEMORY);
    session->gate->is_teasing = false;
    gate_greeting(session->worker->shared->config->global.hostname, false, &said);
    gate_answer(session, &said);
    gate_await_command(session);
    if (!session->client.conn.send_armed)
        gate_send_output(session);
    return STAGE_SAME;
}

/* The first line alone, and then nothing: who talks now does not wait for anybody's greeting. */
static enum stage_id tease(struct session *session, uint64_t wait_ms) {
    struct gate_answer said;
    if (!gate_has_output(session))
        return session_end(session, CLOSE_NO_MEMORY);
    session->gate->is_teasing = true;
    gate_greeting(session->worker->shared->config->global.hostname, true, &said);
    gate_add_output(session, &said);
    gate_send_output(session);
    gate_set_limit(session, wait_ms);
    return STAGE_SAME;
}

static bool has_waited(const struct session *session) {
    return gate_visitors_have(session->worker->shared->gate_visitors, client_key(&session->client.address),
                              io_now_ms(session_io(session)));
}

static enum stage_id begin_opens(struct session *session) {
    struct worker *worker = session->worker;
    if (!gate_open(session, STANDING_ADMITTED, session->search.tier))
        return session_end(session, CLOSE_NO_MEMORY);
    const struct gate_policy policy = gate_policy_of(session);
    uint64_t wait_ms = gate_pregreet_ms(policy.config, policy.is_stressed);
    session_guard(session);
    session->client.has_greeted = true;
    session->client.greeted_ms = io_now_ms(worker->io);
    counter_add(&worker->counters.gated_total, 1);
    gate_questions_ask(session);
    if (session->client.is_early_talker && policy.minds_early_talk)
        return session_end(session, CLOSE_TALKED_EARLY);
    bool may_greet = wait_ms == 0 || session->client.is_early_talker || has_waited(session);
    enum stage_id next = may_greet ? greet(session) : tease(session, wait_ms);
    return next == STAGE_SAME ? STAGE_GATE : next;
}

/* Nothing is learnt of them by a wait. What they said before the greeting is worked off behind it. */
static enum stage_id begin_refuses(struct session *session) {
    if (!gate_open(session, session->client.is_check ? STANDING_CHECK : STANDING_NOT_VETTED, 0))
        return session_end(session, CLOSE_NO_MEMORY);
    if (!session->client.is_check)
        session_count_refusal(session);
    enum stage_id next = greet(session);
    return next == STAGE_SAME ? STAGE_GATE : next;
}

/* Who may have been invited to talk now by a backend (PIPECONNECT) is answered as if it had waited: what it says is
 * EHLO and an envelope, and what the gate offers it is something else than it remembers, so that it waits from then on.
 */
enum stage_id gate_on_early_talk(struct session *session, int result) {
    struct conn *conn = &session->client.conn;
    if (result <= 0)
        return session_end(session, result == 0 ? CLOSE_CLIENT_LEFT : close_reason_of_client_error(result));
    bool is_proxy = early_is_proxy_header(io_buffer(conn->io, conn->received_buffer), (size_t)result);
    session->client.is_early_talker = true;
    if (!is_proxy && !worker_minds_early_talk(session->worker)) {
        flow_fill(&session->client.flows[TO_BACKEND], conn->received_buffer, 0, (unsigned)result);
        return greet(session);
    }
    io_buffer_release(conn->io, conn->received_buffer);
    return session_end(session, is_proxy ? CLOSE_PROXY_UNLISTED : CLOSE_TALKED_EARLY);
}

enum stage_id gate_on_teased(struct session *session) {
    gate_visitors_note(session->worker->shared->gate_visitors, client_key(&session->client.address),
                       io_now_ms(session_io(session)));
    return greet(session);
}

/* --- the stages --- */

const struct stage stage_gate_opens = {
    .name = "gate-opens",
    .moves = TO(GATE) | TO(ENDING),
    .is_transient = true,
    .begin = begin_opens,
};

const struct stage stage_gate_refuses = {
    .name = "gate-refuses",
    .moves = TO(GATE) | TO(ENDING),
    .is_transient = true,
    .begin = begin_refuses,
};
