/* One reply a command, in order. What the client has said so far stands in struct gate; what of it is against a rule is
 * said where Postfix says it: at each RCPT. Nothing is ever accepted here but words: the first recipient that no rule
 * holds anything against is the host's to answer. */
#include "lb/gate/gate.h"

#include "lb/smtp/ehlo.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void gate_init(struct gate *gate, const struct gate_policy *policy) {
    memset(gate, 0, sizeof *gate);
    gate->facts[FACT_CLIENT_NAME] = gate_tables_need_name(policy->tables) ? FACT_WANTED : FACT_KNOWN;
}

void gate_greeting(const char *hostname, bool goes_on, struct gate_answer *ret_answer) {
    ret_answer->length =
        (size_t)snprintf(ret_answer->text, sizeof ret_answer->text, "220%c%s ESMTP\r\n", goes_on ? '-' : ' ', hostname);
}

bool gate_looks_like_tls(const uint8_t *data, size_t length) {
    return length > 0 && data[0] == 0x16 && (length < 2 || data[1] == 0x03);
}

bool gate_must_wait_behind(enum smtp_verb verb) {
    return verb == VERB_EHLO || verb == VERB_HELO || verb == VERB_DATA || verb == VERB_STARTTLS;
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

void gate_on_no_answer(struct gate *gate) {
    if (gate->facts[FACT_CLIENT_NAME] == FACT_ASKED)
        gate_on_client_name(gate, "", true);
    gate_on_sender_domain(gate, gate->sender_serial, MAIL_DOMAIN_FAILED);
}

/* Asked for as soon as it is known, so that most have their answer before it is needed. */
static void want_facts(struct gate *gate, const struct gate_policy *policy) {
    const struct smtp_path *sender = &gate->sender;
    gate->sender_serial++;
    bool is_asked =
        policy->config->sender_domain && !sender->is_null && !sender->is_literal && sender->domain[0] != '\0';
    gate->facts[FACT_SENDER_DOMAIN] = is_asked ? FACT_WANTED : FACT_KNOWN;
}

/* --- replies --- */

static enum gate_next say(struct gate_answer *answer, const char *text) {
    answer->length = (size_t)snprintf(answer->text, sizeof answer->text, "%s\r\n", text);
    return GATE_REPLIES;
}

static enum gate_next err(struct gate *gate, struct gate_answer *answer, const char *text) {
    gate->errors++;
    gate->rule = GATE_NO_RULE;
    return say(answer, text);
}

static void end_transaction(struct gate *gate) {
    gate->has_sender = false;
    gate->refusal[0] = '\0';
    gate->recipients = 0;
    gate->sender_serial++;
    gate->facts[FACT_SENDER_DOMAIN] = FACT_UNASKED;
}

/* --- commands --- */

/* What stands behind the verb, without the blanks around it. */
static const char *argument_of(const uint8_t *line, size_t length, size_t *ret_length) {
    const char *text = (const char *)line;
    size_t from = 0, to = length - 2; /* CRLF */
    while (from < to && !isspace((unsigned char)text[from]))
        from++;
    while (from < to && isspace((unsigned char)text[from]))
        from++;
    while (to > from && isspace((unsigned char)text[to - 1]))
        to--;
    *ret_length = to - from;
    return text + from;
}

/* "250-hostname", then a line each of what the host behind offers; what has no room is left out, since less is always
 * safe. */
static void write_offer(const struct gate_policy *policy, struct gate_answer *answer) {
    const char *line = policy->offer;
    size_t room = sizeof answer->text, last = 0;
    answer->length = (size_t)snprintf(answer->text, room, "250-%s\r\n", policy->hostname);
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");
        if (answer->length + length + strlen("250-\r\n") >= room)
            break;
        last = answer->length;
        answer->length += (size_t)snprintf(answer->text + last, room - last, "250-%.*s\r\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    answer->text[last + 3] = ' ';
}

static enum gate_next take_hello(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                 size_t length, struct gate_answer *answer) {
    size_t name_length;
    bool is_extended = command_verb(line, length) == VERB_EHLO;
    const char *name = argument_of(line, length, &name_length);
    if (name_length == 0 || name_length > SMTP_DOMAIN_MAX || memchr(name, '\0', name_length) != NULL)
        return err(gate, answer, is_extended ? "501 5.5.4 Syntax: EHLO hostname" : "501 5.5.4 Syntax: HELO hostname");
    end_transaction(gate);
    memcpy(gate->helo, name, name_length);
    gate->helo[name_length] = '\0';
    gate->has_helo = true;
    gate->is_extended = is_extended;
    if (is_extended)
        write_offer(policy, answer);
    else
        answer->length = (size_t)snprintf(answer->text, sizeof answer->text, "250 %s\r\n", policy->hostname);
    return GATE_REPLIES;
}

/* "FROM:<…> PARAMETERS", the keyword's case and spaces behind it aside. Returns the text from '<' on. */
static const char *path_of(const uint8_t *line, size_t length, const char *keyword, size_t *ret_length) {
    const char *text = argument_of(line, length, ret_length);
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

static bool is_offered(const struct gate_policy *policy, const char *keyword) {
    return ehlo_lines_have(policy->offer, keyword, strlen(keyword));
}

/* What is wrong with the command's form, "" if nothing is. Postfix' own codes where it refuses too; 4xx where it may
 * take the mail, or some other server would. */
static const char *syntax_error(enum path_result path, enum parameters_result parameters, bool is_recipient) {
    if (path == PATH_MALFORMED)
        return is_recipient ? "501 5.1.3 Bad recipient address syntax" : "501 5.1.7 Bad sender address syntax";
    if (path == PATH_UNCLEAR)
        return is_recipient ? "450 4.1.3 Recipient address can't be read here, please try again later"
                            : "450 4.1.7 Sender address can't be read here, please try again later";
    if (parameters == PARAMETERS_MALFORMED)
        return is_recipient ? "501 5.5.4 Bad RCPT TO parameters" : "501 5.5.4 Bad MAIL FROM parameters";
    return parameters == PARAMETERS_UNKNOWN ? "455 4.5.4 Parameter not supported here, please try again later" : "";
}

static enum gate_next refuse_again(const struct gate *gate, struct gate_answer *answer) {
    answer->length = (size_t)snprintf(answer->text, sizeof answer->text, "%s", gate->refusal);
    return GATE_REPLIES;
}

/* What refuses MAIL for now is the answer to its recipients, too: many clients send them in one group, and a 503 could
 * be taken for their end. */
static enum gate_next refuse_mail(struct gate *gate, const struct gate_answer *answer, enum gate_next next) {
    if (answer->text[0] == '4' && answer->length < sizeof gate->refusal)
        memcpy(gate->refusal, answer->text, answer->length + 1);
    return next;
}

static enum gate_next take_mail(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                                struct gate_answer *answer) {
    size_t left, used;
    bool waits;
    const char *text = path_of(line, length, "FROM:", &left);
    if (gate->has_sender)
        return err(gate, answer, "503 5.5.1 Error: nested MAIL command");
    gate->refusal[0] = '\0';
    if (text == NULL)
        return err(gate, answer, "501 5.5.4 Syntax: MAIL FROM:<address>");
    enum path_result path = path_parse(text, left, &used, &gate->sender);
    enum parameters_result parameters =
        parameters_parse(text + used, left - used, false, policy->offer, &gate->parameters);
    bool is_utf8_unsaid = gate->sender.has_utf8_domain && !gate->parameters.has_utf8;
    if (path == PATH_OK && parameters == PARAMETERS_OK && is_utf8_unsaid)
        path = PATH_MALFORMED; /* to Postfix; a local part beyond ASCII is not */
    const char *error = syntax_error(path, parameters, false);
    if (error[0] != '\0')
        return refuse_mail(gate, answer, err(gate, answer, error));
    gate->rule = (uint8_t)gate_try_rules(gate, policy, false, answer, &waits);
    if (gate->rule != GATE_NO_RULE) {
        gate->errors++;
        return refuse_mail(gate, answer, GATE_REPLIES);
    }
    gate->has_sender = true;
    gate->recipients = 0;
    want_facts(gate, policy);
    return say(answer, "250 2.1.0 Ok");
}

enum gate_next gate_resume(struct gate *gate, const struct gate_policy *policy, struct gate_answer *ret_answer) {
    bool waits;
    gate->rule = (uint8_t)gate_try_rules(gate, policy, true, ret_answer, &waits);
    if (waits)
        return GATE_WAITS;
    if (gate->rule == GATE_NO_RULE) {
        gate->awaits_tls = false;
        return GATE_HANDS_OVER;
    }
    gate->recipients++;
    return GATE_REPLIES;
}

static enum gate_next take_rcpt(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                                struct gate_answer *answer) {
    size_t left, used;
    struct smtp_parameters parameters;
    const char *text = path_of(line, length, "TO:", &left);
    if (!gate->has_sender && gate->refusal[0] != '\0')
        return refuse_again(gate, answer);
    if (!gate->has_sender)
        return err(gate, answer, "503 5.5.1 Error: need MAIL command");
    if (text == NULL)
        return err(gate, answer, "501 5.5.4 Syntax: RCPT TO:<address>");
    enum path_result path = path_parse(text, left, &used, &gate->recipient);
    enum parameters_result is = parameters_parse(text + used, left - used, true, policy->offer, &parameters);
    bool is_utf8_unsaid = gate->recipient.has_utf8_domain && !gate->parameters.has_utf8;
    if (path == PATH_OK && (gate->recipient.is_null || is_utf8_unsaid))
        path = PATH_MALFORMED;
    const char *error = syntax_error(path, is, true);
    if (error[0] != '\0')
        return err(gate, answer, error);
    if (policy->config->recipients_max != 0 && gate->recipients >= policy->config->recipients_max)
        return err(gate, answer, "452 4.5.3 Error: too many recipients");
    if (gate->refusal[0] != '\0')
        return refuse_again(gate, answer);
    return gate_resume(gate, policy, answer);
}

/* No recipient was accepted, or the host behind would be asked. */
static const char *content_error(const struct gate *gate) {
    return gate->has_sender && gate->recipients > 0 ? "554 5.5.1 Error: no valid recipients"
                                                    : "503 5.5.1 Error: need RCPT command";
}

/* The caller throws it away. The last one ends the mail, accepted or not, for the host behind as for us. */
static enum gate_next take_chunk(struct gate *gate, const uint8_t *line, size_t length, struct gate_answer *answer) {
    uint64_t size;
    bool is_last = false;
    const char *error = content_error(gate);
    if (command_parse_bdat(line, length, &size, &is_last) && is_last)
        end_transaction(gate);
    return err(gate, answer, error);
}

static enum gate_next take_starttls(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                    size_t length, struct gate_answer *answer) {
    size_t argument_length;
    (void)argument_of(line, length, &argument_length);
    if (argument_length > 0)
        return err(gate, answer, "501 5.5.4 Syntax: STARTTLS");
    if (!gate->is_extended || !is_offered(policy, "STARTTLS"))
        return err(gate, answer,
                   gate->is_extended ? "502 5.5.1 Error: command not implemented" : "503 5.5.1 Error: send EHLO first");
    gate->awaits_tls = true;
    return GATE_HANDS_OVER;
}

static enum gate_next take_command(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                   size_t length, struct gate_answer *answer) {
    switch (command_verb(line, length)) {
    case VERB_EHLO:
    case VERB_HELO:
        return take_hello(gate, policy, line, length, answer);
    case VERB_MAIL:
        return take_mail(gate, policy, line, length, answer);
    case VERB_RCPT:
        return take_rcpt(gate, policy, line, length, answer);
    case VERB_DATA:
        return err(gate, answer, content_error(gate));
    case VERB_BDAT:
        return take_chunk(gate, line, length, answer);
    case VERB_STARTTLS:
        return take_starttls(gate, policy, line, length, answer);
    case VERB_RSET:
        end_transaction(gate);
        return say(answer, "250 2.0.0 Ok");
    case VERB_NOOP:
        return say(answer, "250 2.0.0 Ok");
    case VERB_VRFY: /* no address is told; Postfix' disable_vrfy_command says 502 */
        return say(answer, "252 2.0.0 Send some mail, it will be tried");
    case VERB_HELP:
        return say(answer, "214 2.0.0 RFC 5321");
    case VERB_QUIT:
        return GATE_QUITS;
    case VERB_AUTH:
        return err(gate, answer, "503 5.5.1 Error: authentication not enabled");
    case VERB_EXPN:
        return err(gate, answer, "502 5.5.1 Error: command not implemented");
    case VERB_OTHER:
    case VERBS_COUNT:
        break;
    }
    return err(gate, answer, "502 5.5.2 Error: command not recognized");
}

enum gate_next gate_take(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                         struct gate_answer *ret_answer) {
    unsigned errors_max = policy->is_stressed ? GATE_ERRORS_STRESSED_MAX : GATE_ERRORS_MAX;
    if (length > GATE_LINE_MAX)
        return GATE_CUTS_LINE;
    if (command_verb(line, length) == VERB_OTHER && command_is_foreign(line, length))
        return GATE_CUTS_FOREIGN;
    enum gate_next next = take_command(gate, policy, line, length, ret_answer);
    gate->commands++;
    if (next == GATE_REPLIES && (gate->errors > errors_max || gate->commands > GATE_COMMANDS_MAX))
        return GATE_CUTS_TALKER;
    return next;
}

/* --- the handover that fails --- */

void gate_on_refusal(struct gate *gate, const uint8_t *reply, size_t length, struct gate_answer *ret_answer) {
    bool fits = length < sizeof gate->refusal && memchr(reply, '\0', length) == NULL;
    gate->recipients++;
    gate->rule = GATE_NO_RULE;
    if (fits) {
        memcpy(gate->refusal, reply, length);
        gate->refusal[length] = '\0';
    } else {
        snprintf(gate->refusal, sizeof gate->refusal, "%.3s The mail host refuses this mail\r\n", (const char *)reply);
    }
    (void)refuse_again(gate, ret_answer);
}

/* Its other recipients are not tried either. */
void gate_on_unreachable(struct gate *gate, struct gate_answer *ret_answer) {
    static const char reply[] = "451 4.4.1 The mail host can't be reached now, please try again later\r\n";
    gate_on_refusal(gate, (const uint8_t *)reply, strlen(reply), ret_answer);
}
