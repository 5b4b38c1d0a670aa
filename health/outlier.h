/* Passive health: which backends fail the sessions they get, though their probes may pass (DESIGN §7). Pure; time is
 * passed in.
 *
 * What a client does can make any backend hang up, so a failure counts only by comparison. Where the same dialog went
 * on with another backend and its mail was accepted there, the one that failed is convicted, and each conviction is
 * told here with the step at which it failed. What can't be told to another backend (content, its end) is held against
 * what the rest of the tier did meanwhile.
 *
 * A comparison does not tell a backend that fails everybody from one that limits each client, where clients over their
 * limit are all that come. So a row of convictions only asks for a trial, a probe that goes through the step in
 * question (convictions.c), and whoever passes that step meanwhile, a client or the probe, ends the row. */
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

/* Where no probe can tell (DATA), nobody must have passed the step for so long. */
#define OUTLIER_SPAN_MS 1000u
/* A trial that failed counts for so long. */
#define OUTLIER_TRIAL_MS 10000u

/* Failures at one step since it was last passed. */
struct outlier_row {
    unsigned count;
    unsigned clients_count;
    uint32_t clients[OUTLIER_CLIENTS_MIN];
    uint64_t since_ms; /* when the first of them was asked for */
    uint64_t mails;    /* of STEP_CONTENT: accepted by the backend, when the row began */
    uint64_t began_ms;
};

/* A conviction, at a step before STEP_CONTENT. */
struct outlier_failure {
    enum backend_step step;
    uint32_t client;
    uint64_t since_ms; /* when the backend was asked for what it did not give */
};

/* What the backend's own probe last told of it beyond the rows. */
struct outlier_trial {
    uint64_t failed_ms; /* when one failed as sessions do; 0: none has */
    uint64_t asked_ms;  /* since when it had waited for that step: whoever has passed it since refutes the failure */
    enum backend_step failed_step;
    uint64_t blind_ms; /* when one passed all that a probe can, which was not enough to tell */
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

/* One more conviction. `passed_ms`: when each step was last passed, in a session or a probe; that ends its row, and
 * those of no other. Returns true when it counts: nobody has passed the step since, and the client is not the last
 * one's again. */
bool outlier_on_failure(struct outlier *outlier, const struct outlier_failure *failure,
                        const uint64_t passed_ms[STEPS_COUNT], uint64_t now_ms);
/* True when the rows before content together have reached `limit` (0: never) by enough clients, and the trial has
 * failed, too, or could not tell and nobody else has passed for long enough: to be ejected. */
bool outlier_is_proven(struct outlier *outlier, const struct outlier_trial *trial,
                       const uint64_t passed_ms[STEPS_COUNT], uint64_t now_ms, unsigned limit);
/* When the first failure of the rows before content was asked for; UINT64_MAX: there is none. */
uint64_t outlier_since_ms(const struct outlier *outlier);
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
