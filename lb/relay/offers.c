/* What backends have offered in reply to EHLO. Each different offer is kept once for each worker, so that a session
 * remembers in one octet what its client was told. A replay compares offers by these numbers. The worker owns the
 * table; when it is full, sessions that see another offer are not replayed. */
#include "lb/relay/offers.h"

#include "lb/engine/log.h"

uint8_t offers_intern(struct offers *offers, const uint8_t *reply, size_t length) {
    struct ehlo_offer offer = {.count = 0};
    if (reply != NULL && !ehlo_offer_parse(reply, length, &offer))
        return OFFER_UNKNOWN;
    for (unsigned i = 0; i < offers->count; i++)
        if (ehlo_offer_equal(&offers->items[i], &offer))
            return (uint8_t)(i + 1);
    if (offers->count == EHLO_OFFERS_MAX) {
        if (!offers->full_said)
            log_warning("more than %u different EHLO replies: sessions that see another one are not replayed",
                        EHLO_OFFERS_MAX);
        offers->full_said = true;
        return OFFER_UNKNOWN;
    }
    offers->items[offers->count++] = offer;
    return (uint8_t)offers->count;
}

const struct ehlo_offer *offers_get(const struct offers *offers, uint8_t number) {
    static const struct ehlo_offer none;
    return number == OFFER_NONE || number == OFFER_UNKNOWN ? &none : &offers->items[number - 1];
}
