/* What backends have offered in reply to EHLO. Each different offer is kept once for each worker, so that a session
 * remembers in one octet what its client was told. A replay compares offers by these numbers. The worker owns the
 * table; when it is full, sessions that see another offer are not replayed. */
#include "lb/relay/offers.h"

#include "lb/engine/log.h"
#include "lb/relay/worker_private.h"

uint8_t worker_intern_offer(struct worker *worker, const uint8_t *reply, size_t length) {
    struct ehlo_offer offer = {.count = 0};
    if (reply != NULL && !ehlo_offer_parse(reply, length, &offer))
        return OFFER_UNKNOWN;
    for (unsigned i = 0; i < worker->offers_count; i++)
        if (ehlo_offer_equal(&worker->offers[i], &offer))
            return (uint8_t)(i + 1);
    if (worker->offers_count == EHLO_OFFERS_MAX) {
        if (!worker->offers_full_said)
            log_warning("more than %u different EHLO replies: sessions that see another one are not replayed",
                        EHLO_OFFERS_MAX);
        worker->offers_full_said = true;
        return OFFER_UNKNOWN;
    }
    worker->offers[worker->offers_count++] = offer;
    return (uint8_t)worker->offers_count;
}

const struct ehlo_offer *worker_offer(const struct worker *worker, uint8_t number) {
    static const struct ehlo_offer none;
    return number == OFFER_NONE || number == OFFER_UNKNOWN ? &none : &worker->offers[number - 1];
}
