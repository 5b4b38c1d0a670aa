/* One address of MAIL or RCPT, read from left to right by the rules of Postfix' smtpd_token.c, tok822_parse.c and
 * smtpd's extract_addr(). Where those take lists, groups or nested brackets apart, the result is that the address is
 * unclear. The gate calls it. Pure. */
#include "lb/smtp/path.h"

#include "lb/smtp/blank.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct scan {
    const char *text;
    size_t length;
    size_t at;
    bool has_word;      /* an atom, a quoted string or a literal has been seen */
    bool is_after_word; /* and nothing behind it that could join it to another one */
    bool has_at;
    size_t domain_from; /* in `address`, behind its last @ */
    size_t address_length;
    char address[SMTP_LOCAL_PART_MAX + 1 + SMTP_DOMAIN_MAX + 1];
};

static int peek(const struct scan *scan) {
    return scan->at < scan->length ? (unsigned char)scan->text[scan->at] : -1;
}

/* --- the word --- */

/* Behind the quote or bracket that begins at `at`; `length` + 1: it has no end. <> nest, quotes end what stands in
 * them. */
static size_t behind_quoted(const char *text, size_t length, size_t at) {
    size_t depth = text[at] == '<';
    bool is_quoted = text[at] == '"';
    for (at++; at < length; at++) {
        if (text[at] == '\\') {
            at++;
        } else if (text[at] == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && (text[at] == '<' || text[at] == '>')) {
            depth += text[at] == '<' ? 1 : -(size_t)1;
        }
        if (depth == 0 && !is_quoted)
            return at + 1;
    }
    return length + 1;
}

static size_t word_length(const char *text, size_t length) {
    size_t at = 0;
    while (at < length && !is_blank((unsigned char)text[at])) {
        if (text[at] == '<' || text[at] == '"')
            at = behind_quoted(text, length, at);
        else
            at += text[at] == '\\' ? 2 : 1;
    }
    return at;
}

/* --- its parts --- */

static bool add(struct scan *scan, int octet) {
    if (scan->address_length == sizeof scan->address)
        return false;
    scan->address[scan->address_length++] = (char)octet;
    return true;
}

/* A word. Two in a row are two addresses. */
static enum path_result begin_word(struct scan *scan) {
    bool is_second = scan->is_after_word;
    scan->has_word = scan->is_after_word = true;
    return is_second ? PATH_MALFORMED : PATH_OK;
}

/* Comments nest; one without an end goes to the end. */
static void skip_comment(struct scan *scan) {
    size_t depth = 0;
    do {
        depth += peek(scan) == '(' ? 1 : peek(scan) == ')' ? -(size_t)1 : 0;
        scan->at += peek(scan) == '\\' ? 2 : 1;
    } while (depth > 0 && scan->at < scan->length);
}

/* "…" with \ before any octet. */
static enum path_result scan_quoted(struct scan *scan, struct smtp_path *path) {
    enum path_result result = scan->has_at ? PATH_UNCLEAR : begin_word(scan);
    path->is_quoted = true;
    for (scan->at++; result == PATH_OK && peek(scan) != '"'; scan->at++) {
        if (peek(scan) == '\\')
            scan->at++;
        int octet = peek(scan);
        if (octet < ' ' || octet == 127 || !add(scan, octet)) /* with the end of the text */
            result = PATH_UNCLEAR;
    }
    scan->at++;
    return result;
}

/* [192.0.2.1]; what stands in it is looked at later. */
static enum path_result scan_literal(struct scan *scan) {
    const char *end = memchr(scan->text + scan->at, ']', scan->length - scan->at);
    enum path_result result = begin_word(scan);
    if (end == NULL)
        return PATH_UNCLEAR;
    for (; result == PATH_OK && scan->text + scan->at <= end; scan->at++)
        if (peek(scan) == '\\' || !add(scan, peek(scan)))
            result = PATH_UNCLEAR;
    return result;
}

static bool is_atext(int octet) {
    return octet > ' ' && octet != 127 && strchr("()<>@,;:\"[].|%!", octet) == NULL;
}

static enum path_result scan_atom(struct scan *scan, struct smtp_path *path) {
    enum path_result result = begin_word(scan);
    while (result == PATH_OK && is_atext(peek(scan))) {
        bool is_escaped = peek(scan) == '\\';
        path->is_loose |= is_escaped;
        scan->at += is_escaped;
        if (peek(scan) <= ' ' || peek(scan) == 127 || !add(scan, peek(scan)))
            result = PATH_UNCLEAR;
        scan->at++;
    }
    return result;
}

/* A second address behind a comma is one too many; an empty place may be none. */
static enum path_result scan_comma(const struct scan *scan) {
    size_t next = scan->at + 1;
    while (next < scan->length && is_blank((unsigned char)scan->text[next]))
        next++;
    return scan->has_word && next < scan->length && is_atext((unsigned char)scan->text[next]) ? PATH_MALFORMED
                                                                                              : PATH_UNCLEAR;
}

