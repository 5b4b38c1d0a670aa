/* The parameters of MAIL and RCPT: a table of the known ones, with the command that each belongs to and the extension
 * that brings it. The gate calls it. Pure. */
#include "lb/smtp/parameters.h"

#include "lb/smtp/blank.h"
#include "lb/smtp/ehlo.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum value { NO_VALUE, ANY_VALUE, NUMBER, BODY_TYPE };

/* `extension`: the EHLO keyword, "" where servers take the parameter without offering it. */
static const struct known {
    const char *name;
    const char *extension;
    bool is_recipients;
    enum value value;
} known[] = {
    {"SIZE", "", false, NUMBER},               /* RFC 1870 */
    {"BODY", "", false, BODY_TYPE},            /* RFC 6152, RFC 3030 */
    {"AUTH", "", false, ANY_VALUE},            /* RFC 4954 §5 */
    {"SMTPUTF8", "SMTPUTF8", false, NO_VALUE}, /* RFC 6531 */
    {"RET", "DSN", false, ANY_VALUE},          /* RFC 3461 */
    {"ENVID", "DSN", false, ANY_VALUE},
    {"NOTIFY", "DSN", true, ANY_VALUE},
    {"ORCPT", "DSN", true, ANY_VALUE},
    {"BY", "DELIVERBY", false, ANY_VALUE},          /* RFC 2852 */
    {"HOLDFOR", "FUTURERELEASE", false, ANY_VALUE}, /* RFC 4865 */
    {"HOLDUNTIL", "FUTURERELEASE", false, ANY_VALUE},
};
#define KNOWN (sizeof known / sizeof known[0])

static bool is(const char *word, size_t length, const char *wanted) {
    return length == strlen(wanted) && strncasecmp(word, wanted, length) == 0;
}

static enum parameters_result take_size(const char *value, size_t length, struct smtp_parameters *parameters) {
    uint64_t size = 0;
    if (length == 0)
        return PARAMETERS_MALFORMED;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)value[i]))
            return PARAMETERS_MALFORMED;
        size = size > (UINT64_MAX - 9) / 10 ? UINT64_MAX : size * 10 + (uint64_t)(value[i] - '0');
    }
    parameters->has_size = true;
    parameters->size = size;
    return PARAMETERS_OK;
}

static enum parameters_result take_body(const char *value, size_t length, const char *offer) {
    if (is(value, length, "7BIT") || is(value, length, "8BITMIME"))
        return PARAMETERS_OK;
    bool is_binary = is(value, length, "BINARYMIME") && ehlo_lines_have(offer, "BINARYMIME", strlen("BINARYMIME"));
    return is_binary ? PARAMETERS_OK : PARAMETERS_UNKNOWN;
}

static const struct known *find(const char *name, size_t length, bool is_recipient) {
    for (size_t i = 0; i < KNOWN; i++)
        if (known[i].is_recipients == is_recipient && is(name, length, known[i].name))
            return &known[i];
    return NULL;
}

/* "KEYWORD" or "KEYWORD=value". An extension that we don't know has mostly the name of its parameter. */
static enum parameters_result take(const char *word, size_t length, bool is_recipient, const char *offer,
                                   struct smtp_parameters *parameters) {
    const char *equals = memchr(word, '=', length);
    size_t name = equals == NULL ? length : (size_t)(equals - word);
    const char *value = equals == NULL ? "" : equals + 1;
    size_t value_length = equals == NULL ? 0 : length - name - 1;
    const struct known *row = find(word, name, is_recipient);
    if (name == 0)
        return PARAMETERS_MALFORMED;
    if (row == NULL)
        return ehlo_lines_have(offer, word, name) ? PARAMETERS_OK : PARAMETERS_UNKNOWN;
    if (row->extension[0] != '\0' && !ehlo_lines_have(offer, row->extension, strlen(row->extension)))
        return PARAMETERS_UNKNOWN;
    if ((row->value == NO_VALUE) != (equals == NULL))
        return PARAMETERS_UNKNOWN;
    parameters->has_utf8 |= is(word, name, "SMTPUTF8");
    if (row->value == NUMBER)
        return take_size(value, value_length, parameters);
    return row->value == BODY_TYPE ? take_body(value, value_length, offer) : PARAMETERS_OK;
}

enum parameters_result parameters_parse(const char *text, size_t length, bool is_recipient, const char *offer,
                                        struct smtp_parameters *ret_parameters) {
    enum parameters_result result = PARAMETERS_OK;
    size_t at = 0;
    *ret_parameters = (struct smtp_parameters){.has_size = false};
    while (at < length && result == PARAMETERS_OK) {
        size_t word = at;
        while (at < length && !is_blank((unsigned char)text[at]))
            at++;
        if (at > word)
            result = take(text + word, at - word, is_recipient, offer, ret_parameters);
        at += at < length;
    }
    return result;
}
