/* The inside of the health module, for its own files: one check a backend. */
#ifndef POSTERN_HEALTH_CHECK_H
#define POSTERN_HEALTH_CHECK_H

#include "backends/roster.h"
#include "health/outlier.h"
#include "health/probe.h"
#include "health/rise_fall.h"
#include "lb/base/chance.h"

struct check {
    struct check *next;
    struct health *health;
    struct backend *backend; /* NULL: removed, only its probe has to end */
    struct probe probe;
    struct timer timer;
    struct rise_fall counts;
    uint64_t history;
    unsigned history_count;
    uint64_t last_check_ms;
    uint64_t hurried_ms; /* when a session's failure last brought a probe forward */
    uint64_t certificate_warned_ms;
    struct outlier outlier;
    uint64_t content_lost; /* sessions, since the start */
    bool wants_trial;
    enum backend_step trial_step;    /* through which it is to go */
    bool is_trial;                   /* the probe that runs; through trial_through */
    enum backend_step trial_through; /* of sessions: the probe itself stops before DATA */
    uint64_t trial_began_ms;         /* the last one */
    bool probe_has_failed;           /* the one that runs, as a session would */
    enum backend_step probe_step;    /* the last one that it has passed, or failed at */
    uint64_t probe_asked_ms;         /* since when it waits for the next one */
    uint64_t probed_ms[STEPS_COUNT]; /* when a probe last passed a step */
    struct outlier_trial trial;
    unsigned left_count; /* clients that heard 421 unasked, since it took its left_mails-th mail */
    uint64_t left_mails;
    uint64_t kept_warned_ms, left_warned_ms, refused_warned_ms;
    struct timer ejection; /* its end */
};

struct health {
    struct io *io;
    const struct config *config;
    struct roster *roster;
    struct check *checks;
    struct ssl_ctx_st *tls_context; /* NULL: no tier needs it */
    struct chance chance;           /* so that probes do not march in step */
    bool is_stopping;               /* no probe begins any more */
};

/* The next probe begins in `wait_ms`, whenever it was to. */
void check_schedule(struct check *check, uint64_t wait_ms);
/* Its tier has checks. */
bool check_is_probed(const struct check *check);
const struct config_tier *check_tier(const struct check *check);

#endif
