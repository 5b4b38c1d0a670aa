/* A path from left to right; what is not taken is malformed. */
#include "lb/smtp/path.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct scan {
    const char *text;
    size_t length;
    size_t at;
};

static int peek(const struct scan *scan) {
    return scan->at < scan->length ? (unsigned char)scan->text[scan->at] : -1;
}

static bool take(struct scan *scan, char wanted) {
    bool is_there = peek(scan) == wanted;
    scan->at += is_there;
    return is_there;
}

/* atext of RFC 5322 §3.2.3, and UTF-8 (RFC 6531 §3.3). */
static bool is_atext(int octet) {
    return octet >= 0x80 || (octet > 0 && (isalnum(octet) || strchr("!#$%&'*+-/=?^_`{|}~", octet) != NULL));
}

static bool add(struct smtp_path *path, size_t *length, int octet) {
    if (*length == SMTP_LOCAL_PART_MAX)
        return false;
    path->local_part[(*length)++] = (char)octet;
    path->is_utf8 |= octet >= 0x80;
    return true;
}

/* "…" with \ before any printable octet (RFC 5321 §4.1.2: Quoted-string). */
static enum path_result scan_quoted(struct scan *scan, struct smtp_path *path) {
    size_t length = 0;
    path->is_quoted = true;
    scan->at++;
    while (peek(scan) >= 0 && peek(scan) != '"') {
        if (peek(scan) == '\\')
            scan->at++;
        int octet = peek(scan);
        if (octet < ' ' || octet == 127)
            return PATH_MALFORMED;
        if (!add(path, &length, octet))
            return PATH_TOO_LONG;
        scan->at++;
    }
    return take(scan, '"') ? PATH_OK : PATH_MALFORMED;
}

/* Atoms with single dots between them. */
static enum path_result scan_atoms(struct scan *scan, struct smtp_path *path) {
    size_t length = 0;
    bool is_after_dot = true;
    while (is_atext(peek(scan)) || peek(scan) == '.') {
        bool is_dot = peek(scan) == '.';
        if (is_dot && is_after_dot)
            return PATH_MALFORMED;
        if (!add(path, &length, peek(scan)))
            return PATH_TOO_LONG;
        is_after_dot = is_dot;
        scan->at++;
    }
    return is_after_dot ? PATH_MALFORMED : PATH_OK;
}

/* Up to `end`, which is left. */
static enum path_result scan_domain(struct scan *scan, char end, struct smtp_path *path) {
    const char *from = scan->text + scan->at;
    while (peek(scan) >= 0 && peek(scan) != end)
        scan->at++;
    size_t length = (size_t)(scan->text + scan->at - from);
    path->is_literal = domain_is_literal(from, length);
    if (length > SMTP_DOMAIN_MAX)
        return PATH_TOO_LONG;
    if (!path->is_literal && !domain_is_valid(from, length, true))
        return PATH_MALFORMED;
    if (from[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++) {
        path->domain[i] = (char)tolower((unsigned char)from[i]);
        path->is_utf8 |= (unsigned char)from[i] >= 0x80;
    }
    path->domain[length] = '\0';
    return PATH_OK;
}

/* "@a,@b:" before the mailbox: must be taken, should be ignored (RFC 5321 §4.1.2). */
static bool skip_route(struct scan *scan) {
    while (take(scan, '@')) {
        const char *from = scan->text + scan->at;
        size_t length = 0;
        while (scan->at + length < scan->length && strchr(",:>", from[length]) == NULL)
            length++;
        if (!domain_is_valid(from, length, true) && !domain_is_literal(from, length))
            return false;
        scan->at += length;
        if (take(scan, ':'))
            return true;
        if (!take(scan, ','))
            return false;
    }
    return false;
}

static enum path_result scan_mailbox(struct scan *scan, struct smtp_path *path) {
    enum path_result result = peek(scan) == '"' ? scan_quoted(scan, path) : scan_atoms(scan, path);
    if (result == PATH_OK && take(scan, '@'))
        result = scan_domain(scan, '>', path);
    return result;
}

enum path_result path_parse(const char *text, size_t length, size_t *ret_used, struct smtp_path *ret_path) {
    struct scan scan = {text, length, 0};
    enum path_result result = PATH_OK;
    memset(ret_path, 0, sizeof *ret_path);
    if (!take(&scan, '<'))
        return PATH_MALFORMED;
    if (peek(&scan) == '@' && !skip_route(&scan))
        return PATH_MALFORMED;
    ret_path->is_null = peek(&scan) == '>' && scan.at == 1;
    if (!ret_path->is_null)
        result = scan_mailbox(&scan, ret_path);
    if (result == PATH_OK && !take(&scan, '>'))
        result = PATH_MALFORMED;
    if (result == PATH_OK && ret_path->is_utf8 && !text_is_utf8(text, scan.at))
        result = PATH_MALFORMED;
    *ret_used = scan.at;
    return result;
}

void path_format(const struct smtp_path *path, char *ret_text, size_t size) {
    snprintf(ret_text, size, "%s%s%s", path->local_part, path->domain[0] != '\0' ? "@" : "", path->domain);
}

static bool take_size(const char *value, size_t length, struct smtp_parameters *parameters) {
    parameters->has_size = true;
    parameters->size = 0;
    if (length == 0 || length > 18) /* RFC 1870 §5: 20 digits, of which 18 are beyond any limit */
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)value[i]))
            return false;
        parameters->size = parameters->size * 10 + (uint64_t)(value[i] - '0');
    }
    return true;
}

/* "KEYWORD" or "KEYWORD=value" (RFC 5321 §4.1.2: esmtp-param). */
static bool take_parameter(const char *word, size_t length, struct smtp_parameters *parameters) {
    size_t name = 0;
    while (name < length && (isalnum((unsigned char)word[name]) || (name > 0 && word[name] == '-')))
        name++;
    bool has_value = name < length && word[name] == '=';
    if (name == 0 || (name < length && !has_value) || (has_value && name + 1 == length))
        return false;
    const char *value = word + name + has_value;
    size_t value_length = length - name - has_value;
    if (name == 4 && strncasecmp(word, "SIZE", 4) == 0)
        return take_size(value, value_length, parameters);
    return true;
}

bool parameters_parse(const char *text, size_t length, struct smtp_parameters *ret_parameters) {
    *ret_parameters = (struct smtp_parameters){.has_size = false};
    size_t at = 0;
    while (at < length) {
        if (text[at] != ' ')
            return false;
        while (at < length && text[at] == ' ')
            at++;
        size_t word = at;
        while (at < length && text[at] > ' ' && text[at] < 127)
            at++;
        if (at > word && !take_parameter(text + word, at - word, ret_parameters))
            return false;
    }
    return true;
}
