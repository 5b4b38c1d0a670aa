/* One reply a command, in order; commands may come in groups (RFC 2920). Only CRLF ends a line: a bare CR or LF ends
 * the dialog, since two servers may read it differently. */
#include "lb/gate/refusal.h"

#include "lb/smtp/command.h"

#include <stdio.h>
#include <string.h>

/* Who is refused has little reason to say more. */
#define COMMANDS_MAX 200u
#define UNKNOWN_MAX  10u

void refusal_init(struct refusal *refusal, enum refusal_kind kind) {
    memset(refusal, 0, sizeof *refusal);
    refusal->kind = kind;
}

size_t refusal_greet(const char *hostname, char *ret_text, size_t size) {
    return (size_t)snprintf(ret_text, size, "220 %s ESMTP\r\n", hostname);
}

struct answer {
    const char *hostname;
    char *text;
    size_t size;
    size_t length;
};

static void say(struct answer *answer, const char *text) {
    int length = snprintf(answer->text + answer->length, answer->size - answer->length, "%s\r\n", text);
    answer->length += (size_t)length;
}

/* `before`, our name, `after`. */
static void say_named(struct answer *answer, const char *before, const char *after) {
    char text[REFUSAL_REPLY_MAX - 2];
    snprintf(text, sizeof text, "%s%s%s", before, answer->hostname, after);
    say(answer, text);
}

static void take_mail(struct refusal *refusal, struct answer *answer) {
    if (refusal->kind == REFUSAL_AT_MAIL) {
        say_named(answer, "421 4.3.2 ", " No mail is taken of a proxy's own connection");
        refusal->is_over = true;
        return;
    }
    refusal->has_sender = true;
    say(answer, "250 2.1.0 Ok");
}

static void end(struct refusal *refusal, struct answer *answer, const char *text) {
    say_named(answer, "421 4.7.0 ", text);
    refusal->is_over = true;
}

static void take_bdat(struct refusal *refusal, struct answer *answer) {
    bool is_last;
    if (!command_parse_bdat((const uint8_t *)refusal->line, refusal->line_length, &refusal->chunk_left, &is_last)) {
        end(refusal, answer, " Error: BDAT without a size");
        return;
    }
    say(answer, "451 4.3.2 No recipient is accepted now");
}

static void take_command(struct refusal *refusal, struct answer *answer) {
    switch (command_verb((const uint8_t *)refusal->line, refusal->line_length)) {
    case VERB_EHLO:
        refusal->has_sender = false;
        say_named(answer, "250-",
                  "\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
                  "250-DSN\r\n250 ENHANCEDSTATUSCODES");
        break;
    case VERB_HELO:
        refusal->has_sender = false;
        say_named(answer, "250 ", "");
        break;
    case VERB_MAIL:
        take_mail(refusal, answer);
        break;
    case VERB_RCPT:
        refusal->recipients += refusal->has_sender && refusal->recipients < UINT16_MAX;
        say(answer, refusal->has_sender ? "450 4.3.2 Service is limited for now, please try again later"
                                        : "503 5.5.1 Error: need MAIL command");
        break;
    case VERB_DATA:
        say(answer, "451 4.3.2 No recipient is accepted now");
        break;
    case VERB_BDAT:
        take_bdat(refusal, answer);
        break;
    case VERB_RSET:
        refusal->has_sender = false;
        say(answer, "250 2.0.0 Ok");
        break;
    case VERB_NOOP:
        say(answer, "250 2.0.0 Ok");
        break;
    case VERB_VRFY:
        say(answer, "252 2.0.0 Ok");
        break;
    case VERB_HELP:
        say(answer, "214 2.0.0 RFC 5321");
        break;
    case VERB_QUIT:
        say(answer, "221 2.0.0 Bye");
        refusal->is_over = true;
        break;
    case VERB_STARTTLS:
        say(answer, "454 4.7.0 TLS not available now");
        break;
    case VERB_EXPN:
    case VERB_AUTH:
    case VERB_OTHER:
    case VERBS_COUNT:
        refusal->unknown++;
        say(answer, "502 5.5.1 Error: command not recognized");
        break;
    }
}

static void end_line(struct refusal *refusal, struct answer *answer) {
    refusal->commands++;
    if (command_is_foreign((const uint8_t *)refusal->line, refusal->line_length) &&
        command_verb((const uint8_t *)refusal->line, refusal->line_length) == VERB_OTHER) {
        refusal->is_foreign = true;
        end(refusal, answer, " Error: this is SMTP");
    } else {
        take_command(refusal, answer);
    }
    if (!refusal->is_over && (refusal->commands > COMMANDS_MAX || refusal->unknown > UNKNOWN_MAX))
        end(refusal, answer, " Error: too many commands");
    refusal->line_length = 0;
    refusal->has_cr = false;
}

static void take_octet(struct refusal *refusal, uint8_t octet, struct answer *answer) {
    bool is_bare = refusal->has_cr != (octet == '\n');
    if (is_bare || refusal->line_length == REFUSAL_LINE_MAX) {
        end(refusal, answer, is_bare ? " Error: bare <CR> or <LF> received" : " Error: line too long");
        return;
    }
    refusal->line[refusal->line_length++] = (char)octet;
    refusal->has_cr = octet == '\r';
    if (octet == '\n')
        end_line(refusal, answer);
}

size_t refusal_feed(struct refusal *refusal, const char *hostname, const uint8_t *data, size_t length, char *ret_text,
                    size_t size, size_t *ret_length) {
    struct answer answer = {hostname, ret_text, size, 0};
    size_t taken = 0;
    while (taken < length && !refusal->is_over && answer.length + 2 * REFUSAL_REPLY_MAX <= size) {
        if (refusal->chunk_left > 0) {
            size_t skipped = length - taken < refusal->chunk_left ? length - taken : (size_t)refusal->chunk_left;
            refusal->chunk_left -= skipped;
            taken += skipped;
        } else {
            take_octet(refusal, data[taken++], &answer);
        }
    }
    *ret_length = answer.length;
    return taken;
}
