/* Rows of failures, and how long an ejection lasts. */
#include "health/outlier.h"

#include <string.h>

static bool has_client(const struct outlier_row *row, uint32_t client) {
    for (unsigned i = 0; i < row->clients_count; i++)
        if (row->clients[i] == client)
            return true;
    return false;
}

static void note_client(struct outlier_row *row, uint32_t client) {
    if (row->clients_count < OUTLIER_CLIENTS_MIN && !has_client(row, client))
        row->clients[row->clients_count++] = client;
}

static void begin_row(struct outlier_row *row, uint64_t passed, uint64_t now_ms) {
    memset(row, 0, sizeof *row);
    row->passed = passed;
    row->began_ms = now_ms;
}

/* A row that a good end, or too long a time, has ended begins anew. */
static void refresh_row(struct outlier_row *row, uint64_t passed, uint64_t now_ms) {
    if (row->count == 0 || passed != row->passed || now_ms - row->began_ms >= OUTLIER_ROW_MS)
        begin_row(row, passed, now_ms);
}

static bool is_repeated(const struct outlier *outlier, uint32_t client) {
    return outlier_count(outlier) > 0 && client == outlier->last_client;
}

static void add_failure(struct outlier *outlier, enum backend_step step, uint32_t client) {
    outlier->last_client = client;
    outlier->rows[step].count++;
    note_client(&outlier->rows[step], client);
}

/* Different clients in the rows before content, as far as they matter. */
static unsigned clients_of_all(const struct outlier *outlier) {
    struct outlier_row all = {0};
    for (unsigned i = 0; i < STEP_CONTENT; i++)
        for (unsigned j = 0; j < outlier->rows[i].clients_count; j++)
            note_client(&all, outlier->rows[i].clients[j]);
    return all.clients_count;
}

unsigned outlier_count(const struct outlier *outlier) {
    unsigned count = 0;
    for (unsigned i = 0; i < STEPS_COUNT; i++)
        count += outlier->rows[i].count;
    return count;
}

bool outlier_on_failure(struct outlier *outlier, enum backend_step step, uint32_t client,
                        const uint64_t passed[STEPS_COUNT], uint64_t now_ms, unsigned limit) {
    unsigned count = 0;
    for (unsigned i = 0; i < STEP_CONTENT; i++)
        refresh_row(&outlier->rows[i], passed[i], now_ms);
    if (is_repeated(outlier, client))
        return false;
    add_failure(outlier, step, client);
    for (unsigned i = 0; i < STEP_CONTENT; i++)
        count += outlier->rows[i].count;
    return limit > 0 && count >= limit && clients_of_all(outlier) >= OUTLIER_CLIENTS_MIN;
}

bool outlier_on_content_failure(struct outlier *outlier, uint32_t client, uint64_t mails,
                                const struct outlier_rest *rest, uint64_t now_ms, unsigned limit) {
    struct outlier_row *row = &outlier->rows[STEP_CONTENT];
    refresh_row(row, mails, now_ms);
    /* A tier that loses content everywhere does not tell by whose fault; one that lost a server does (the sum falls).
     */
    if (row->count > 0 && (rest->failed - outlier->rest.failed > OUTLIER_REST_FAILED_MAX ||
                           rest->failed < outlier->rest.failed || rest->mails < outlier->rest.mails))
        begin_row(row, mails, now_ms);
    if (row->count == 0)
        outlier->rest = *rest;
    if (is_repeated(outlier, client))
        return false;
    add_failure(outlier, STEP_CONTENT, client);
    return limit > 0 && row->count >= limit && row->clients_count >= OUTLIER_CLIENTS_MIN &&
           rest->mails - outlier->rest.mails >= OUTLIER_REST_MAILS_MIN;
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
    memset(outlier->rows, 0, sizeof outlier->rows);
}
