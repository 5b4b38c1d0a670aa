/* How results of probes move a backend's health, and when the next probe is due; the words are HAProxy's. health.c
 * asks. Pure. */
#include "health/rise_fall.h"

static enum backend_health after_pass(unsigned passed, enum backend_health health, const struct config_tier *tier) {
    switch (health) {
    case HEALTH_STARTING:
    case HEALTH_UP:
    case HEALTH_GOING_DOWN:
        return HEALTH_UP;
    case HEALTH_DOWN:
    case HEALTH_GOING_UP:
        return passed >= tier->rise ? HEALTH_UP : HEALTH_GOING_UP;
    case HEALTH_EJECTED: /* only its time brings it back */
        return HEALTH_EJECTED;
    }
    return health;
}

static enum backend_health after_failure(unsigned failed, enum backend_health health, const struct config_tier *tier) {
    switch (health) {
    case HEALTH_STARTING:
        return failed >= tier->fall ? HEALTH_DOWN : HEALTH_STARTING;
    case HEALTH_UP:
    case HEALTH_GOING_DOWN:
        return failed >= tier->fall ? HEALTH_DOWN : HEALTH_GOING_DOWN;
    case HEALTH_DOWN:
    case HEALTH_GOING_UP:
        return HEALTH_DOWN;
    case HEALTH_EJECTED:
        return failed >= tier->fall ? HEALTH_DOWN : HEALTH_EJECTED;
    }
    return health;
}

enum backend_health rise_fall_step(struct rise_fall *counts, enum backend_health health, bool has_passed,
                                   const struct config_tier *tier) {
    if (has_passed) {
        counts->failed_in_a_row = 0;
        return after_pass(++counts->passed_in_a_row, health, tier);
    }
    counts->passed_in_a_row = 0;
    return after_failure(++counts->failed_in_a_row, health, tier);
}

uint64_t rise_fall_interval_ms(enum backend_health health, const struct config_tier *tier, uint64_t random) {
    uint64_t interval = health == HEALTH_UP     ? tier->inter_ms
                        : health == HEALTH_DOWN ? tier->downinter_ms
                                                : tier->fastinter_ms;
    uint64_t span = interval / 5;
    return interval - span / 2 + (span > 0 ? random % (span + 1) : 0);
}
