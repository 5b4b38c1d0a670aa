/* What a refusal says of the mail or its sender. The codes decide where RFC 3463 gives them one meaning; else the words
 * of lb/smtp/verdict.def do. lb/relay/outcome.c asks. Pure. */
#include "lb/smtp/verdict.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* X.7.30, REQUIRETLS support required (RFC 8689). */
#define DETAIL_REGISTERED_MAX 30u

enum word_kind { TECHNICAL, POLICY };

struct word {
    enum word_kind kind;
    const char *text;
};

static const struct word words[] = {
#define WORD(kind, text, source) {kind, text},
#include "lb/smtp/verdict.def"
#undef WORD
};

/* Behind an address in <>, which is the sender's choice: up to the end of the line at most. */
static size_t skip_path(const char *text, size_t length, size_t at) {
    size_t end = at;
    while (end < length && text[end] != '>' && text[end] != '\n')
        end++;
    return end < length && text[end] == '>' ? end : at;
}

static bool begins_with(const char *text, size_t length, const char *word) {
    size_t word_length = strlen(word);
    return word_length <= length && strncasecmp(text, word, word_length) == 0;
}

/* One of `list` begins with a word of the text. */
static bool has_any(const uint8_t *reply, size_t length, const char *const *list, size_t count) {
    const char *text = (const char *)reply;
    length = length < VERDICT_TEXT_MAX ? length : VERDICT_TEXT_MAX;
    for (size_t at = 0; at < length; at++) {
        if (text[at] == '<')
            at = skip_path(text, length, at);
        if (!isalnum((unsigned char)text[at]) || (at > 0 && isalnum((unsigned char)text[at - 1])))
            continue;
        for (size_t i = 0; i < count; i++)
            if (begins_with(text + at, length - at, list[i]))
                return true;
    }
    return false;
}

static bool has_word(const uint8_t *reply, size_t length, enum word_kind kind) {
    const char *list[sizeof words / sizeof words[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].kind == kind)
            list[count++] = words[i].text;
    return has_any(reply, length, list, count);
}

/* What X.7.x, security and policy, says by its detail (RFC 3463 §3.8, RFC 5248's registry). */
enum detail_kind {
    DETAIL_TECHNICAL, /* TLS, authentication, lists and mailboxes that the sender may not use, errors of a check */
    DETAIL_POLICY,    /* unless words say otherwise: servers use it for all that they refuse */
    DETAIL_CLEAR,     /* it means one thing */
    DETAIL_UNKNOWN,   /* not registered: Exchange Online has some hundreds of its own */
};

static enum detail_kind detail_kind(unsigned detail) {
    switch (detail) {
    case 0: /* other: Amavis' verdicts */
    case 1: /* delivery not authorised, message refused */
        return DETAIL_POLICY;
    case 20: /* RFC 7372: no passing DKIM signature */
    case 21: /* no acceptable one */
    case 22: /* none of the author's domain */
    case 23: /* SPF fails; 24 is an error of its check */
    case 25: /* no confirmed reverse name */
    case 26: /* several checks of authentication have failed */
    case 28: /* a flood of mail */
        return DETAIL_CLEAR;
    default:
        return detail <= DETAIL_REGISTERED_MAX ? DETAIL_TECHNICAL : DETAIL_UNKNOWN;
    }
}

/* Syntax (RFC 5321 §4.2.1), authentication and TLS (RFC 4954 §6, RFC 3207 §4), parameters, and hosts without mail. */
static bool is_technical_code(unsigned code) {
    return code < 510 || (code >= 530 && code <= 538) || code == 555 || code == 556;
}

bool verdict_is_on_content(unsigned code, const struct enhanced_code *enhanced, const uint8_t *reply, size_t length) {
    bool has_enhanced = enhanced->class == 5;
    /* RFC 3463: 1 addresses, 2 mailboxes, 3 the mail system, 4 routing (loops among it), 5 the protocol */
    bool is_technical_subject = has_enhanced && enhanced->subject >= 1 && enhanced->subject <= 5;
    enum detail_kind kind = has_enhanced && enhanced->subject == 7 ? detail_kind(enhanced->detail) : DETAIL_UNKNOWN;
    if (code / 100 != 5 || is_technical_code(code) || is_technical_subject || kind == DETAIL_TECHNICAL)
        return false;
    if (kind == DETAIL_CLEAR)
        return true;
    if (has_word(reply, length, TECHNICAL))
        return false;
    return kind == DETAIL_POLICY || has_word(reply, length, POLICY);
}

bool verdict_is_unknown_recipient(unsigned code, const struct enhanced_code *enhanced, const uint8_t *reply,
                                  size_t length) {
    /* Exim says them without an enhanced code, as it says of unknown users. */
    static const char *const of_others[] = {"sender", "relay",         "helo",   "ehlo",     "quota",   "full",
                                            "host",   "access denied", "denied", "greylist", "too many"};
    if (code != 550)
        return false;
    /* X.1.7 and X.1.8 are about the sender (RFC 3463 §3.2), which Postfix holds against each recipient. */
    if (enhanced->class != 0)
        return enhanced->subject == 1 && enhanced->detail != 7 && enhanced->detail != 8;
    return !has_any(reply, length, of_others, sizeof of_others / sizeof of_others[0]) &&
           !has_word(reply, length, POLICY);
}
