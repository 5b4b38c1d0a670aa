/* The reply parser: one octet at a time, since replies are short and come in any split. Only CRLF ends a line. The
 * observer, attempts and probes call it. Pure. */
#include "lb/smtp/reply.h"

#include <string.h>
#include <strings.h>

#define ENHANCED_DONE 3
#define CODE_OCTETS   3

void reply_parser_init(struct reply_parser *parser, uint16_t line_max, uint16_t total_max) {
    memset(parser, 0, sizeof *parser);
    parser->line_max = line_max;
    parser->total_max = total_max;
}

static bool is_digit(uint8_t octet) {
    return octet >= '0' && octet <= '9';
}

/* "nnn", then a hyphen (more lines), a space, or the end of the line (RFC 5321 §4.2: a bare code is accepted). */
static bool take_code(struct reply_parser *parser, uint8_t octet, unsigned position) {
    if (position < CODE_OCTETS) {
        if (!is_digit(octet) || (position == 0 && (octet < '2' || octet > '5')))
            return false;
        parser->line_code = (uint16_t)(parser->line_code * 10 + (octet - '0'));
        return true;
    }
    parser->is_last_line = octet != '-';
    return octet == '-' || octet == ' ' || octet == '\r';
}

static bool take_enhanced_digit(struct reply_parser *parser, uint8_t digit) {
    struct enhanced_code *code = &parser->enhanced;
    if (parser->enhanced_part == 0) {
        bool fits = code->class == 0 && (digit == 2 || digit == 4 || digit == 5);
        code->class = fits ? digit : 0;
        return fits;
    }
    uint16_t *part = parser->enhanced_part == 1 ? &code->subject : &code->detail;
    *part = (uint16_t)(*part * 10 + digit);
    return *part <= 999; /* RFC 3463 §2: three digits at most */
}

/* The first line's text may begin with an enhanced code; whatever else it is, is text. */
static void take_enhanced(struct reply_parser *parser, uint8_t octet) {
    bool ends_part = parser->part_has_digit && !is_digit(octet);
    parser->part_has_digit = is_digit(octet);
    if (is_digit(octet) && take_enhanced_digit(parser, (uint8_t)(octet - '0')))
        return;
    if (ends_part && octet == '.' && parser->enhanced_part < 2) {
        parser->enhanced_part++;
        return;
    }
    if (!(ends_part && (octet == ' ' || octet == '\r') && parser->enhanced_part == 2))
        memset(&parser->enhanced, 0, sizeof parser->enhanced);
    parser->enhanced_part = ENHANCED_DONE;
}

/* Counters stop at their largest value, which no bound is below: REPLY_NO_BOUND. */
static void count(uint16_t *counter) {
    *counter = (uint16_t)(*counter + (*counter < UINT16_MAX));
}

static bool end_line(struct reply_parser *parser) {
    if (parser->line_octets < CODE_OCTETS + 2)
        return false;
    if (parser->lines == 0)
        parser->code = parser->line_code;
    bool is_same = parser->line_code == parser->code;
    if (parser->enhanced_part != ENHANCED_DONE)
        memset(&parser->enhanced, 0, sizeof parser->enhanced);
    parser->enhanced_part = ENHANCED_DONE;
    count(&parser->lines);
    parser->line_octets = 0;
    parser->line_code = 0;
    parser->has_cr = false;
    return is_same;
}

static enum reply_status take(struct reply_parser *parser, uint8_t octet) {
    unsigned position = parser->line_octets;
    count(&parser->total_octets);
    count(&parser->line_octets);
    if (parser->total_octets > parser->total_max || parser->line_octets > parser->line_max)
        return REPLY_INVALID;
    if (octet == '\n') {
        if (!parser->has_cr || !end_line(parser))
            return REPLY_INVALID;
        return parser->is_last_line ? REPLY_COMPLETE : REPLY_MORE;
    }
    if (parser->has_cr) /* a bare CR */
        return REPLY_INVALID;
    parser->has_cr = octet == '\r';
    if (position <= CODE_OCTETS)
        return take_code(parser, octet, position) ? REPLY_MORE : REPLY_INVALID;
    if (parser->enhanced_part != ENHANCED_DONE)
        take_enhanced(parser, octet);
    return REPLY_MORE;
}

size_t reply_parser_feed(struct reply_parser *parser, const uint8_t *data, size_t length,
                         enum reply_status *ret_status) {
    *ret_status = parser->is_invalid ? REPLY_INVALID : REPLY_MORE;
    size_t i = 0;
    while (i < length && *ret_status == REPLY_MORE)
        *ret_status = take(parser, data[i++]);
    parser->is_invalid = *ret_status == REPLY_INVALID;
    return i;
}

bool reply_is_verdict_on_client(const struct reply_parser *parser) {
    if (parser->code == 521) /* RFC 7504: this host does not accept mail (from you) */
        return true;
    return parser->code >= 400 && parser->enhanced.class == parser->code / 100 && parser->enhanced.subject == 7;
}

void reply_excerpt(const uint8_t *reply, size_t length, char *ret_text, size_t text_size) {
    while (length > 0 && (reply[length - 1] == '\n' || reply[length - 1] == '\r'))
        length--;
    size_t start = length;
    while (start > 0 && reply[start - 1] != '\n')
        start--;
    size_t copied = 0;
    for (size_t i = start; i < length && copied + 1 < text_size; i++)
        ret_text[copied++] = reply[i] >= ' ' && reply[i] < 0x7f && reply[i] != '"' ? (char)reply[i] : '?';
    ret_text[copied] = '\0';
}

bool reply_offers(const uint8_t *reply, size_t length, const char *keyword) {
    size_t keyword_length = strlen(keyword);
    const uint8_t *end = reply + length;
    const uint8_t *line = memchr(reply, '\n', length);
    while (line != NULL && (size_t)(end - ++line) > CODE_OCTETS + 1 + keyword_length) {
        const uint8_t *word = line + CODE_OCTETS + 1;
        uint8_t after = word[keyword_length];
        if (strncasecmp((const char *)word, keyword, keyword_length) == 0 &&
            (after == ' ' || after == '\r' || after == '=')) /* AUTH=LOGIN: an old form that is still offered */
            return true;
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return false;
}
