/* What backends have offered in reply to EHLO, in numbers (offers.c). */
#ifndef POSTERN_RELAY_OFFERS_H
#define POSTERN_RELAY_OFFERS_H

#include "lb/smtp/ehlo.h"

#include <stddef.h>
#include <stdint.h>

struct worker;

/* A worker's number for what a backend offered in reply to EHLO. */
enum { OFFER_NONE = 0, OFFER_UNKNOWN = 255 };

/* The number of a complete reply to EHLO (NULL: to HELO, which offers nothing), OFFER_UNKNOWN when it can't be kept;
 * and back. */
uint8_t worker_intern_offer(struct worker *worker, const uint8_t *reply, size_t length);
const struct ehlo_offer *worker_offer(const struct worker *worker, uint8_t number);

#endif