static enum path_result scan_operator(struct scan *scan) {
    int octet = peek(scan);
    scan->at++;
    scan->is_after_word = false;
    if (!add(scan, octet))
        return PATH_UNCLEAR;
    if (octet == '@') {
        scan->has_at = true;
        scan->domain_from = scan->address_length;
    }
    return PATH_OK;
}

static enum path_result scan_part(struct scan *scan, struct smtp_path *path) {
    int octet = peek(scan);
    switch (octet) {
    case ' ':
    case '\t':
        path->is_loose = true;
        scan->at++;
        return PATH_OK;
    case '(':
        path->is_loose = true;
        skip_comment(scan);
        return PATH_OK;
    case '"':
        return scan_quoted(scan, path);
    case '[':
        return scan_literal(scan);
    case ',':
        return scan_comma(scan);
    case '@':
    case '.':
    case '|':
    case '%':
    case '!':
        return scan_operator(scan);
    default:
        return is_atext(octet) ? scan_atom(scan, path) : PATH_UNCLEAR;
    }
}

/* --- the address --- */

/* Postfix drops one dot at the end; of a literal it knows more forms than we do. */
static enum path_result take_domain(const char *from, size_t length, struct smtp_path *path) {
    if (length > 1 && from[length - 1] == '.')
        length--;
    if (length == 0 || length > SMTP_DOMAIN_MAX)
        return PATH_UNCLEAR;
    if (from[length - 1] == '.')
        return PATH_MALFORMED;
    path->is_literal = domain_is_literal(from, length);
    if (!path->is_literal && !domain_is_valid(from, length, true))
        return memchr(from, '[', length) != NULL ? PATH_UNCLEAR : PATH_MALFORMED;
    for (size_t i = 0; i < length; i++) {
        path->domain[i] = (char)tolower((unsigned char)from[i]);
        path->has_utf8_domain |= (unsigned char)from[i] >= 0x80;
    }
    path->domain[length] = '\0';
    return PATH_OK;
}

/* A local part that begins with - is an option to some programs: Postfix' allow_min_user refuses it, others do not. */
static enum path_result take_address(const struct scan *scan, struct smtp_path *path) {
    size_t local_length = scan->has_at ? scan->domain_from - 1 : scan->address_length;
    if (local_length > SMTP_LOCAL_PART_MAX || (local_length > 0 && scan->address[0] == '-'))
        return PATH_UNCLEAR;
    memcpy(path->local_part, scan->address, local_length);
    path->local_part[local_length] = '\0';
    path->is_null = !scan->has_word && scan->address_length == 0;
    if (scan->address_length == 0)
        return path->is_null ? PATH_OK : PATH_UNCLEAR; /* <""> */
    if (!scan->has_at)
        return scan->has_word ? PATH_OK : PATH_UNCLEAR; /* dots alone */
    return take_domain(scan->address + scan->domain_from, scan->address_length - scan->domain_from, path);
}

/* "@a,@b:" before the mailbox: must be taken, should be ignored (RFC 5321 §4.1.2). */
static enum path_result skip_route(struct scan *scan) {
    const char *colon = memchr(scan->text, ':', scan->length);
    if (peek(scan) != '@' || colon == NULL)
        return PATH_OK;
    scan->at = (size_t)(colon - scan->text) + 1;
    bool has_literal = memchr(scan->text, '[', scan->at) != NULL; /* an IPv6 address has colons of its own */
    return has_literal || scan->at == scan->length ? PATH_UNCLEAR : PATH_OK;
}

enum path_result path_parse(const char *text, size_t length, size_t *ret_used, struct smtp_path *ret_path) {
    size_t word = word_length(text, length);
    memset(ret_path, 0, sizeof *ret_path);
    *ret_used = word < length ? word : length;
    if (word == 0 || word > length || !text_is_utf8(text, word))
        return PATH_MALFORMED;
    bool has_brackets = word > 1 && text[0] == '<' && text[word - 1] == '>';
    struct scan scan = {.text = text + has_brackets, .length = word - 2u * has_brackets};
    ret_path->is_loose = !has_brackets;
    enum path_result result = skip_route(&scan);
    while (result == PATH_OK && scan.at < scan.length)
        result = scan_part(&scan, ret_path);
    for (size_t i = 0; i < word; i++)
        ret_path->has_utf8 |= (unsigned char)text[i] >= 0x80;
    return result == PATH_OK ? take_address(&scan, ret_path) : result;
}

void path_format(const struct smtp_path *path, char *ret_text, size_t size) {
    snprintf(ret_text, size, "%s%s%s", path->local_part, path->domain[0] != '\0' ? "@" : "", path->domain);
}
