/* Rows of failures, and how long an ejection lasts. */
#include "health/outlier.h"

static void begin_row(struct outlier *outlier, uint64_t successes) {
    outlier->row = 0;
    outlier->clients_count = 0;
    outlier->successes = successes;
}

static void note_client(struct outlier *outlier, uint32_t client) {
    for (unsigned i = 0; i < outlier->clients_count; i++)
        if (outlier->clients[i] == client)
            return;
    if (outlier->clients_count < OUTLIER_CLIENTS_MIN)
        outlier->clients[outlier->clients_count++] = client;
}

bool outlier_on_failure(struct outlier *outlier, uint32_t client, uint64_t successes, unsigned limit) {
    if (successes != outlier->successes)
        begin_row(outlier, successes);
    if (outlier->row > 0 && client == outlier->last_client)
        return false;
    outlier->last_client = client;
    outlier->row++;
    note_client(outlier, client);
    return limit > 0 && outlier->row >= limit && outlier->clients_count >= OUTLIER_CLIENTS_MIN;
}

void outlier_eject(struct outlier *outlier, uint64_t now_ms) {
    if (outlier->times > 0 && now_ms - outlier->ended_ms >= OUTLIER_FORGET_MS)
        outlier->times = 0;
    outlier->times++;
    outlier->began_ms = now_ms;
    outlier->probe_has_passed = false;
}

uint64_t outlier_end_ms(const struct outlier *outlier) {
    uint64_t time_ms = (uint64_t)outlier->times * OUTLIER_TIME_MS;
    if (time_ms > OUTLIER_TIME_MAX_MS)
        time_ms = OUTLIER_TIME_MAX_MS;
    return outlier->began_ms + (outlier->probe_has_passed ? time_ms / 2 : time_ms);
}

void outlier_return(struct outlier *outlier, uint64_t now_ms) {
    outlier->ended_ms = now_ms;
    begin_row(outlier, outlier->successes);
}
