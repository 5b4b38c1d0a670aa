/* Sizes and times that the gate decides by. Files of lb/relay ask before they begin a gate's dialog, and for its
 * deadlines. Pure. */
#include "lb/gate/policy.h"

#include "lb/engine/limits.h"

#include <stdlib.h>
#include <string.h>

/* Under stress, as postscreen_greet_wait and postscreen_command_time_limit are shortened. */
#define STRESSED_WAIT_DIVISOR 3u
#define STRESSED_COMMAND_MS   10000u

/* A host that offers this takes no larger mails; 0: it does not say. */
static uint64_t offered_size(const char *offer) {
    const char *size = strstr(offer, "SIZE ");
    return size == NULL ? 0 : strtoull(size + strlen("SIZE "), NULL, 10);
}

uint64_t gate_usual_size(const struct view *view, unsigned tier) {
    uint64_t most = 0;
    for (unsigned i = 0; i < tier; i++) {
        uint64_t limit = offered_size(view->tiers[i].offer);
        most = limit > most ? limit : most;
    }
    return most;
}

bool gate_is_stressed(uint64_t sessions, uint64_t sessions_max) {
    return sessions * 5 > sessions_max * 4;
}

uint64_t gate_pregreet_ms(const struct config_gate *config, bool is_stressed) {
    return is_stressed ? config->pregreet_wait_ms / STRESSED_WAIT_DIVISOR : config->pregreet_wait_ms;
}

uint64_t gate_command_ms(enum gate_standing standing, uint64_t client_ms, bool is_stressed) {
    if (standing != STANDING_ADMITTED)
        return REFUSAL_IDLE_MS;
    return is_stressed && client_ms > STRESSED_COMMAND_MS ? STRESSED_COMMAND_MS : client_ms;
}
