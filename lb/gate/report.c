/* A refusal of the gate's as the log has it. The words of a client's that the line repeats are quoted, so that they
 * can't end their value, or the line. lb/relay/gate_session.c writes it. Pure. */
#include "lb/gate/report.h"

#include "lb/engine/log.h"
#include "lb/gate/rules.h"
#include "lb/smtp/reply.h"

#include <stdio.h>
#include <string.h>

/* "sender-domain" of sender_domain. */
static void write_rule(enum gate_rule_id rule, char *ret_text, size_t size) {
    snprintf(ret_text, size, "%s", gate_rule_name(rule));
    for (char *at = ret_text; (at = strchr(at, '_')) != NULL;)
        *at = '-';
}

void gate_report(const struct gate *gate, const struct gate_answer *answer, char *ret_text, size_t size) {
    char sender[PATH_TEXT_MAX] = "-", recipient[PATH_TEXT_MAX] = "-", helo[SMTP_DOMAIN_MAX + 1], reply[120], rule[32];
    write_rule((enum gate_rule_id)gate->rule, rule, sizeof rule);
    reply_excerpt((const uint8_t *)answer->text, answer->length, reply, sizeof reply);
    memcpy(helo, gate->helo, sizeof helo);
    if (gate->has_sender) {
        path_format(&gate->sender, sender, sizeof sender);
        path_format(&gate->recipient, recipient, sizeof recipient);
    }
    log_quote(sender);
    log_quote(recipient);
    log_quote(helo);
    log_quote(reply);
    snprintf(ret_text, size, "rule=%s reply=\"%s\" from=\"<%s>\" to=\"<%s>\" helo=\"%s\"", rule, reply, sender,
             recipient, helo);
}
