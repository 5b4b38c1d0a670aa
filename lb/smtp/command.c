/* What a command line says, as far as a balancer must know: its verb, BDAT's count, and whether servers read it in one
 * way only. The observer and the gate call it. Pure. */
#include "lb/smtp/command.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *const verbs[VERBS_COUNT] = {
    [VERB_HELO] = "HELO",         [VERB_EHLO] = "EHLO", [VERB_MAIL] = "MAIL", [VERB_RCPT] = "RCPT",
    [VERB_DATA] = "DATA",         [VERB_BDAT] = "BDAT", [VERB_RSET] = "RSET", [VERB_NOOP] = "NOOP",
    [VERB_QUIT] = "QUIT",         [VERB_VRFY] = "VRFY", [VERB_EXPN] = "EXPN", [VERB_HELP] = "HELP",
    [VERB_STARTTLS] = "STARTTLS", [VERB_AUTH] = "AUTH",
};

enum smtp_verb command_verb(const uint8_t *line, size_t length) {
    for (unsigned verb = VERB_OTHER + 1; verb < VERBS_COUNT; verb++) {
        size_t verb_length = strlen(verbs[verb]);
        if (length < verb_length || strncasecmp((const char *)line, verbs[verb], verb_length) != 0)
            continue;
        if (length == verb_length || line[verb_length] == ' ' || line[verb_length] == '\t' || line[verb_length] == '\r')
            return (enum smtp_verb)verb;
    }
    return VERB_OTHER;
}

/* C's isspace() takes VT and FF, Java's trim() all control characters, Unicode's blanks have NEL (0x85) and the
 * no-break space (0xa0); what is beyond ASCII is none of a verb. */
static bool is_blank_to_some(uint8_t octet) {
    return (octet <= ' ' && octet != '\r' && octet != '\n') || octet >= 127;
}

bool command_is_ambiguous(const uint8_t *line, size_t length) {
    if (length > 0 && is_blank_to_some(line[0]))
        return true;
    for (unsigned verb = VERB_OTHER + 1; verb < VERBS_COUNT; verb++) {
        size_t verb_length = strlen(verbs[verb]);
        bool is_verb = length > verb_length && strncasecmp((const char *)line, verbs[verb], verb_length) == 0;
        uint8_t behind = is_verb ? line[verb_length] : ' ';
        if (behind != ' ' && behind != '\t' && behind != '\r' && is_blank_to_some(behind))
            return true;
    }
    return false;
}

bool command_parse_bdat(const uint8_t *line, size_t length, uint64_t *ret_size, bool *ret_last) {
    size_t i = strlen(verbs[VERB_BDAT]);
    uint64_t size = 0;
    if (command_verb(line, length) != VERB_BDAT)
        return false;
    while (i < length && line[i] == ' ')
        i++;
    size_t digits = i;
    for (; i < length && line[i] >= '0' && line[i] <= '9'; i++) {
        if (size > (INT64_MAX - 9) / 10)
            return false;
        size = size * 10 + (uint64_t)(line[i] - '0');
    }
    if (i == digits)
        return false;
    size_t behind = i;
    while (i < length && line[i] == ' ')
        i++;
    bool last = i > behind && length - i >= 4 && strncasecmp((const char *)line + i, "LAST", 4) == 0;
    if (last)
        i += 4;
    while (i < length && (line[i] == ' ' || line[i] == '\r' || line[i] == '\n'))
        i++;
    if (i != length)
        return false;
    *ret_size = size;
    *ret_last = last;
    return true;
}

bool command_is_foreign(const uint8_t *line, size_t length) {
    static const char *const words[] = {"GET ", "POST ", "CONNECT "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (length >= strlen(words[i]) && strncasecmp((const char *)line, words[i], strlen(words[i])) == 0)
            return true;
    size_t name = 0; /* of a header field: printable octets but the colon (RFC 5322 §2.2) */
    while (name < length && line[name] > ' ' && line[name] < 127 && line[name] != ':')
        name++;
    return name > 0 && name < length && line[name] == ':';
}

const char *command_argument(const uint8_t *line, size_t length, size_t *ret_length) {
    const char *text = (const char *)line;
    size_t from = 0, to = length < 2 ? 0 : length - 2; /* CRLF */
    while (from < to && !isspace((unsigned char)text[from]))
        from++;
    while (from < to && isspace((unsigned char)text[from]))
        from++;
    while (to > from && isspace((unsigned char)text[to - 1]))
        to--;
    *ret_length = to - from;
    return text + from;
}
