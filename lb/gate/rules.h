/* The gate's rules: rules.def has a row for each, rules.c a function. Pure. */
#ifndef POSTERN_GATE_RULES_H
#define POSTERN_GATE_RULES_H

#include "lb/gate/answer.h"
#include "lb/gate/state.h"

enum gate_rule_id {
    GATE_NO_RULE,
#define RULE(name, judges, is_on, stage, asks, code, reply, postfix) GATE_RULE_##name,
#include "lb/gate/rules.def"
#undef RULE
    GATE_RULES_COUNT
};

/* "sender_domain"; "protocol" for GATE_NO_RULE. */
const char *gate_rule_name(enum gate_rule_id rule);
/* Tries the rules of a MAIL or of a RCPT. Returns the first that is violated with its reply in `ret_answer`,
 * GATE_NO_RULE when all let it pass; *ret_waits: a fact is missing, nothing is decided. */
enum gate_rule_id gate_try_rules(const struct gate *gate, const struct gate_policy *policy, bool is_recipient,
                                 struct gate_answer *ret_answer, bool *ret_waits);

/* Against no rule but the protocol: counted, and said. Returns GATE_REPLIES. */
enum gate_next gate_say_error(struct gate *gate, struct gate_answer *ret_answer, unsigned code, const char *text);

#endif
