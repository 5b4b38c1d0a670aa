/* Whether a text is a domain's name, tested label by label. The configuration and the files of networks ask. Pure. */
#include "lb/base/domain_name.h"

#include <string.h>

#define LETTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS    "0123456789"
#define LABEL_MAX 63u

static bool is_label(const char *text, size_t length) {
    return length > 0 && length <= LABEL_MAX && text[0] != '-' && text[length - 1] != '-' &&
           strspn(text, LETTERS DIGITS "-_") >= length;
}

bool text_is_domain(const char *text, size_t length) {
    bool has_letter = false;
    if (length == 0 || length > DOMAIN_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        has_letter |= text[i] != '.' && strchr(DIGITS, text[i]) == NULL;
    for (size_t from = 0; from <= length;) {
        const char *dot = memchr(text + from, '.', length - from);
        size_t end = dot == NULL ? length : (size_t)(dot - text);
        if (!is_label(text + from, end - from))
            return false;
        from = end + 1;
    }
    return has_letter;
}
