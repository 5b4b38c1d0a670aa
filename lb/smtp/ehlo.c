/* Offers as sorted hashes: two keywords that differ have the same one in 2^-64 of all cases. */
#include "lb/smtp/ehlo.h"

#include "lb/smtp/reply.h"

#include <ctype.h>
#include <string.h>

#define CODE_AND_SEPARATOR 4

/* FNV-1a, in capitals. */
static uint64_t hash_keyword(const uint8_t *line, size_t length) {
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        value = (value ^ (uint64_t)toupper(line[i])) * UINT64_C(0x100000001b3);
    return value;
}

static bool insert(struct ehlo_offer *offer, uint64_t keyword) {
    unsigned at = 0;
    while (at < offer->count && offer->keywords[at] < keyword)
        at++;
    if (at < offer->count && offer->keywords[at] == keyword)
        return true;
    if (offer->count == EHLO_KEYWORDS_MAX)
        return false;
    memmove(&offer->keywords[at + 1], &offer->keywords[at], (offer->count - at) * sizeof offer->keywords[0]);
    offer->keywords[at] = keyword;
    offer->count++;
    return true;
}

bool ehlo_offer_parse(const uint8_t *reply, size_t length, struct ehlo_offer *ret_offer) {
    const uint8_t *end = reply + length;
    const uint8_t *line = memchr(reply, '\n', length);
    memset(ret_offer, 0, sizeof *ret_offer);
    ret_offer->has_pipelining = reply_offers(reply, length, "PIPELINING");
    while (line != NULL && end - ++line > CODE_AND_SEPARATOR) {
        const uint8_t *lf = memchr(line, '\n', (size_t)(end - line));
        const uint8_t *text = line + CODE_AND_SEPARATOR;
        const uint8_t *text_end = lf != NULL ? lf : end;
        while (text_end > text && (text_end[-1] == '\r' || text_end[-1] == ' '))
            text_end--;
        if (text_end > text && !insert(ret_offer, hash_keyword(text, (size_t)(text_end - text))))
            return false;
        line = lf;
    }
    return true;
}

bool ehlo_offer_equal(const struct ehlo_offer *a, const struct ehlo_offer *b) {
    return a->count == b->count && memcmp(a->keywords, b->keywords, a->count * sizeof a->keywords[0]) == 0;
}

bool ehlo_offer_covers(const struct ehlo_offer *offer, const struct ehlo_offer *wanted) {
    unsigned at = 0;
    for (unsigned i = 0; i < wanted->count; i++) {
        while (at < offer->count && offer->keywords[at] < wanted->keywords[i])
            at++;
        if (at == offer->count || offer->keywords[at] != wanted->keywords[i])
            return false;
    }
    return true;
}
