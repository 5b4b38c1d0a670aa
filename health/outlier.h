/* Passive health: which backends fail the sessions they get, though their probes may pass (DESIGN §7). Pure; time is
 * passed in.
 *
 * What a client does can make any backend hang up, so a failure counts only by comparison. Where the same dialog went
 * on with another backend and its mail was accepted there, the one that failed is convicted, and each conviction is
 * told here with the step at which it failed. What can't be told to another backend (content, its end) is held against
 * what the rest of the tier did meanwhile. */
#ifndef POSTERN_HEALTH_OUTLIER_H
#define POSTERN_HEALTH_OUTLIER_H

#include "backends/backend.h"

#include <stdbool.h>
#include <stdint.h>

/* So many clients must have met the failures: one alone may be the cause itself. */
#define OUTLIER_CLIENTS_MIN 3u
/* What the rest of the tier must have done while one backend lost all its content: so many mails accepted, and no more
 * content lost than this. */
#define OUTLIER_REST_MAILS_MIN  5u
#define OUTLIER_REST_FAILED_MAX 1u
/* Failures so far apart are no row: in between the backend served what is not seen here, as sessions in TLS. */
#define OUTLIER_ROW_MS 3600000u

/* Failures at one step since the last good end that passed it. */
struct outlier_row {
    unsigned count;
    unsigned clients_count;
    uint32_t clients[OUTLIER_CLIENTS_MIN];
    uint64_t passed; /* the backend's good ends that passed the step, when the row began */
    uint64_t began_ms;
};

/* Of the tier's other backends, since the start. */
struct outlier_rest {
    uint64_t mails;  /* accepted */
    uint64_t failed; /* content lost */
};

struct outlier {
    struct outlier_row rows[STEPS_COUNT];
    struct outlier_rest rest; /* when the row of STEP_CONTENT began */
    uint32_t last_client;     /* one client never counts twice in a row */
    unsigned times;           /* ejected, without a long good time between */
    uint64_t began_ms;        /* of the ejection, the current or the last */
    uint64_t ended_ms;
    bool probe_has_passed; /* since the ejection began */
};

/* One more conviction, at a step before STEP_CONTENT, in a session of `client`. `passed`: by step, the backend's good
 * ends that passed it by now; a new one ends that step's row, and those of no other. Returns true when the rows
 * together have reached `limit` (0: never) by enough clients: to be ejected. */
bool outlier_on_failure(struct outlier *outlier, enum backend_step step, uint32_t client,
                        const uint64_t passed[STEPS_COUNT], uint64_t now_ms, unsigned limit);
/* Content of `client` was lost. `mails`: accepted by the backend by now; a new one ends the row. True when the row has
 * reached `limit` by enough clients while the rest of the tier did well. */
bool outlier_on_content_failure(struct outlier *outlier, uint32_t client, uint64_t mails,
                                const struct outlier_rest *rest, uint64_t now_ms, unsigned limit);
/* Failures in all rows. */
unsigned outlier_count(const struct outlier *outlier);
/* Is ejected now. Times grow with each ejection that is not followed by OUTLIER_FORGET_MS of service. */
void outlier_eject(struct outlier *outlier, uint64_t now_ms);
/* When the ejection ends: 30 s for each time in a row, 300 s at most, and half of that once a probe has passed. */
uint64_t outlier_end_ms(const struct outlier *outlier);
/* It is over. */
void outlier_return(struct outlier *outlier, uint64_t now_ms);

#define OUTLIER_TIME_MS     30000u
#define OUTLIER_TIME_MAX_MS 300000u
#define OUTLIER_FORGET_MS   300000u

#endif
