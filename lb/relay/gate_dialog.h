/* The gate's side of a session, beside its pure part (lb/gate/gate.h): octets, deadlines, questions to the DNS, and the
 * handover to the host behind. Memory of a worker's pool while the session is in the gate. The same serves those of
 * whom no mail is taken: clients that are not admitted, where refuse = rcpt, and the health checks of a balancer. */
#ifndef POSTERN_RELAY_GATE_DIALOG_H
#define POSTERN_RELAY_GATE_DIALOG_H

#include "lb/dns/questions.h"
#include "lb/gate/gate.h"
#include "lb/relay/session.h"

struct gate_dialog {
    void *pool_link; /* overwritten while free */
    struct gate gate;
    enum close_reason ending; /* with `is_ending`: once what is being sent has gone */
    enum gate_standing standing;
    uint8_t tier;        /* of an admitted client's host */
    bool is_teasing : 1; /* "220-" is out: nothing may be said yet */
    bool is_waiting : 1; /* for a fact */
    bool is_ending : 1;
    bool is_taking : 1; /* input is being worked off: who comes back to the gate meanwhile need not go on */
};

/* A question on its way: it may outlive its session, whose memory may belong to another one by then. */
struct gate_question {
    struct dns_question question;
    struct worker *worker;
    struct session *session;
    uint64_t session_id;
    uint16_t sender_serial;
    uint16_t asker; /* of worker->gate_askers */
};

/* Whether this client has once kept silent until the greeting; and that it has now. */
bool gate_visitor_has_waited(const struct session *session);
void gate_visitor_note(const struct session *session);
/* Asks for what the gate wants to know. */
void gate_questions_ask(struct session *session);
/* The fact that was awaited is known. */
void gate_dialog_resume(struct session *session);

#endif
