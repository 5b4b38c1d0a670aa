/* One reply a command, in order. What the client has said so far stands in struct gate; what of it is against a rule is
 * said where Postfix says it: at each RCPT. Nothing is ever accepted here but words: the first recipient that no rule
 * holds anything against is the host's to answer. */
#include "lb/gate/gate.h"

#include "lb/smtp/ehlo.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What common senders insist on (one that needs SMTPUTF8 and is not offered it bounces its mail), but no TLS. */
#define OFFER_TO_REFUSED "PIPELINING\nSIZE\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES\n"

static bool is_admitted(const struct gate_policy *policy) {
    return policy->standing == STANDING_ADMITTED;
}

void gate_init(struct gate *gate, const struct gate_policy *policy) {
    memset(gate, 0, sizeof *gate);
    bool is_asked = is_admitted(policy) && gate_tables_need_name(policy->tables);
    gate->facts[FACT_CLIENT_NAME] = is_asked ? FACT_WANTED : FACT_KNOWN;
}

void gate_greeting(const char *hostname, bool goes_on, struct gate_answer *ret_answer) {
    int length =
        snprintf(ret_answer->text, sizeof ret_answer->text, "220%c%s ESMTP\r\n", goes_on ? '-' : ' ', hostname);
    answer_finish(ret_answer, 220, (size_t)length);
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

static enum gate_next say(struct gate_answer *answer, unsigned code, const char *text) {
    answer_say(answer, code, text);
    return GATE_REPLIES;
}

static enum gate_next err(struct gate *gate, struct gate_answer *answer, unsigned code, const char *text) {
    gate->errors++;
    gate->rule = GATE_NO_RULE;
    return say(answer, code, text);
}

/* Who is not admitted hears nothing but 4xx: a sender might act on anything else for good. */
static enum gate_next end_with(const struct gate_policy *policy, const char *text, struct gate_answer *answer) {
    answer_say_named(answer, 421, "4.7.0", policy->hostname, text);
    return GATE_REPLIES;
}

/* A client that is admitted hears of its end from the caller, whose reasons have their own words. */
static enum gate_next cut(struct gate *gate, const struct gate_policy *policy, enum gate_next why, const char *text,
                          struct gate_answer *answer) {
    gate->is_foreign |= why == GATE_CUTS_FOREIGN;
    return is_admitted(policy) ? why : end_with(policy, text, answer);
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
    const char *line = is_admitted(policy) ? policy->offer : OFFER_TO_REFUSED;
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
    const char *name = argument_of(line, length, &name_length);
    bool is_name = name_length > 0 && name_length <= SMTP_DOMAIN_MAX && memchr(name, '\0', name_length) == NULL;
    if (!is_name && is_admitted(policy))
        return err(gate, answer, 501, is_extended ? "5.5.4 Syntax: EHLO hostname" : "5.5.4 Syntax: HELO hostname");
    end_transaction(gate);
    snprintf(gate->helo, sizeof gate->helo, "%.*s", is_name ? (int)name_length : 0, name);
    gate->has_helo = true;
    gate->is_extended = is_extended;
    if (!is_extended)
        return say(answer, 250, policy->hostname);
    write_offer(policy, answer);
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

static enum gate_next refuse_again(const struct gate *gate, struct gate_answer *answer) {
    int length = snprintf(answer->text, sizeof answer->text, "%s", gate->refusal);
    answer_finish(answer, gate->refusal_code, (size_t)length);
    return GATE_REPLIES;
}

static void keep_refusal(struct gate *gate, unsigned code, const char *reply, size_t length) {
    memcpy(gate->refusal, reply, length);
    gate->refusal[length] = '\0';
    gate->refusal_code = (uint16_t)code;
}

/* What refuses MAIL for now is the answer to its recipients, too: many clients send them in one group, and a 503 could
 * be taken for their end. */
static enum gate_next refuse_mail(struct gate *gate, const struct gate_answer *answer) {
    if (answer->code / 100 == 4 && answer->length < sizeof gate->refusal)
        keep_refusal(gate, answer->code, answer->text, answer->length);
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
    err(gate, answer, error.code, error.text);
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
        err(gate, answer, error.code, error.text);
    return error.code == 0;
}

/* Of those of whom no mail is taken the form does not matter: they hear the same whatever they have said. */
static enum gate_next take_mail(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                                struct gate_answer *answer) {
    size_t left;
    bool waits;
    const char *text = path_of(line, length, "FROM:", &left);
    if (gate->has_sender && is_admitted(policy))
        return err(gate, answer, 503, "5.5.1 Error: nested MAIL command");
    gate->refusal[0] = '\0';
    if (text == NULL && is_admitted(policy))
        return err(gate, answer, 501, "5.5.4 Syntax: MAIL FROM:<address>");
    if (is_admitted(policy) && !read_sender(gate, policy, text, left, answer))
        return GATE_REPLIES;
    gate->rule = (uint8_t)gate_try_rules(gate, policy, false, answer, &waits);
    if (gate->rule != GATE_NO_RULE) {
        gate->errors++;
        return refuse_mail(gate, answer);
    }
    gate->has_sender = true;
    gate->recipients = 0;
    want_facts(gate, policy);
    return say(answer, 250, "2.1.0 Ok");
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
    size_t left;
    const char *text = path_of(line, length, "TO:", &left);
    if (!gate->has_sender && gate->refusal[0] != '\0')
        return refuse_again(gate, answer);
    if (!gate->has_sender)
        return err(gate, answer, 503, "5.5.1 Error: need MAIL command");
    if (!is_admitted(policy))
        return gate_resume(gate, policy, answer);
    if (text == NULL)
        return err(gate, answer, 501, "5.5.4 Syntax: RCPT TO:<address>");
    if (!read_recipient(gate, policy, text, left, answer))
        return GATE_REPLIES;
    if (policy->config->recipients_max != 0 && gate->recipients >= policy->config->recipients_max)
        return err(gate, answer, 452, "4.5.3 Error: too many recipients");
    if (gate->refusal[0] != '\0')
        return refuse_again(gate, answer);
    return gate_resume(gate, policy, answer);
}

/* No recipient was accepted, or the host behind would be asked. */
static enum gate_next refuse_content(struct gate *gate, const struct gate_policy *policy, struct gate_answer *answer) {
    if (!is_admitted(policy))
        return say(answer, 451, "4.3.2 No recipient is accepted now");
    return gate->has_sender && gate->recipients > 0 ? err(gate, answer, 554, "5.5.1 Error: no valid recipients")
                                                    : err(gate, answer, 503, "5.5.1 Error: need RCPT command");
}

/* It is thrown away. The last one ends the mail, accepted or not, for the host behind as for us. */
static enum gate_next take_chunk(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                 size_t length, struct gate_answer *answer) {
    uint64_t size = 0;
    bool is_last = false;
    bool has_size = command_parse_bdat(line, length, &size, &is_last);
    if (!has_size && !is_admitted(policy))
        return end_with(policy, "Error: BDAT without a size", answer);
    enum gate_next next = refuse_content(gate, policy, answer);
    gate->chunk_left = has_size ? size : 0;
    if (has_size && is_last)
        end_transaction(gate);
    return next;
}

static enum gate_next take_starttls(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                    size_t length, struct gate_answer *answer) {
    size_t argument_length;
    (void)argument_of(line, length, &argument_length);
    if (!is_admitted(policy))
        return say(answer, 454, "4.7.0 TLS not available now");
    if (argument_length > 0)
        return err(gate, answer, 501, "5.5.4 Syntax: STARTTLS");
    if (!gate->is_extended)
        return err(gate, answer, 503, "5.5.1 Error: send EHLO first");
    if (!is_offered(policy, "STARTTLS"))
        return err(gate, answer, 502, "5.5.1 Error: command not implemented");
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
    const struct gate_words *words = &plain_answers[verb][is_admitted(policy) ? 0 : 1];
    return words->code / 100 == 2 ? say(answer, words->code, words->text) : err(gate, answer, words->code, words->text);
}

static enum gate_next take_command(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                   size_t length, struct gate_answer *answer) {
    enum smtp_verb verb = command_verb(line, length);
    switch (verb) {
    case VERB_EHLO:
    case VERB_HELO:
        return take_hello(gate, policy, line, length, answer);
    case VERB_MAIL:
        return take_mail(gate, policy, line, length, answer);
    case VERB_RCPT:
        return take_rcpt(gate, policy, line, length, answer);
    case VERB_DATA:
        return refuse_content(gate, policy, answer);
    case VERB_BDAT:
        return take_chunk(gate, policy, line, length, answer);
    case VERB_STARTTLS:
        return take_starttls(gate, policy, line, length, answer);
    case VERB_RSET:
        end_transaction(gate);
        return say(answer, 250, "2.0.0 Ok");
    case VERB_QUIT:
        return is_admitted(policy) ? GATE_QUITS : say(answer, 221, "2.0.0 Bye");
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
    if (!is_admitted(policy))
        return gate->errors > GATE_REFUSED_ERRORS_MAX || gate->commands > GATE_REFUSED_COMMANDS_MAX;
    return gate->errors > errors_max || gate->commands > GATE_COMMANDS_MAX;
}

enum gate_next gate_take(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                         struct gate_answer *ret_answer) {
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
        return gate_take(gate, policy, data, length, ret_answer);
    case PIECE_CHUNK:
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
    return GATE_SKIPS;
}

/* --- the handover that fails --- */

/* The code stands in its first three octets: it is a complete reply. */
void gate_on_refusal(struct gate *gate, const uint8_t *reply, size_t length, struct gate_answer *ret_answer) {
    bool fits = length < sizeof gate->refusal && memchr(reply, '\0', length) == NULL;
    char instead[64];
    unsigned code = (unsigned)(reply[0] - '0') * 100 + (unsigned)(reply[1] - '0') * 10 + (unsigned)(reply[2] - '0');
    gate->recipients++;
    gate->rule = GATE_NO_RULE;
    snprintf(instead, sizeof instead, "%u The mail host refuses this mail\r\n", code);
    if (fits)
        keep_refusal(gate, code, (const char *)reply, length);
    else
        keep_refusal(gate, code, instead, strlen(instead));
    (void)refuse_again(gate, ret_answer);
}

/* Its other recipients are not tried either. */
void gate_on_unreachable(struct gate *gate, struct gate_answer *ret_answer) {
    static const char reply[] = "451 4.4.1 The mail host can't be reached now, please try again later\r\n";
    gate_on_refusal(gate, (const uint8_t *)reply, strlen(reply), ret_answer);
}
