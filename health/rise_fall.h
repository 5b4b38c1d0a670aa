/* How probe results move a backend's health: pure. */
#ifndef POSTERN_HEALTH_RISE_FALL_H
#define POSTERN_HEALTH_RISE_FALL_H

#include "backends/backend.h"

struct rise_fall {
    unsigned passed_in_a_row;
    unsigned failed_in_a_row;
};

/* The health after one more result. At start one pass is enough to be up; down takes `fall` failures there too, so that
 * one lost packet does not send a starting site to its strict host. */
enum backend_health rise_fall_step(struct rise_fall *counts, enum backend_health health, bool has_passed,
                                   const struct config_tier *tier);

/* Milliseconds until the next probe: `fastinter` while changing, `downinter` while down, else `inter`, with ±10% of
 * jitter from `random`, so that the probes of many backends do not march in step. */
uint64_t rise_fall_interval_ms(enum backend_health health, const struct config_tier *tier, uint64_t random);

#endif
