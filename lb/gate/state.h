/* What the gate knows of a client: what it has said so far, and what the DNS has told about that. Pure. */
#ifndef POSTERN_GATE_STATE_H
#define POSTERN_GATE_STATE_H

#include "lb/dns/questions.h"
#include "lb/gate/policy.h"
#include "lb/smtp/domain.h"
#include "lb/smtp/parameters.h"
#include "lb/smtp/path.h"

#include <stdbool.h>
#include <stdint.h>

/* A refusal of the host behind, which is repeated at each recipient. */
#define GATE_REFUSAL_MAX 512u

/* What the DNS is asked. */
enum gate_fact { FACT_NOTHING, FACT_CLIENT_NAME, FACT_SENDER_DOMAIN, FACTS_COUNT };
enum gate_fact_state { FACT_UNASKED, FACT_WANTED, FACT_ASKED, FACT_KNOWN };

struct gate {
    char helo[SMTP_DOMAIN_MAX + 1]; /* "": none yet */
    char client_name[SMTP_DOMAIN_MAX + 1];
    char refusal[GATE_REFUSAL_MAX]; /* of the transaction, by the host behind, or at MAIL for now; "": none */
    struct smtp_path sender;
    struct smtp_path recipient;
    struct smtp_parameters parameters;
    enum mail_domain sender_domain;
    uint8_t facts[FACTS_COUNT]; /* enum gate_fact_state */
    uint64_t chunk_left;        /* of a chunk whose BDAT was refused */
    uint16_t sender_serial; /* an answer about an earlier sender is none about this one; GATE_COMMANDS_MAX bounds it */
    uint16_t refusal_code;
    uint8_t rule; /* enum gate_rule_id of the last refusal; of protocol errors GATE_NO_RULE */
    uint16_t commands;
    uint16_t errors;
    uint16_t recipients; /* of this transaction, refused */
    bool client_name_has_failed;
    bool has_helo;
    bool is_extended; /* it said EHLO */
    bool has_sender;
    bool awaits_tls; /* handed over for STARTTLS, else for a recipient */
    bool is_foreign; /* it has spoken HTTP or TLS, or said a mail's header */
};

/* A client has come; its name is wanted where access-file has names, of those who are admitted. */
void gate_init(struct gate *gate, const struct gate_policy *policy);
/* Its sender has a domain of which the DNS can tell something: it is asked, and believed, of no other. */
bool gate_has_domain_to_ask(const struct gate *gate);
/* The sender of a MAIL that is answered: its domain is wanted where a rule asks for it. */
void gate_begin_transaction(struct gate *gate, const struct gate_policy *policy);
/* What was said of a mail is forgotten. */
void gate_end_transaction(struct gate *gate);

/* A fact whose state is FACT_WANTED is to be asked for; sets FACT_ASKED. FACT_NOTHING: none. */
enum gate_fact gate_take_wanted(struct gate *gate);
/* `has_failed`: the DNS gave no answer, which proves nothing about the client. */
void gate_on_client_name(struct gate *gate, const char *name, bool has_failed);
void gate_on_sender_domain(struct gate *gate, uint16_t serial, enum mail_domain sender_domain);
/* The question that this fact is the answer to; what else is in it is the caller's. */
void gate_put_question(const struct gate *gate, enum gate_fact fact, struct dns_question *ret_question);
/* Its answer, with the serial that the gate had when it was asked. */
void gate_on_answer(struct gate *gate, uint16_t serial, const struct dns_question *question);
/* It can't be asked: that is no answer. */
void gate_on_unasked(struct gate *gate, enum gate_fact fact);
/* What has been asked for is awaited no longer. */
void gate_on_no_answer(struct gate *gate);

#endif
