/* Domains and address literals as clients name them, tested label by label. path.c and the gate call it. Pure. */
#include "lb/smtp/domain.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define LABEL_MAX 63u

/* The octets of the character that begins here, 0 when it is none (RFC 3629 §4). */
static size_t utf8_length(const unsigned char *at, size_t left) {
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t length = forms[i].length;
        if (at[0] < forms[i].first_low || at[0] > forms[i].first_high)
            continue;
        if (length > left || (length > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high)))
            return 0;
        for (size_t k = 2; k < length; k++)
            if (at[k] < 0x80 || at[k] > 0xbf)
                return 0;
        return length;
    }
    return 0;
}

bool text_is_utf8(const char *text, size_t length) {
    const unsigned char *at = (const unsigned char *)text;
    while (length > 0) {
        size_t step = utf8_length(at, length);
        if (step == 0)
            return false;
        at += step;
        length -= step;
    }
    return true;
}

static bool label_is_valid(const char *label, size_t length, bool takes_utf8) {
    if (length == 0 || length > LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char octet = (unsigned char)label[i];
        bool is_plain = octet < 0x80 && (isalnum(octet) || octet == '-' || octet == '_');
        if (!is_plain && !(takes_utf8 && octet >= 0x80))
            return false;
    }
    return true;
}

static bool check(const char *text, size_t length, bool takes_utf8, unsigned *ret_labels) {
    bool has_letter = false;
    unsigned labels = 0;
    if (length > 1 && text[length - 1] == '.')
        length--;
    if (length == 0 || length > SMTP_DOMAIN_MAX || !text_is_utf8(text, length))
        return false;
    for (size_t i = 0; i < length; i++)
        has_letter |= text[i] != '.' && !isdigit((unsigned char)text[i]);
    for (size_t from = 0; from <= length; labels++) {
        const char *dot = memchr(text + from, '.', length - from);
        size_t end = dot == NULL ? length : (size_t)(dot - text);
        if (!label_is_valid(text + from, end - from, takes_utf8))
            return false;
        from = end + 1;
    }
    *ret_labels = labels;
    return has_letter;
}

bool domain_is_valid(const char *text, size_t length, bool takes_utf8) {
    unsigned labels;
    return check(text, length, takes_utf8, &labels);
}

bool domain_is_fqdn(const char *text, size_t length, bool takes_utf8) {
    unsigned labels;
    return check(text, length, takes_utf8, &labels) && labels > 1;
}

bool domain_is_ipv4(const char *text, size_t length) {
    unsigned numbers = 0, value = 0, digits = 0;
    bool is_any = strspn(text, "0.") >= length;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && isdigit((unsigned char)text[i])) {
            value = value * 10 + (unsigned)(text[i] - '0');
            digits++;
            if (value > 255)
                return false;
            continue;
        }
        bool is_end = i == length;
        if (digits == 0 || (!is_end && text[i] != '.') || (numbers == 0 && value == 0 && !is_any) || ++numbers > 4)
            return false;
        value = digits = 0;
    }
    return numbers == 4;
}

bool domain_is_literal(const char *text, size_t length) {
    char host[INET6_ADDRSTRLEN + 1];
    unsigned char address[16];
    if (length < 3 || text[0] != '[' || text[length - 1] != ']')
        return false;
    text++;
    length -= 2;
    bool is_ipv6 = length > 5 && strncasecmp(text, "IPv6:", 5) == 0;
    size_t skipped = is_ipv6 ? 5 : 0;
    if (length - skipped > INET6_ADDRSTRLEN || memchr(text, '\0', length) != NULL)
        return false;
    memcpy(host, text + skipped, length - skipped);
    host[length - skipped] = '\0';
    return is_ipv6 ? inet_pton(AF_INET6, host, address) == 1 : domain_is_ipv4(host, length);
}
