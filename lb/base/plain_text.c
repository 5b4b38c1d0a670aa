/* Characters in an operator's text that nobody sees, or that look like others. They are known by ranges of Unicode:
 * those of the categories Cc, Cf, Zs, Zl and Zp, the default-ignorable ones, general punctuation (whose dashes and
 * quotes word processors put in place of - and "), and the full-width forms of ASCII. Readers of files and of commands
 * ask. Pure. */
#include "lb/base/plain_text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct {
    uint32_t low, high;
    const char *what;
} faults[] = {
    {0x0000, 0x0008, "a control character"},
    {0x000a, 0x001f, "a control character"},
    {0x007f, 0x009f, "a control character"},
    {0x00a0, 0x00a0, "a no-break space"},
    {0x00ad, 0x00ad, "a soft hyphen"},
    {0x034f, 0x034f, "a mark without width"},
    {0x061c, 0x061c, "a mark of direction"},
    {0x115f, 0x1160, "an invisible filler"},
    {0x1680, 0x1680, "a blank that is none"},
    {0x17b4, 0x17b5, "a mark without width"},
    {0x180b, 0x180f, "a mark without width"},
    {0x2000, 0x200a, "a blank that is none"},
    {0x200b, 0x200d, "a mark without width"},
    {0x200e, 0x200f, "a mark of direction"},
    {0x2010, 0x2027, "a dash, quote or dot that is none of ASCII"},
    {0x2028, 0x2029, "a line end that is none"},
    {0x202a, 0x202e, "a mark of direction"},
    {0x202f, 0x202f, "a no-break space"},
    {0x2030, 0x205e, "punctuation beyond ASCII"},
    {0x205f, 0x205f, "a blank that is none"},
    {0x2060, 0x206f, "a mark without width"},
    {0x2212, 0x2212, "a minus that is no -"},
    {0x2800, 0x2800, "a blank that is none"},
    {0x3000, 0x3000, "a blank that is none"},
    {0x3002, 0x3002, "a full stop that is no dot"},
    {0x3164, 0x3164, "an invisible filler"},
    {0xfe00, 0xfe0f, "a mark without width"},
    {0xfeff, 0xfeff, "a byte order mark"},
    {0xff01, 0xff60, "a full-width form"},
    {0xff61, 0xff61, "a full stop that is no dot"},
    {0xffa0, 0xffa0, "an invisible filler"},
    {0xffe0, 0xffe6, "a full-width form"},
    {0xfff0, 0xffff, "no character"},
    {0x1bca0, 0x1bca3, "a mark without width"},
    {0x1d173, 0x1d17a, "a mark without width"},
    {0xe0000, 0xe0fff, "a mark without width"},
};

size_t plain_text_mark_length(const char *text, size_t length) {
    return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool plain_text_is_utf16(const char *text, size_t length) {
    return length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0);
}

bool plain_text_has_line_end(const char *text, size_t length) {
    static const char *const ends[] = {"\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (memmem(text, length, ends[i], strlen(ends[i])) != NULL)
            return true;
    return false;
}

/* The character that begins here and its octets, 0 when it is none (RFC 3629 §4: no overlong form, no surrogate). */
static size_t decode(const unsigned char *at, size_t left, uint32_t *ret_character) {
    static const struct {
        unsigned char mask, lead;
        size_t length;
        uint32_t least;
    } forms[] = {
        {0x80, 0x00, 1, 0},
        {0xe0, 0xc0, 2, 0x80},
        {0xf0, 0xe0, 3, 0x800},
        {0xf8, 0xf0, 4, 0x10000},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t length = forms[i].length;
        if ((at[0] & forms[i].mask) != forms[i].lead)
            continue;
        uint32_t character = (uint32_t)(at[0] & ~forms[i].mask & 0xff);
        if (length > left)
            return 0;
        for (size_t k = 1; k < length; k++) {
            if ((at[k] & 0xc0) != 0x80)
                return 0;
            character = character << 6 | (at[k] & 0x3fu);
        }
        *ret_character = character;
        bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
        return character < forms[i].least || character > 0x10ffff || is_surrogate ? 0 : length;
    }
    return 0;
}

static const char *what_of(uint32_t character) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (character >= faults[i].low && character <= faults[i].high)
            return faults[i].what;
    return NULL;
}

/* What stands before it, at most 30 octets of whole characters, so that the place is found. */
static void say(const char *what, const char *text, size_t at, char ret_fault[PLAIN_TEXT_FAULT_MAX]) {
    size_t from = at > 30 ? at - 30 : 0;
    while (from < at && ((unsigned char)text[from] & 0xc0) == 0x80)
        from++;
    if (at == 0)
        snprintf(ret_fault, PLAIN_TEXT_FAULT_MAX, "%s at its beginning", what);
    else
        snprintf(ret_fault, PLAIN_TEXT_FAULT_MAX, "%s behind \"%.*s\"", what, (int)(at - from), text + from);
}

bool plain_text_fault(const char *text, size_t length, char ret_fault[PLAIN_TEXT_FAULT_MAX]) {
    char what[60];
    for (size_t at = 0; at < length;) {
        uint32_t character = 0;
        size_t step = decode((const unsigned char *)text + at, length - at, &character);
        const char *fault = step == 0 ? "no UTF-8" : what_of(character);
        if (step == 0)
            snprintf(what, sizeof what, "octet 0x%02X (%s)", (unsigned char)text[at], fault);
        else if (fault != NULL)
            snprintf(what, sizeof what, "U+%04X (%s)", (unsigned)character, fault);
        if (fault != NULL) {
            say(what, text, at, ret_fault);
            return true;
        }
        at += step;
    }
    return false;
}
