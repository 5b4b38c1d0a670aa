/* The gate's dialog: one reply for each command, in order. What the client has said so far stands in struct gate; what
 * of it is against a rule is said where Postfix says it: at each RCPT. The gate itself accepts no mail: the first
 * recipient that no rule holds anything against is the host's to answer.
 *
 * lb/relay/gate_dialog.c brings the client's octets and does what gate_next asks for. Pure; struct gate is the
 * caller's. What a client does wrong has an answer; what a caller does wrong is fatal, by asserts. */
#include "lb/gate/gate.h"

#include "lb/gate/envelope.h"
#include "lb/gate/rules.h"
#include "lb/smtp/ehlo.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* What common senders insist on (one that needs SMTPUTF8 and is not offered it bounces its mail), but no TLS. */
#define OFFER_TO_REFUSED "PIPELINING\nSIZE\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES\n"

void gate_greeting(const char *hostname, bool goes_on, struct gate_answer *ret_answer) {
    int length =
        snprintf(ret_answer->text, sizeof ret_answer->text, "220%c%s ESMTP\r\n", goes_on ? '-' : ' ', hostname);
    answer_finish(ret_answer, 220, (size_t)length);
}

/* The command must be the last of its group (RFC 2920 §3.1): octets behind it have come too early. */
static bool must_wait_behind(enum smtp_verb verb) {
    return verb == VERB_EHLO || verb == VERB_HELO || verb == VERB_DATA || verb == VERB_STARTTLS;
}

/* Behind STARTTLS always: what is said in clear there could be taken for what is said inside TLS (CVE-2011-0411). */
bool gate_comes_early(const struct gate_policy *policy, const uint8_t *line, size_t length) {
    enum smtp_verb verb = command_verb(line, length);
    bool is_hello = verb == VERB_EHLO || verb == VERB_HELO;
    bool is_minded = policy->config->pipelining || verb == VERB_STARTTLS;
    return gate_admits(policy) && is_minded && must_wait_behind(verb) && (!is_hello || policy->minds_early_talk);
}

/* --- replies --- */

/* Who is not admitted is cut with a 4xx: a sender might act on anything else for good. */
static enum gate_next end_with(const struct gate_policy *policy, const char *text, struct gate_answer *answer) {
    return answer_say_named(answer, 421, "4.7.0", policy->hostname, text);
}

/* A client that is admitted hears of its end from the caller, whose reasons have their own words. */
static enum gate_next cut(struct gate *gate, const struct gate_policy *policy, enum gate_next why, const char *text,
                          struct gate_answer *answer) {
    gate->is_foreign |= why == GATE_CUTS_FOREIGN;
    return gate_admits(policy) ? why : end_with(policy, text, answer);
}

/* --- commands --- */

/* "250-hostname", then a line each of what the host behind offers; what has no room is left out, since less is always
 * safe. */
