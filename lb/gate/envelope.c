/* MAIL and RCPT in the gate: each is read as Postfix reads it, then judged by the rules. From clients of whom no mail
 * is taken the form does not matter, since they hear the same whatever they have said. gate.c calls it. Pure. */
#include "lb/gate/envelope.h"

#include "lb/gate/rules.h"
#include "lb/smtp/command.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* "FROM:<…> PARAMETERS", the keyword's case and spaces behind it aside. Returns the text from '<' on. */
static const char *path_of(const uint8_t *line, size_t length, const char *keyword, size_t *ret_length) {
    const char *text = command_argument(line, length, ret_length);
    size_t keyword_length = strlen(keyword);
    if (*ret_length < keyword_length || strncasecmp(text, keyword, keyword_length) != 0)
        return NULL;
    text += keyword_length;
    *ret_length -= keyword_length;
    while (*ret_length > 0 && isspace((unsigned char)*text)) {
        text++;
        (*ret_length)--;
    }
    return *ret_length > 0 ? text : NULL;
}

/* What is wrong with the command's form. Postfix' own codes where it refuses too; 4xx where it may take the mail, or
 * some other server would. */
static struct gate_words syntax_error(enum path_result path, enum parameters_result parameters, bool is_recipient) {
    static const struct gate_words none = {0, ""}, malformed[] = {{501, "5.1.7 Bad sender address syntax"},
                                                                  {501, "5.1.3 Bad recipient address syntax"}};
    static const struct gate_words unclear[] = {
        {450, "4.1.7 Sender address can't be read here, please try again later"},
        {450, "4.1.3 Recipient address can't be read here, please try again later"}};
    static const struct gate_words bad_parameters[] = {{501, "5.5.4 Bad MAIL FROM parameters"},
                                                       {501, "5.5.4 Bad RCPT TO parameters"}};
    static const struct gate_words unknown = {455, "4.5.4 Parameter not supported here, please try again later"};
    if (path == PATH_MALFORMED)
        return malformed[is_recipient];
    if (path == PATH_UNCLEAR)
        return unclear[is_recipient];
    if (parameters == PARAMETERS_MALFORMED)
        return bad_parameters[is_recipient];
    return parameters == PARAMETERS_UNKNOWN ? unknown : none;
}

enum gate_next envelope_refuse_again(const struct gate *gate, struct gate_answer *answer) {
    assert(gate->refusal[0] != '\0');
    int length = snprintf(answer->text, sizeof answer->text, "%s", gate->refusal);
    answer_finish(answer, gate->refusal_code, (size_t)length);
    return GATE_REPLIES;
}

void envelope_refuse(struct gate *gate, unsigned code, const char *reply, size_t length) {
    assert(length < sizeof gate->refusal);
    memcpy(gate->refusal, reply, length);
    gate->refusal[length] = '\0';
    gate->refusal_code = (uint16_t)code;
}

/* What refuses MAIL for now is the answer to its recipients, too: many clients send them in one group, and a 503 could
 * be taken for their end. */
static enum gate_next refuse_mail(struct gate *gate, const struct gate_answer *answer) {
    if (answer->code / 100 == 4 && answer->length < sizeof gate->refusal)
        envelope_refuse(gate, answer->code, answer->text, answer->length);
    return GATE_REPLIES;
}

/* The form of a MAIL; false: the answer says what is wrong with it. */
static bool read_sender(struct gate *gate, const struct gate_policy *policy, const char *text, size_t length,
                        struct gate_answer *answer) {
    size_t used;
    enum path_result path = path_parse(text, length, &used, &gate->sender);
    enum parameters_result parameters =
        parameters_parse(text + used, length - used, false, policy->offer, &gate->parameters);
    bool is_utf8_unsaid = gate->sender.has_utf8_domain && !gate->parameters.has_utf8;
    if (path == PATH_OK && parameters == PARAMETERS_OK && is_utf8_unsaid)
        path = PATH_MALFORMED; /* to Postfix; a local part beyond ASCII is not */
    const struct gate_words error = syntax_error(path, parameters, false);
    if (error.code == 0)
        return true;
    gate_say_error(gate, answer, error.code, error.text);
    refuse_mail(gate, answer);
    return false;
}

/* The same of a RCPT. */
static bool read_recipient(struct gate *gate, const struct gate_policy *policy, const char *text, size_t length,
                           struct gate_answer *answer) {
    size_t used;
    struct smtp_parameters parameters;
    enum path_result path = path_parse(text, length, &used, &gate->recipient);
    enum parameters_result is = parameters_parse(text + used, length - used, true, policy->offer, &parameters);
    bool is_utf8_unsaid = gate->recipient.has_utf8_domain && !gate->parameters.has_utf8;
    if (path == PATH_OK && (gate->recipient.is_null || is_utf8_unsaid))
        path = PATH_MALFORMED;
    const struct gate_words error = syntax_error(path, is, true);
    if (error.code != 0)
        gate_say_error(gate, answer, error.code, error.text);
    return error.code == 0;
}

enum gate_next envelope_take_mail(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                  size_t length, struct gate_answer *answer) {
    size_t left;
    bool waits;
    const char *text = path_of(line, length, "FROM:", &left);
    if (gate->has_sender && gate_admits(policy))
        return gate_say_error(gate, answer, 503, "5.5.1 Error: nested MAIL command");
    gate->refusal[0] = '\0';
    if (text == NULL && gate_admits(policy))
        return gate_say_error(gate, answer, 501, "5.5.4 Syntax: MAIL FROM:<address>");
    if (gate_admits(policy) && !read_sender(gate, policy, text, left, answer))
        return GATE_REPLIES;
    gate->rule = (uint8_t)gate_try_rules(gate, policy, false, answer, &waits);
    if (gate->rule != GATE_NO_RULE) {
        gate->errors++;
        return refuse_mail(gate, answer);
    }
    gate_begin_transaction(gate, policy);
    return answer_say(answer, 250, "2.1.0 Ok");
}

enum gate_next envelope_judge(struct gate *gate, const struct gate_policy *policy, struct gate_answer *answer) {
    bool waits;
    assert(gate->has_sender);
    gate->rule = (uint8_t)gate_try_rules(gate, policy, true, answer, &waits);
    if (waits)
        return GATE_WAITS;
    if (gate->rule == GATE_NO_RULE) {
        gate->awaits_tls = false;
        return GATE_HANDS_OVER;
    }
    gate->recipients++;
    return GATE_REPLIES;
}

enum gate_next envelope_take_rcpt(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                  size_t length, struct gate_answer *answer) {
    size_t left;
    const char *text = path_of(line, length, "TO:", &left);
    if (!gate->has_sender && gate->refusal[0] != '\0')
        return envelope_refuse_again(gate, answer);
    if (!gate->has_sender)
        return gate_say_error(gate, answer, 503, "5.5.1 Error: need MAIL command");
    if (!gate_admits(policy))
        return envelope_judge(gate, policy, answer);
    if (text == NULL)
        return gate_say_error(gate, answer, 501, "5.5.4 Syntax: RCPT TO:<address>");
    if (!read_recipient(gate, policy, text, left, answer))
        return GATE_REPLIES;
    if (policy->config->recipients_max != 0 && gate->recipients >= policy->config->recipients_max)
        return gate_say_error(gate, answer, 452, "4.5.3 Error: too many recipients");
    if (gate->refusal[0] != '\0')
        return envelope_refuse_again(gate, answer);
    return envelope_judge(gate, policy, answer);
}
