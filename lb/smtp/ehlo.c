/* What a server offers in its reply to EHLO, as text and as sorted hashes: two keywords that differ have the same one
 * in 2^-64 of all cases. Probes and lb/relay/observe.c read offers; the gate, the tiers' offers and replays compare
 * them. Pure. */
#include "lb/smtp/ehlo.h"

#include "lb/base/hash.h"
#include "lb/smtp/reply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CODE_AND_SEPARATOR 4

/* In capitals. */
static uint64_t hash_keyword(const uint8_t *line, size_t length) {
    uint64_t value = HASH_START;
    for (size_t i = 0; i < length; i++)
        value = hash_octet(value, (uint8_t)toupper(line[i]));
    return value;
}

static bool insert(struct ehlo_offer *offer, uint64_t keyword) {
    unsigned at = 0;
    while (at < offer->count && offer->keywords[at] < keyword)
        at++;
    if (at < offer->count && offer->keywords[at] == keyword)
        return true;
    if (offer->count == EHLO_KEYWORDS_MAX)
        return false;
    memmove(&offer->keywords[at + 1], &offer->keywords[at], (offer->count - at) * sizeof offer->keywords[0]);
    offer->keywords[at] = keyword;
    offer->count++;
    return true;
}

/* A limit of SIZE is a quantity, not a part of the keyword's name. Returns the octets that are. */
static size_t take_size(struct ehlo_offer *offer, const uint8_t *line, size_t length) {
    static const char size[] = "SIZE";
    size_t name = sizeof size - 1;
    if (length < name || strncasecmp((const char *)line, size, name) != 0 || (length > name && line[name] != ' '))
        return length;
    for (size_t i = name + 1; i < length && isdigit(line[i]) && offer->size_max < UINT64_MAX / 100; i++)
        offer->size_max = offer->size_max * 10 + (uint64_t)(line[i] - '0');
    if (offer->size_max == 0)
        offer->size_max = UINT64_MAX;
    return name;
}

bool ehlo_offer_parse(const uint8_t *reply, size_t length, struct ehlo_offer *ret_offer) {
    const uint8_t *end = reply + length;
    const uint8_t *line = memchr(reply, '\n', length);
    memset(ret_offer, 0, sizeof *ret_offer);
    ret_offer->has_pipelining = reply_offers(reply, length, "PIPELINING");
    while (line != NULL && end - ++line > CODE_AND_SEPARATOR) {
        const uint8_t *lf = memchr(line, '\n', (size_t)(end - line));
        const uint8_t *text = line + CODE_AND_SEPARATOR;
        const uint8_t *text_end = lf != NULL ? lf : end;
        while (text_end > text && (text_end[-1] == '\r' || text_end[-1] == ' '))
            text_end--;
        size_t octets = take_size(ret_offer, text, (size_t)(text_end - text));
        if (octets > 0 && !insert(ret_offer, hash_keyword(text, octets)))
            return false;
        line = lf;
    }
    return true;
}

bool ehlo_invites_early_talk(const uint8_t *reply, size_t length) {
    return reply_offers(reply, length, "PIPECONNECT") || reply_offers(reply, length, "X_PIPE_CONNECT");
}

bool ehlo_offer_equal(const struct ehlo_offer *a, const struct ehlo_offer *b) {
    return a->count == b->count && a->size_max == b->size_max &&
           memcmp(a->keywords, b->keywords, a->count * sizeof a->keywords[0]) == 0;
}

bool ehlo_offer_covers(const struct ehlo_offer *offer, const struct ehlo_offer *wanted) {
    unsigned at = 0;
    if (wanted->size_max > offer->size_max)
        return false;
    for (unsigned i = 0; i < wanted->count; i++) {
        while (at < offer->count && offer->keywords[at] < wanted->keywords[i])
            at++;
        if (at == offer->count || offer->keywords[at] != wanted->keywords[i])
            return false;
    }
    return true;
}

/* --- as text --- */

struct line {
    const char *text;
    size_t length; /* without its end */
    size_t keyword_length;
};

/* Moves *at behind the line that stands there; false at the end. */
static bool next_line(const char **at, struct line *ret_line) {
    const char *text = *at;
    if (*text == '\0')
        return false;
    *ret_line = (struct line){text, strcspn(text, "\n"), strcspn(text, " \n")};
    *at = text + ret_line->length + (text[ret_line->length] == '\n');
    return true;
}

static bool find_line(const char *lines, const struct line *wanted, struct line *ret_line) {
    while (next_line(&lines, ret_line))
        if (ret_line->keyword_length == wanted->keyword_length &&
            strncasecmp(ret_line->text, wanted->text, wanted->keyword_length) == 0)
            return true;
    return false;
}

/* Returns false when it does not fit. */
static bool append(char *text, size_t size, const char *what, size_t length, char end) {
    size_t used = strlen(text);
    if (used + length + 2 > size)
        return false;
    memcpy(text + used, what, length);
    text[used + length] = end;
    text[used + length + 1] = '\0';
    return true;
}

