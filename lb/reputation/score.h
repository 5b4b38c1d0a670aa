/* How much a client is trusted, from what was seen of it (DESIGN §9). Pure; days are passed in.
 *
 * The score is the lower 5% bound of what share of its mail is good: Beta(a, b) with the decayed good and bad evidence
 * behind a prior. It is asked for by one who has not much to go on and wants to be wrong once in twenty times at most.
 */
#ifndef POSTERN_REPUTATION_SCORE_H
#define POSTERN_REPUTATION_SCORE_H

#include "lb/reputation/evidence_kind.h"

#include "conf/config.h"

#include <stdbool.h>
#include <stdint.h>

/* One client's evidence. Days are counted from 1970-01-01. `good` and `bad` are folded and decayed as of `day`; what
 * came in on that day itself stands beside them and is folded when the next one begins. */
struct evidence {
    uint16_t day;
    uint16_t first_day;
    uint16_t days;      /* distinct ones with evidence */
    uint16_t heavy_day; /* the last with an event of weight 5 or more; 0 = none */
    float good;
    float bad;
    float month_mails; /* of the last 30 days, fading out: each counts e^(-age / 30 d) */
    float month_bad;
    uint16_t today_mails; /* finished mails, good or bad */
    uint16_t today_bad;
    float today_bad_weight; /* of those mails */
    float today_extra_good; /* of events that are no mails */
    float today_extra_bad;
    uint16_t seen[EVIDENCE_KINDS]; /* how often, ever; for those who ask why */
};

/* Moves on to `day`: folds and decays. A day before the last one counts as the last one. */
void evidence_advance(struct evidence *evidence, uint16_t day, const struct config_reputation *config);
/* One more event on `day`, `count` times. */
void evidence_add(struct evidence *evidence, enum evidence_kind kind, unsigned count, uint16_t day,
                  const struct config_reputation *config);
/* What counts as of today, today's included. */
void evidence_totals(const struct evidence *evidence, const struct config_reputation *config, double *ret_good,
                     double *ret_bad);

/* A Beta distribution's shape before the client's own evidence. */
struct prior {
    double a, b;
};
/* What a parent with bound `mean` (0..1) gives; negative: no parent, Beta(1, 1). */
struct prior prior_of_parent(double mean);

/* The q-quantile of Beta(a, b), a and b > 0. */
double beta_quantile(double q, double a, double b);

/* 0..100. `good_factor`: how much good evidence counts, 2 where half of it is enough. */
double score_of(const struct evidence *evidence, struct prior prior, double good_factor,
                const struct config_reputation *config);
/* The same as score_of() ≥ min-score, at a fiftieth of its price. */
bool score_reaches(const struct evidence *evidence, struct prior prior, double good_factor,
                   const struct config_reputation *config);

/* The conditions of "vetted" that its own evidence decides, beside the score. */
struct conditions {
    bool has_days;
    bool has_age;
    bool has_clean_month; /* under 100 mails in 30 days: no event of weight ≥ 5; else 1% bad at most */
};
/* As of evidence->day. Returns true when all hold. */
bool evidence_check(const struct evidence *evidence, const struct config_reputation *config,
                    struct conditions *ret_conditions);

#endif
