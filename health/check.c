/* What all of the health module needs of a check: its tier, and its next probe. */
#include "health/check.h"

void check_schedule(struct check *check, uint64_t wait_ms) {
    if (check->health->is_stopping)
        return;
    timer_set(io_timers(check->health->io), &check->timer, io_now_ms(check->health->io) + wait_ms);
}

const struct config_tier *check_tier(const struct check *check) {
    return &check->health->config->tiers[check->backend->tier];
}

bool check_is_probed(const struct check *check) {
    return check_tier(check)->check != CHECK_NONE;
}
