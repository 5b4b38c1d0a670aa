/* What the gate must know of the DNS, asked of the manager's resolver (lb/dns/questions.h). The session does not wait
 * before it has to; gate_dialog.c hears that the answer has come. A question is memory of a worker's pool, and given
 * back with its answer even when the session has ended meanwhile. */
#include "lb/relay/gate_questions.h"

#include "lb/relay/gate_session.h"
#include "lb/relay/worker_private.h"

#include <string.h>

static struct gate_question *take_question(struct session *session) {
    struct worker *worker = session->worker;
    struct gate_question *asked;
    uint16_t asker;
    if (!gate_askers_admit(&worker->gate_askers, client_key(&session->client.address), &asker))
        return NULL;
    asked = pool_get(&worker->gate_questions);
    if (asked == NULL) {
        gate_askers_give_back(&worker->gate_askers, asker);
        return NULL;
    }
    memset(asked, 0, sizeof *asked);
    asked->worker = worker;
    asked->asker = asker;
    return asked;
}

static void give_question_back(struct gate_question *asked) {
    gate_askers_give_back(&asked->worker->gate_askers, asked->asker);
    pool_put(&asked->worker->gate_questions, asked);
}

static void on_answer(struct dns_question *question) {
    struct gate_question *asked = container_of(question, struct gate_question, question);
    struct session *session = asked->session;
    /* It may be searching for the host meanwhile, and come back. */
    bool is_there = session->id == asked->session_id && session->gate != NULL;
    if (is_there)
        gate_on_answer(&session->gate->gate, asked->sender_serial, question);
    give_question_back(asked);
    if (is_there)
        session_on_fact(session);
}

static void ask(struct session *session, enum gate_fact fact) {
    struct worker *worker = session->worker;
    struct gate *gate = &session->gate->gate;
    struct gate_question *asked = take_question(session);
    if (asked == NULL) {
        gate_on_unasked(gate, fact);
        return;
    }
    asked->session = session;
    asked->session_id = session->id;
    asked->sender_serial = gate->sender_serial;
    asked->question.reply = &worker->mailbox;
    asked->question.on_answer = on_answer;
    asked->question.client = session->client.address;
    asked->question.is_vetted = session->client.is_vetted;
    gate_put_question(gate, fact, &asked->question);
    questions_ask(worker->shared->questions, &asked->question);
}

void gate_questions_ask(struct session *session) {
    enum gate_fact fact;
    while ((fact = gate_take_wanted(&session->gate->gate)) != FACT_NOTHING)
        ask(session, fact);
}