/* Extensions under which a dialog is followed as before: parameters of MAIL and RCPT, and commands of one line with one
 * reply; and CHUNKING and STARTTLS. Not those for proxies and clients of one's own (XCLIENT, XFORWARD, AUTH, BURL,
 * ATRN), nor those that change who speaks when, or how often: PIPECONNECT, PRDR (several replies to content),
 * CHECKPOINT (355 to MAIL), XEXCH50 (octets behind a command); so a keyword that is not known here isn't offered
 * either. */
static const char *const followed[] = {
    "PIPELINING",    "SIZE",          "8BITMIME",    "BINARYMIME", "ENHANCEDSTATUSCODES",
    "DSN",           "SMTPUTF8",      "CHUNKING",    "STARTTLS",   "REQUIRETLS",
    "DELIVERBY",     "FUTURERELEASE", "MT-PRIORITY", "RRVS",       "MTRK",
    "NO-SOLICITING", "LIMITS",        "VRFY",        "EXPN",       "ETRN",
    "HELP",
};

static bool is_followed(const char *line) {
    size_t length = strcspn(line, " ");
    for (unsigned i = 0; i < sizeof followed / sizeof followed[0]; i++)
        if (length == strlen(followed[i]) && strncmp(line, followed[i], length) == 0)
            return true;
    return false;
}

/* One line of a reply, without its code, into words with one space between; false when it is not to be offered. */
static bool normalise(const uint8_t *text, size_t length, char ret_line[EHLO_LINES_MAX]) {
    size_t used = 0;
    bool in_keyword = true;
    for (size_t i = 0; i < length && used + 1 < EHLO_LINES_MAX; i++) {
        in_keyword = in_keyword && text[i] != ' ';
        if (text[i] == ' ' && (used == 0 || ret_line[used - 1] == ' '))
            continue;
        if (text[i] < ' ' || text[i] >= 0x7f || (in_keyword && !isalnum(text[i]) && (text[i] != '-' || used == 0)))
            return false;
        ret_line[used++] = (char)(in_keyword ? toupper(text[i]) : text[i]);
    }
    while (used > 0 && ret_line[used - 1] == ' ')
        used--;
    ret_line[used] = '\0';
    return is_followed(ret_line);
}

void ehlo_lines_read(const uint8_t *reply, size_t length, char ret_lines[EHLO_LINES_MAX]) {
    const uint8_t *end = reply + length;
    const uint8_t *line = memchr(reply, '\n', length);
    char text[EHLO_LINES_MAX];
    struct line known;
    ret_lines[0] = '\0';
    while (line != NULL && end - ++line > CODE_AND_SEPARATOR) {
        const uint8_t *lf = memchr(line, '\n', (size_t)(end - line));
        const uint8_t *text_end = lf != NULL ? lf : end;
        line += CODE_AND_SEPARATOR;
        if (text_end > line && text_end[-1] == '\r')
            text_end--;
        if (text_end > line && normalise(line, (size_t)(text_end - line), text) &&
            !find_line(ret_lines, &(struct line){text, strlen(text), strcspn(text, " ")}, &known))
            append(ret_lines, EHLO_LINES_MAX, text, strlen(text), '\n');
        line = lf;
    }
}

bool ehlo_lines_have(const char *lines, const char *keyword, size_t length) {
    struct line found;
    return find_line(lines, &(struct line){keyword, length, length}, &found);
}

/* The limit of a SIZE line; UINT64_MAX: none (RFC 1870 §3: no number, or 0). False when it is not a number. */
static bool read_limit(const struct line *line, uint64_t *ret_limit) {
    *ret_limit = 0;
    for (size_t i = line->keyword_length + 1; i < line->length; i++) {
        if (!isdigit((unsigned char)line->text[i]))
            return false;
        bool fits = *ret_limit < UINT64_MAX / 10 - 1;
        *ret_limit = fits ? *ret_limit * 10 + (uint64_t)(line->text[i] - '0') : UINT64_MAX;
    }
    *ret_limit = *ret_limit == 0 ? UINT64_MAX : *ret_limit;
    return true;
}

static bool choose(const struct line *a, const struct line *b, struct line *ret_line) {
    uint64_t limit_a, limit_b;
    *ret_line = *a;
    if (a->length == b->length && strncasecmp(a->text, b->text, a->length) == 0)
        return true;
    if (a->keyword_length != 4 || strncasecmp(a->text, "SIZE", 4) != 0 || !read_limit(a, &limit_a) ||
        !read_limit(b, &limit_b))
        return false;
    *ret_line = limit_b < limit_a ? *b : *a;
    return true;
}

void ehlo_lines_intersect(char lines[EHLO_LINES_MAX], const char *other) {
    char result[EHLO_LINES_MAX] = "";
    const char *at = lines;
    struct line line, found, chosen;
    while (next_line(&at, &line))
        if (find_line(other, &line, &found) && choose(&line, &found, &chosen))
            append(result, sizeof result, chosen.text, chosen.length, '\n');
    memcpy(lines, result, strlen(result) + 1);
}

void ehlo_lines_lacking(const char *lines, const char *wanted, char *ret_keywords, size_t size) {
    struct line line, found;
    ret_keywords[0] = '\0';
    while (next_line(&wanted, &line))
        if (!find_line(lines, &line, &found))
            append(ret_keywords, size, line.text, line.keyword_length, ' ');
    size_t length = strlen(ret_keywords);
    if (length > 0)
        ret_keywords[length - 1] = '\0';
}
