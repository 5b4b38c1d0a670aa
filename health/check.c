/* What health.c and convictions.c both need of a check: its tier's options, and the time of its next probe. A check is
 * one backend's part of the module, and health.c owns it. */
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
