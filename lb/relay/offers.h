/* What backends have offered in reply to EHLO, each different offer once a worker, so that a session remembers in one
 * octet what its client was told. */
#ifndef POSTERN_RELAY_OFFERS_H
#define POSTERN_RELAY_OFFERS_H

#include "lb/engine/limits.h"
#include "lb/smtp/ehlo.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An offer's number. */
enum { OFFER_NONE = 0, OFFER_UNKNOWN = 255 };

struct offers {
    struct ehlo_offer items[EHLO_OFFERS_MAX];
    unsigned count;
    bool full_said;
};

/* The number of a complete reply to EHLO (NULL: to HELO, which offers nothing), OFFER_UNKNOWN when it can't be kept;
 * and back. */
uint8_t offers_intern(struct offers *offers, const uint8_t *reply, size_t length);
const struct ehlo_offer *offers_get(const struct offers *offers, uint8_t number);

#endif