static void write_offer(const struct gate_policy *policy, struct gate_answer *answer) {
    const char *line = gate_admits(policy) ? policy->offer : OFFER_TO_REFUSED;
    size_t room = sizeof answer->text, last = 0;
    size_t end = (size_t)snprintf(answer->text, room, "250-%s\r\n", policy->hostname);
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");
        if (end + length + strlen("250-\r\n") >= room)
            break;
        last = end;
        end += (size_t)snprintf(answer->text + last, room - last, "250-%.*s\r\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    answer->text[last + 3] = ' ';
    answer_finish(answer, 250, end);
}

static enum gate_next take_hello(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                 size_t length, struct gate_answer *answer) {
    size_t name_length;
    bool is_extended = command_verb(line, length) == VERB_EHLO;
    const char *name = command_argument(line, length, &name_length);
    bool is_name = name_length > 0 && name_length <= SMTP_DOMAIN_MAX && memchr(name, '\0', name_length) == NULL;
    if (!is_name && gate_admits(policy))
        return gate_say_error(gate, answer, 501,
                              is_extended ? "5.5.4 Syntax: EHLO hostname" : "5.5.4 Syntax: HELO hostname");
    gate_end_transaction(gate);
    snprintf(gate->helo, sizeof gate->helo, "%.*s", is_name ? (int)name_length : 0, name);
    gate->has_helo = true;
    gate->is_extended = is_extended;
    if (!is_extended)
        return answer_say(answer, 250, policy->hostname);
    write_offer(policy, answer);
    return GATE_REPLIES;
}

static bool is_offered(const struct gate_policy *policy, const char *keyword) {
    return ehlo_lines_have(policy->offer, keyword, strlen(keyword));
}

/* No recipient was accepted, or the host behind would be asked. */
static enum gate_next refuse_content(struct gate *gate, const struct gate_policy *policy, struct gate_answer *answer) {
    if (!gate_admits(policy))
        return answer_say(answer, 451, "4.3.2 No recipient is accepted now");
    return gate->has_sender && gate->recipients > 0
               ? gate_say_error(gate, answer, 554, "5.5.1 Error: no valid recipients")
               : gate_say_error(gate, answer, 503, "5.5.1 Error: need RCPT command");
}

/* It is thrown away. The last one ends the mail, accepted or not, for the host behind as for us. */
static enum gate_next take_chunk(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                 size_t length, struct gate_answer *answer) {
    uint64_t size = 0;
    bool is_last = false;
    bool has_size = command_parse_bdat(line, length, &size, &is_last);
    if (!has_size && !gate_admits(policy))
        return end_with(policy, "Error: BDAT without a size", answer);
    enum gate_next next = refuse_content(gate, policy, answer);
    gate->chunk_left = has_size ? size : 0;
    if (has_size && is_last)
        gate_end_transaction(gate);
    return next;
}

static enum gate_next take_starttls(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                    size_t length, struct gate_answer *answer) {
    size_t argument_length;
    (void)command_argument(line, length, &argument_length);
    if (!gate_admits(policy))
        return answer_say(answer, 454, "4.7.0 TLS not available now");
    if (argument_length > 0)
        return gate_say_error(gate, answer, 501, "5.5.4 Syntax: STARTTLS");
    if (!gate->is_extended)
        return gate_say_error(gate, answer, 503, "5.5.1 Error: send EHLO first");
    if (!is_offered(policy, "STARTTLS"))
        return gate_say_error(gate, answer, 502, "5.5.1 Error: command not implemented");
    gate->awaits_tls = true;
    return GATE_HANDS_OVER;
}

/* Commands whose answer is the same at all times: to clients that are admitted, to others. No address is told (Postfix'
 * disable_vrfy_command says 502 to VRFY). */
static const struct gate_words plain_answers[VERBS_COUNT][2] = {
    [VERB_NOOP] = {{250, "2.0.0 Ok"}, {250, "2.0.0 Ok"}},
    [VERB_VRFY] = {{252, "2.0.0 Send some mail, it will be tried"}, {252, "2.0.0 Ok"}},
    [VERB_HELP] = {{214, "2.0.0 RFC 5321"}, {214, "2.0.0 RFC 5321"}},
    [VERB_AUTH] = {{503, "5.5.1 Error: authentication not enabled"}, {502, "5.5.1 Error: command not recognized"}},
    [VERB_EXPN] = {{502, "5.5.1 Error: command not implemented"}, {502, "5.5.1 Error: command not recognized"}},
    [VERB_OTHER] = {{502, "5.5.2 Error: command not recognized"}, {502, "5.5.1 Error: command not recognized"}},
};

static enum gate_next answer_plainly(struct gate *gate, const struct gate_policy *policy, enum smtp_verb verb,
                                     struct gate_answer *answer) {
    const struct gate_words *words = &plain_answers[verb][gate_admits(policy) ? 0 : 1];
    return words->code / 100 == 2 ? answer_say(answer, words->code, words->text)
                                  : gate_say_error(gate, answer, words->code, words->text);
}

static enum gate_next take_command(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                   size_t length, struct gate_answer *answer) {
    enum smtp_verb verb = command_verb(line, length);
    switch (verb) {
    case VERB_EHLO:
    case VERB_HELO:
        return take_hello(gate, policy, line, length, answer);
    case VERB_MAIL:
        return envelope_take_mail(gate, policy, line, length, answer);
    case VERB_RCPT:
        return envelope_take_rcpt(gate, policy, line, length, answer);
    case VERB_DATA:
        return refuse_content(gate, policy, answer);
    case VERB_BDAT:
        return take_chunk(gate, policy, line, length, answer);
    case VERB_STARTTLS:
        return take_starttls(gate, policy, line, length, answer);
    case VERB_RSET:
        gate_end_transaction(gate);
        return answer_say(answer, 250, "2.0.0 Ok");
    case VERB_QUIT:
        return gate_admits(policy) ? GATE_QUITS : answer_say(answer, 221, "2.0.0 Bye");
    case VERB_NOOP:
    case VERB_VRFY:
    case VERB_HELP:
    case VERB_AUTH:
    case VERB_EXPN:
    case VERB_OTHER:
        return answer_plainly(gate, policy, verb, answer);
    case VERBS_COUNT:
        break;
    }
    return answer_plainly(gate, policy, VERB_OTHER, answer);
}

static bool talks_on(const struct gate *gate, const struct gate_policy *policy) {
    unsigned errors_max = policy->is_stressed ? GATE_ERRORS_STRESSED_MAX : GATE_ERRORS_MAX;
    if (!gate_admits(policy))
        return gate->errors > GATE_REFUSED_ERRORS_MAX || gate->commands > GATE_REFUSED_COMMANDS_MAX;
    return gate->errors > errors_max || gate->commands > GATE_COMMANDS_MAX;
}

enum gate_next gate_take(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                         struct gate_answer *ret_answer) {
    assert(length >= 2 && line[length - 2] == '\r' && line[length - 1] == '\n');
    if (gate->commands > GATE_COMMANDS_MAX) /* the last one was the host's to answer, or the DNS's, and has come back */
        return cut(gate, policy, GATE_CUTS_TALKER, "Error: too many commands", ret_answer);
    if (length > GATE_LINE_MAX)
        return cut(gate, policy, GATE_CUTS_LINE, "Error: line too long", ret_answer);
    if (command_verb(line, length) == VERB_OTHER && command_is_foreign(line, length))
        return cut(gate, policy, GATE_CUTS_FOREIGN, "Error: this is SMTP", ret_answer);
    enum gate_next next = take_command(gate, policy, line, length, ret_answer);
    gate->commands++;
    if (next == GATE_REPLIES && !ret_answer->closes && talks_on(gate, policy))
        return cut(gate, policy, GATE_CUTS_TALKER, "Error: too many commands", ret_answer);
    return next;
}

enum gate_next gate_take_piece(struct gate *gate, const struct gate_policy *policy, enum gate_piece piece,
                               const uint8_t *data, size_t length, struct gate_answer *ret_answer) {
    switch (piece) {
    case PIECE_LINE:
        assert(gate->chunk_left == 0);
        return gate_take(gate, policy, data, length, ret_answer);
    case PIECE_CHUNK:
        assert(length <= gate->chunk_left);
        gate->chunk_left -= length;
        return GATE_SKIPS;
    case PIECE_BARE:
        return cut(gate, policy, GATE_CUTS_BARE, "Error: bare <CR> or <LF> received", ret_answer);
    case PIECE_LONG:
        return cut(gate, policy, GATE_CUTS_LINE, "Error: line too long", ret_answer);
    case PIECE_TLS:
        return cut(gate, policy, GATE_CUTS_FOREIGN, "Error: this is SMTP", ret_answer);
    case PIECE_UNFINISHED:
        break;
    }
    assert(piece != PIECE_UNFINISHED);
    return GATE_SKIPS;
}

enum gate_next gate_resume(struct gate *gate, const struct gate_policy *policy, struct gate_answer *ret_answer) {
    return envelope_judge(gate, policy, ret_answer);
}

/* --- the handover that fails --- */

/* The code stands in its first three octets: it is a complete reply. */
bool gate_on_refusal(struct gate *gate, const uint8_t *reply, size_t length, struct gate_answer *ret_answer) {
    bool fits = length < sizeof gate->refusal && memchr(reply, '\0', length) == NULL;
    char instead[64];
    assert(length > 3);
    unsigned code = (unsigned)(reply[0] - '0') * 100 + (unsigned)(reply[1] - '0') * 10 + (unsigned)(reply[2] - '0');
    gate->recipients++;
    gate->rule = GATE_NO_RULE;
    snprintf(instead, sizeof instead, "%u The mail host refuses this mail\r\n", code);
    if (fits)
        envelope_refuse(gate, code, (const char *)reply, length);
    else
        envelope_refuse(gate, code, instead, strlen(instead));
    (void)envelope_refuse_again(gate, ret_answer);
    return !gate->awaits_tls || ret_answer->closes;
}

/* Its other recipients are not tried either. */
bool gate_on_unreachable(struct gate *gate, struct gate_answer *ret_answer) {
    static const char reply[] = "451 4.4.1 The mail host can't be reached now, please try again later\r\n";
    return gate_on_refusal(gate, (const uint8_t *)reply, strlen(reply), ret_answer);
}
