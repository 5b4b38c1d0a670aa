/* The right half of a line of access-file. It is read as Postfix's smtpd reads the result of a look-up (3.7,
 * check_table_result()): words in any case, text behind DUNNO and OK ignored, a number alone is OK (also one of three
 * digits: "550" without text lets a client in, there as here). access_table.c calls it. Pure. */
#include "lb/gate/access_action.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define ALLOWED "allowed: OK, REJECT [text], DEFER [text], 4NN text, 5NN text, DUNNO, INFO, WARN"

/* RFC 3463 §2: class.subject.detail, the last two of one to three digits. Returns its length, 0 when it is none. */
static size_t enhanced_length(const char *text) {
    size_t at = 2;
    if (strchr("245", text[0]) == NULL || text[0] == '\0' || text[1] != '.')
        return 0;
    for (unsigned part = 0; part < 2; part++) {
        size_t digits = strspn(text + at, "0123456789");
        if (digits < 1 || digits > 3 || (part == 0 && text[at + digits] != '.'))
            return 0;
        at += digits + (part == 0);
    }
    return text[at] == '\0' || text[at] == ' ' || text[at] == '\t' ? at : 0;
}

static const char *skip_blanks(const char *text) {
    return text + strspn(text, " \t");
}

/* The text behind the code. What a client must not see in a reply's line becomes "?". */
static const char *parse_refusal(uint16_t code, const char *text, struct access_action *ret_action) {
    struct access_action action = {.kind = ACCESS_REJECT, .code = code, .enhanced = "4.7.1"};
    size_t length = enhanced_length(text);
    if (length > 0) {
        memcpy(action.enhanced, text, length);
        action.enhanced[length] = '\0';
    }
    action.enhanced[0] = (char)('0' + code / 100); /* of another class it would contradict the code */
    text = skip_blanks(text + length);
    if (*text == '\0')
        text = "Access denied";
    if (strlen(text) >= sizeof action.text)
        return "its text is longer than 255 octets";
    for (size_t i = 0; text[i] != '\0'; i++)
        action.text[i] = text[i] == '\t' ? ' ' : text[i] < ' ' || text[i] > '~' ? '?' : text[i];
    *ret_action = action;
    return NULL;
}

static bool is_number(const char *text) {
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

const char *access_action_parse(const char *text, struct access_action *ret_action) {
    static const struct {
        const char *word;
        enum access_kind kind;
        uint16_t code;
    } words[] = {
        {"OK", ACCESS_OK, 0},          {"RELAY", ACCESS_OK, 0},   {"DUNNO", ACCESS_DUNNO, 0},
        {"INFO", ACCESS_DUNNO, 0},     {"WARN", ACCESS_DUNNO, 0}, {"REJECT", ACCESS_REJECT, 554},
        {"DEFER", ACCESS_REJECT, 450},
    };
    size_t length = strcspn(text, " \t");
    const char *rest = skip_blanks(text + length);
    if (is_number(text)) {
        *ret_action = (struct access_action){.kind = ACCESS_OK};
        return NULL;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].word) != length || strncasecmp(text, words[i].word, length) != 0)
            continue;
        if (words[i].kind == ACCESS_REJECT)
            return parse_refusal(words[i].code, rest, ret_action);
        *ret_action = (struct access_action){.kind = words[i].kind};
        return NULL;
    }
    bool has_code = length == 3 && (text[0] == '4' || text[0] == '5') && isdigit((unsigned char)text[1]) &&
                    isdigit((unsigned char)text[2]);
    if (!has_code || *rest == '\0')
        return "is no action for a client here; " ALLOWED;
    return parse_refusal((uint16_t)((text[0] - '0') * 100 + (text[1] - '0') * 10 + text[2] - '0'), rest, ret_action);
}
