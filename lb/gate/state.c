/* What the gate knows of a client, and which of it the DNS is to be asked. A fact is wanted as soon as its subject is
 * known, so that most have their answer before it is needed; an answer about an earlier sender is none about this one.
 * Pure. Fatal here, by asserts, is an answer that nobody has asked for. */
#include "lb/gate/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof((struct dns_question *)0)->domain == sizeof((struct smtp_path *)0)->domain,
               "a question holds each domain");

void gate_init(struct gate *gate, const struct gate_policy *policy) {
    memset(gate, 0, sizeof *gate);
    bool is_asked = gate_admits(policy) && gate_tables_need_name(policy->tables);
    gate->facts[FACT_CLIENT_NAME] = is_asked ? FACT_WANTED : FACT_KNOWN;
}

bool gate_has_domain_to_ask(const struct gate *gate) {
    return !gate->sender.is_null && !gate->sender.is_literal && gate->sender.domain[0] != '\0';
}

void gate_begin_transaction(struct gate *gate, const struct gate_policy *policy) {
    gate->has_sender = true;
    gate->recipients = 0;
    gate->sender_serial++;
    bool is_asked = policy->config->sender_domain && gate_has_domain_to_ask(gate);
    gate->facts[FACT_SENDER_DOMAIN] = is_asked ? FACT_WANTED : FACT_KNOWN;
}

void gate_end_transaction(struct gate *gate) {
    gate->has_sender = false;
    gate->refusal[0] = '\0';
    gate->recipients = 0;
    gate->sender_serial++;
    gate->facts[FACT_SENDER_DOMAIN] = FACT_UNASKED;
}

/* --- facts --- */

enum gate_fact gate_take_wanted(struct gate *gate) {
    for (unsigned fact = FACT_NOTHING + 1; fact < FACTS_COUNT; fact++) {
        if (gate->facts[fact] == FACT_WANTED) {
            gate->facts[fact] = FACT_ASKED;
            return (enum gate_fact)fact;
        }
    }
    return FACT_NOTHING;
}

void gate_on_client_name(struct gate *gate, const char *name, bool has_failed) {
    snprintf(gate->client_name, sizeof gate->client_name, "%s", name);
    gate->client_name_has_failed = has_failed;
    gate->facts[FACT_CLIENT_NAME] = FACT_KNOWN;
}

void gate_on_sender_domain(struct gate *gate, uint16_t serial, enum mail_domain sender_domain) {
    if (serial != gate->sender_serial || gate->facts[FACT_SENDER_DOMAIN] != FACT_ASKED)
        return;
    gate->sender_domain = sender_domain;
    gate->facts[FACT_SENDER_DOMAIN] = FACT_KNOWN;
}

void gate_put_question(const struct gate *gate, enum gate_fact fact, struct dns_question *ret_question) {
    assert(fact == FACT_CLIENT_NAME || fact == FACT_SENDER_DOMAIN);
    assert(gate->facts[fact] == FACT_ASKED);
    ret_question->kind = fact == FACT_CLIENT_NAME ? QUESTION_CLIENT_NAME : QUESTION_MAIL_DOMAIN;
    memcpy(ret_question->domain, gate->sender.domain, sizeof ret_question->domain);
}

void gate_on_answer(struct gate *gate, uint16_t serial, const struct dns_question *question) {
    if (question->kind == QUESTION_CLIENT_NAME)
        gate_on_client_name(gate, question->name, question->has_failed);
    else
        gate_on_sender_domain(gate, serial, question->mail_domain);
}

void gate_on_unasked(struct gate *gate, enum gate_fact fact) {
    if (fact == FACT_CLIENT_NAME)
        gate_on_client_name(gate, "", true);
    else
        gate_on_sender_domain(gate, gate->sender_serial, MAIL_DOMAIN_FAILED);
}

void gate_on_no_answer(struct gate *gate) {
    if (gate->facts[FACT_CLIENT_NAME] == FACT_ASKED)
        gate_on_unasked(gate, FACT_CLIENT_NAME);
    gate_on_unasked(gate, FACT_SENDER_DOMAIN);
}
