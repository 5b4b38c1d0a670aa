/* Rows of failures, when they prove that a backend fails its sessions, and how long an ejection lasts. convictions.c
 * asks and acts. Pure; the struct outlier is the caller's. */
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

static void begin_row(struct outlier_row *row, uint64_t mails, uint64_t now_ms) {
    memset(row, 0, sizeof *row);
    row->since_ms = UINT64_MAX;
    row->mails = mails;
    row->began_ms = now_ms;
}

/* Rows that somebody who passed, or too long a time, has ended begin anew. */
static void refresh_rows(struct outlier *outlier, const uint64_t passed_ms[STEPS_COUNT], uint64_t now_ms) {
    for (unsigned i = 0; i < STEP_CONTENT; i++) {
        struct outlier_row *row = &outlier->rows[i];
        if (row->count == 0 || passed_ms[i] >= row->since_ms || now_ms - row->began_ms >= OUTLIER_ROW_MS)
            begin_row(row, 0, now_ms);
    }
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

bool outlier_on_failure(struct outlier *outlier, const struct outlier_failure *failure,
                        const uint64_t passed_ms[STEPS_COUNT], uint64_t now_ms) {
    struct outlier_row *row = &outlier->rows[failure->step];
    refresh_rows(outlier, passed_ms, now_ms);
    if (passed_ms[failure->step] >= failure->since_ms || is_repeated(outlier, failure->client))
        return false;
    if (failure->since_ms < row->since_ms)
        row->since_ms = failure->since_ms;
    add_failure(outlier, failure->step, failure->client);
    return true;
}

uint64_t outlier_since_ms(const struct outlier *outlier) {
    uint64_t since_ms = UINT64_MAX;
    for (unsigned i = 0; i < STEP_CONTENT; i++)
        if (outlier->rows[i].count > 0 && outlier->rows[i].since_ms < since_ms)
            since_ms = outlier->rows[i].since_ms;
    return since_ms;
}

static bool is_fresh(uint64_t told_ms, uint64_t since_ms, uint64_t now_ms) {
    return told_ms != 0 && told_ms >= since_ms && now_ms - told_ms < OUTLIER_TRIAL_MS;
}

bool outlier_is_proven(struct outlier *outlier, const struct outlier_trial *trial,
                       const uint64_t passed_ms[STEPS_COUNT], uint64_t now_ms, unsigned limit) {
    unsigned count = 0;
    refresh_rows(outlier, passed_ms, now_ms);
    for (unsigned i = 0; i < STEP_CONTENT; i++)
        count += outlier->rows[i].count;
    uint64_t since_ms = outlier_since_ms(outlier);
    if (limit == 0 || count < limit || clients_of_all(outlier) < OUTLIER_CLIENTS_MIN)
        return false;
    bool is_left_alone = is_fresh(trial->blind_ms, since_ms, now_ms) && now_ms - since_ms >= OUTLIER_SPAN_MS;
    bool has_failed = is_fresh(trial->failed_ms, since_ms, now_ms) && passed_ms[trial->failed_step] < trial->asked_ms;
    return has_failed || is_left_alone;
}

bool outlier_on_content_failure(struct outlier *outlier, uint32_t client, uint64_t mails,
                                const struct outlier_rest *rest, uint64_t now_ms, unsigned limit) {
    struct outlier_row *row = &outlier->rows[STEP_CONTENT];
    if (row->count == 0 || mails != row->mails || now_ms - row->began_ms >= OUTLIER_ROW_MS)
        begin_row(row, mails, now_ms);
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
