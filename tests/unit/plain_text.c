/* What is not seen, or looks like something else, is found wherever it stands. */
#include "lb/base/plain_text.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *fault_of(const char *text, size_t length) {
    static char fault[PLAIN_TEXT_FAULT_MAX];
    fault[0] = '\0';
    return plain_text_fault(text, length, fault) ? fault : NULL;
}

Test(plain_text, what_is_seen_is_no_fault) {
    static const char *const texts[] = {
        "", "a.test", "a\tb ~!", "m\xc3\xbcller.test", "\xe4\xbe\x8b.test", "\xf0\x9f\x93\xa7@x.test"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_assert_null(fault_of(texts[i], strlen(texts[i])), "%zu: %s", i, fault_of(texts[i], strlen(texts[i])));
}

Test(plain_text, what_is_not_seen_is_named_with_its_place) {
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"\xc2\xa0", "U+00A0 (a no-break space) at its beginning"},
        {"a.test\xe2\x80\x8b", "U+200B (a mark without width) behind \"a.test\""},
        {"a\xef\xbb\xbf", "U+FEFF (a byte order mark)"},
        {"a\xe2\x80\xa8", "U+2028 (a line end that is none)"},
        {"a\xe3\x80\x80", "U+3000 (a blank that is none)"},
        {"a\xe3\x80\x82test", "U+3002 (a full stop that is no dot)"},
        {"\xef\xbd\x81.test", "U+FF41 (a full-width form)"},
        {"a\xe2\x80\x93test", "U+2013 (a dash, quote or dot that is none of ASCII)"},
        {"a\xc2\x85", "U+0085 (a control character)"},
        {"a\x1b[m", "U+001B (a control character)"},
        {"a\xf3\xa0\x80\xa1", "U+E0021 (a mark without width)"},
        {"m\xfcller", "octet 0xFC (no UTF-8) behind \"m\""},
        {"a\xc3", "octet 0xC3 (no UTF-8)"},
        {"a\xc0\xae", "octet 0xC0 (no UTF-8)"},
        {"a\xed\xa0\x80", "octet 0xED (no UTF-8)"},
        {"a\xf4\x90\x80\x80", "octet 0xF4 (no UTF-8)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *fault = fault_of(cases[i].text, strlen(cases[i].text));
        cr_assert_not_null(fault, "%zu", i);
        cr_assert_not_null(strstr(fault, cases[i].said), "%s", fault);
    }
    cr_assert_not_null(fault_of("a\0b", 3));
}

Test(plain_text, the_words_before_a_fault_are_cut_between_characters) {
    char text[101];
    for (unsigned at = 0; at < 49; at++) {
        memset(text, 'x', sizeof text);
        for (unsigned i = 0; i < 50; i++)
            memcpy(text + 2 * i, "\xc3\xbc", 2);
        text[2 * at] = '\x01';
        const char *fault = fault_of(text, 100);
        cr_assert_not_null(fault);
        cr_assert(!plain_text_fault(fault, strlen(fault), (char[PLAIN_TEXT_FAULT_MAX]){0}), "%s", fault);
    }
}
