/* What the gate asks the DNS (gate_questions.c). */
#ifndef POSTERN_RELAY_GATE_QUESTIONS_H
#define POSTERN_RELAY_GATE_QUESTIONS_H

#include "lb/dns/questions.h"

#include <stdint.h>

struct session;
struct worker;

/* A question on its way: it may outlive its session, whose memory may belong to another one by then. */
struct gate_question {
    struct dns_question question;
    struct worker *worker;
    struct session *session;
    uint64_t session_id;
    uint16_t sender_serial;
    uint16_t asker; /* of worker->gate_askers */
};

/* Asks for what the gate wants to know. */
void gate_questions_ask(struct session *session);

#endif
