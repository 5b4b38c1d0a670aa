/* The gate's part of a session: its memory, the answers that it says, its deadline and its end. gate_greeting.c and
 * gate_dialog.c call it. It serves clients of whom no mail is taken as well: those that are not admitted, where refuse
 * = rcpt, and the health checks of a balancer. Owns session->gate. */
#include "lb/relay/gate_session.h"

#include "lb/engine/log.h"
#include "lb/gate/report.h"
#include "lb/relay/flow.h"
#include "lb/relay/observe.h"
#include "lb/relay/worker_private.h"

#include <string.h>

bool gate_open(struct session *session, enum gate_standing standing, unsigned tier) {
    struct gate_dialog *dialog = pool_get(&session->worker->gates);
    if (dialog == NULL)
        return false;
    memset(dialog, 0, sizeof *dialog);
    dialog->standing = standing;
    dialog->tier = (uint8_t)tier;
    session->gate = dialog;
    const struct gate_policy policy = gate_policy_of(session);
    gate_init(&dialog->gate, &policy);
    return true;
}

void gate_forget(struct session *session) {
    if (session->gate != NULL)
        pool_put(&session->worker->gates, session->gate);
    session->gate = NULL;
}

/* --- what it goes by --- */

static bool is_admitted(const struct session *session) {
    return session->gate->standing == STANDING_ADMITTED;
}

struct gate_policy gate_policy_of(const struct session *session) {
    const struct worker *worker = session->worker;
    const struct gate_dialog *dialog = session->gate;
    struct gate_policy policy = {
        .config = &worker->shared->config->gate,
        .tables = atomic_load(&worker->shared->gate_tables),
        .hostname = worker->shared->config->global.hostname,
        .offer = "",
        .client = &session->client.address,
        .standing = dialog->standing,
        .is_stressed = gate_is_stressed(atomic_load_explicit(&worker->shared->sessions, memory_order_relaxed),
                                        worker->shared->sessions_max),
        .minds_early_talk = worker_minds_early_talk(worker),
    };
    if (is_admitted(session)) {
        policy.offer = worker->view->tiers[dialog->tier].offer;
        policy.usual_size_max = gate_usual_size(worker->view, dialog->tier);
    }
    return policy;
}

void gate_set_limit(struct session *session, uint64_t ms) {
    struct io *io = session_io(session);
    timer_set(io_timers(io), &session->deadline, io_now_ms(io) + ms);
}

void gate_await_command(struct session *session) {
    const struct gate_policy policy = gate_policy_of(session);
    uint64_t client_ms = session->worker->shared->config->timeouts.client_ms;
    gate_set_limit(session, gate_command_ms(policy.standing, client_ms, policy.is_stressed));
}

/* --- what it says --- */

bool gate_has_output(struct session *session) {
    struct flow *output = &session->client.flows[TO_CLIENT];
    unsigned id;
    if (output->has_buffer)
        return true;
    if (!io_buffer_take(session_io(session), &id))
        return false;
    flow_fill(output, (uint16_t)id, 0, 0);
    return true;
}

void gate_send_output(struct session *session) {
    struct flow *output = &session->client.flows[TO_CLIENT];
    struct conn *conn = &session->client.conn;
    output->sending = (uint16_t)(output->length - output->offset);
    conn_send(conn, io_buffer(conn->io, output->buffer) + output->offset, output->sending);
}

void gate_add_output(struct session *session, const struct gate_answer *said) {
    struct flow *output = &session->client.flows[TO_CLIENT];
    memcpy(io_buffer(session_io(session), output->buffer) + output->length, said->text, said->length);
    output->length = (uint16_t)(output->length + said->length);
    output->cleared = output->shown = output->length;
}

static void log_refusal(const struct session *session, const struct gate_answer *said) {
    char client[ADDRESS_TEXT_MAX], report[GATE_REPORT_MAX];
    gate_report(&session->gate->gate, said, report, sizeof report);
    log_info("gate id=%llu client=%s %s", (unsigned long long)session->id,
             address_format(&session->client.address, client), report);
}

/* The observer and the log are told as of a backend's reply, but nothing of those who are not admitted: of each there
 * is one line at its end. */
void gate_answer(struct session *session, const struct gate_answer *said) {
    gate_add_output(session, said);
    session->client.last_code = said->code;
    if (!is_admitted(session))
        return;
    if (said->code / 100 != 2) {
        counter_add(&session->worker->counters.gate_refused_total, 1);
        log_refusal(session, said);
    }
    observe_own_reply(session, said->text, said->length);
}

/* Of a session whose last answer closes it. */
static enum close_reason end_reason(const struct session *session) {
    switch (session->gate->standing) {
    case STANDING_CHECK:
        return CLOSE_CHECKED;
    case STANDING_NOT_VETTED:
        return session->search.tries > 0 ? CLOSE_REFUSED_BEHIND_FAILURE : CLOSE_REFUSED_AT_RCPT;
    case STANDING_ADMITTED:
        break;
    }
    return CLOSE_CUT_BY_ACCESS;
}

enum stage_id gate_end(struct session *session, enum close_reason reason) {
    bool is_sending = session->client.conn.send_armed;
    if (!is_sending && session->client.flows[TO_CLIENT].length == 0)
        return session_end(session, reason);
    session_expect_end(session, reason);
    session->gate->is_ending = true;
    if (!is_sending)
        gate_send_output(session);
    return STAGE_SAME;
}

enum stage_id gate_say(struct session *session, const struct gate_answer *said) {
    gate_answer(session, said);
    gate_await_command(session);
    return said->closes ? gate_end(session, end_reason(session)) : STAGE_SAME;
}
