/* What the gate must know of the DNS: asked of the manager's resolver (lb/dns/questions.h), without the session waiting
 * before it has to. */
#include "lb/relay/gate_questions.h"

#include "lb/relay/gate_session.h"
#include "lb/relay/worker_private.h"

#include <string.h>

/* --- a client's share of the worker's questions --- */

static uint16_t asker_of(const struct session *session) {
    return (uint16_t)(client_key(&session->client) & (GATE_ASKERS - 1));
}

static struct gate_question *take_question(struct worker *worker, uint16_t asker) {
    unsigned share = (GATE_QUESTIONS_MAX - worker->gate_questions_open) / GATE_QUESTIONS_SHARE;
    struct gate_question *asked = worker->gate_askers[asker] > share ? NULL : pool_get(&worker->gate_questions);
    if (asked == NULL)
        return NULL;
    worker->gate_questions_open++;
    worker->gate_askers[asker]++;
    memset(asked, 0, sizeof *asked);
    asked->worker = worker;
    asked->asker = asker;
    return asked;
}

static void give_question_back(struct gate_question *asked) {
    struct worker *worker = asked->worker;
    worker->gate_questions_open--;
    worker->gate_askers[asked->asker]--;
    pool_put(&worker->gate_questions, asked);
}

/* --- asking --- */

static void on_answer(struct dns_question *question) {
    struct gate_question *asked = container_of(question, struct gate_question, question);
    struct session *session = asked->session;
    /* It may be searching for the host meanwhile, and come back. */
    bool is_there = session->id == asked->session_id && session->gate != NULL;
    if (is_there && question->kind == QUESTION_CLIENT_NAME)
        gate_on_client_name(&session->gate->gate, question->name, question->has_failed);
    else if (is_there)
        gate_on_sender_domain(&session->gate->gate, asked->sender_serial, question->mail_domain);
    give_question_back(asked);
    if (is_there)
        session_on_fact(session);
}

/* Without room for another question the answer is none. */
static void ask(struct session *session, enum gate_fact fact) {
    struct worker *worker = session->worker;
    struct gate *gate = &session->gate->gate;
    struct gate_question *asked = take_question(worker, asker_of(session));
    if (asked == NULL && fact == FACT_CLIENT_NAME) {
        gate_on_client_name(gate, "", true);
        return;
    }
    if (asked == NULL) {
        gate_on_sender_domain(gate, gate->sender_serial, MAIL_DOMAIN_FAILED);
        return;
    }
    asked->session = session;
    asked->session_id = session->id;
    asked->sender_serial = gate->sender_serial;
    asked->question.reply = &worker->mailbox;
    asked->question.on_answer = on_answer;
    asked->question.kind = fact == FACT_CLIENT_NAME ? QUESTION_CLIENT_NAME : QUESTION_MAIL_DOMAIN;
    asked->question.client = session->client;
    asked->question.is_vetted = session->is_vetted;
    memcpy(asked->question.domain, gate->sender.domain, sizeof asked->question.domain);
    questions_ask(worker->shared->questions, &asked->question);
}

void gate_questions_ask(struct session *session) {
    enum gate_fact fact;
    while ((fact = gate_take_wanted(&session->gate->gate)) != FACT_NOTHING)
        ask(session, fact);
}
