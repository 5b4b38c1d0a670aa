/* What a server offers in its reply to EHLO, kept so that two of them can be compared. Pure. */
#ifndef POSTERN_SMTP_EHLO_H
#define POSTERN_SMTP_EHLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Postfix offers 12 keywords, Exchange 16. */
#define EHLO_KEYWORDS_MAX 32

struct ehlo_offer {
    uint64_t keywords[EHLO_KEYWORDS_MAX]; /* hashes of the keyword with its parameters, in capitals, ascending */
    uint8_t count;
    bool has_pipelining;
};

/* Reads a complete reply to EHLO (RFC 5321 §4.1.1.1; the first line is the host's name and does not count). Returns
 * false when it has too many keywords. */
bool ehlo_offer_parse(const uint8_t *reply, size_t length, struct ehlo_offer *ret_offer);
bool ehlo_offer_equal(const struct ehlo_offer *a, const struct ehlo_offer *b);
/* Everything that `wanted` has is offered, with the same parameters. */
bool ehlo_offer_covers(const struct ehlo_offer *offer, const struct ehlo_offer *wanted);

#endif
