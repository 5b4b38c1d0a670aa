/* The gate: postern speaks SMTP with an admitted client itself, up to the first recipient that every rule lets pass, so
 * that junk never reaches the host behind. Then that host is connected and told the same, and answers from there on.
 *
 * Pure: the caller cuts lines, passes in what the DNS and the files say, and does what gate_next asks for. */
#ifndef POSTERN_GATE_GATE_H
#define POSTERN_GATE_GATE_H

#include "lb/dns/questions.h"
#include "lb/gate/answer.h"
#include "lb/gate/input.h"
#include "lb/gate/policy.h"
#include "lb/smtp/command.h"
#include "lb/smtp/parameters.h"
#include "lb/smtp/path.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A refusal of the host behind, which is repeated at each recipient. */
#define GATE_REFUSAL_MAX 512u
/* Commands and errors after which a client that has come no further is cut; Postfix' smtpd_hard_error_limit is 20, and
 * 1 under stress. Recipients are counted by max-recipients instead. */
#define GATE_COMMANDS_MAX        300u
#define GATE_ERRORS_MAX          20u
#define GATE_ERRORS_STRESSED_MAX 1u
/* The same for those of whom no mail is taken: they have little reason to say more. */
#define GATE_REFUSED_COMMANDS_MAX 200u
#define GATE_REFUSED_ERRORS_MAX   10u

enum gate_next {
    GATE_REPLIES,      /* the answer holds the reply */
    GATE_SKIPS,        /* content that nobody takes: there is no reply to that */
    GATE_WAITS,        /* a fact is awaited: gate_resume() when it is known */
    GATE_HANDS_OVER,   /* the host behind answers this command */
    GATE_QUITS,        /* it said QUIT */
    GATE_CUTS_BARE,    /* a bare CR or LF */
    GATE_CUTS_LINE,    /* the line is too long */
    GATE_CUTS_FOREIGN, /* it is not SMTP: HTTP, TLS or a mail's header */
    GATE_CUTS_TALKER,  /* too many commands or errors */
};

/* What the DNS is asked. */
enum gate_fact { FACT_NOTHING, FACT_CLIENT_NAME, FACT_SENDER_DOMAIN, FACTS_COUNT };
enum gate_fact_state { FACT_UNASKED, FACT_WANTED, FACT_ASKED, FACT_KNOWN };

enum gate_rule_id {
    GATE_NO_RULE,
#define RULE(name, judges, is_on, stage, asks, code, reply, postfix) GATE_RULE_##name,
#include "lb/gate/rules.def"
#undef RULE
    GATE_RULES_COUNT
};

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

/* The client has been let in; its name is wanted where access-file has names. */
void gate_init(struct gate *gate, const struct gate_policy *policy);
/* The greeting's last line, or the one before it. */
void gate_greeting(const char *hostname, bool goes_on, struct gate_answer *ret_answer);

/* The next piece of what the client says (gate_next_piece(), of gate->chunk_left). Where the gate cuts a client that is
 * admitted, the caller says why, in the words of its reason; others hear it in the answer. */
enum gate_next gate_take_piece(struct gate *gate, const struct gate_policy *policy, enum gate_piece piece,
                               const uint8_t *data, size_t length, struct gate_answer *ret_answer);
/* One command line with its CRLF, which ends it and occurs nowhere else. */
enum gate_next gate_take(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                         struct gate_answer *ret_answer);
/* After GATE_WAITS. */
enum gate_next gate_resume(struct gate *gate, const struct gate_policy *policy, struct gate_answer *ret_answer);

/* After GATE_HANDS_OVER: nobody is there who could answer. */
void gate_on_unreachable(struct gate *gate, struct gate_answer *ret_answer);
/* After GATE_HANDS_OVER: the host's own refusal, a complete reply, is the answer here and for the rest of the
 * transaction. */
void gate_on_refusal(struct gate *gate, const uint8_t *reply, size_t length, struct gate_answer *ret_answer);

/* A fact whose state is FACT_WANTED is to be asked for; sets FACT_ASKED. FACT_NOTHING: none. */
enum gate_fact gate_take_wanted(struct gate *gate);
/* `has_failed`: the DNS gave no answer, which proves nothing about the client. */
void gate_on_client_name(struct gate *gate, const char *name, bool has_failed);
void gate_on_sender_domain(struct gate *gate, uint16_t serial, enum mail_domain sender_domain);
/* What has been asked for is awaited no longer. */
void gate_on_no_answer(struct gate *gate);

/* The command must be the last of its group (RFC 2920 §3.1): octets behind it have come too early. */
bool gate_must_wait_behind(enum smtp_verb verb);
/* "sender-domain"; "protocol" for GATE_NO_RULE. */
const char *gate_rule_name(enum gate_rule_id rule);

/* --- rules.c --- */

/* Tries the rules of a MAIL or of a RCPT. Returns the first that is violated with its reply in `ret_answer`,
 * GATE_NO_RULE when all let it pass; *ret_waits: a fact is missing, nothing is decided. */
enum gate_rule_id gate_try_rules(const struct gate *gate, const struct gate_policy *policy, bool is_recipient,
                                 struct gate_answer *ret_answer, bool *ret_waits);

#endif
