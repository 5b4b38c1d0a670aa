/* The arithmetic of trust: how evidence is weighed and fades, and the bound that is the score (DESIGN §9). vetting.c
 * and the sweep ask. Pure. */
#include "lb/reputation/score.h"

#include <math.h>
#include <string.h>

#define DAY_MS             86400000.0
#define MONTH_DAYS         30.0
#define MONTH_MAILS_FEW    100.0
#define MONTH_BAD_SHARE    0.01
#define HEAVY_WEIGHT       5
#define CONFIDENCE         0.05
#define PARENT_WEIGHT      8.0
#define PARENT_DOUBT_LEAST 0.5

/* --- a day --- */

/* Of n mails, r of them bad with weights that sum up to w: as they are up to the cap, else by share, so that a provider
 * with a normal share of spam is weighed by its share and not by its volume. */
static void weigh_day(const struct evidence *evidence, double cap, double *ret_good, double *ret_bad) {
    double mails = evidence->today_mails, bad = evidence->today_bad;
    double scale = mails > cap ? cap / mails : 1;
    *ret_good = (mails - bad) * scale + (double)evidence->today_extra_good;
    *ret_bad = (double)evidence->today_bad_weight * scale + (double)evidence->today_extra_bad;
}

static double fade(double days, uint64_t half_life_ms) {
    return exp2(-days * DAY_MS / (double)half_life_ms);
}

static void fold_day(struct evidence *evidence, const struct config_reputation *config) {
    double good, bad;
    weigh_day(evidence, config->good_per_day, &good, &bad);
    evidence->good += (float)good;
    evidence->bad += (float)bad;
    evidence->month_mails += evidence->today_mails;
    evidence->month_bad += evidence->today_bad;
    evidence->today_mails = evidence->today_bad = 0;
    evidence->today_bad_weight = evidence->today_extra_good = evidence->today_extra_bad = 0;
}

void evidence_advance(struct evidence *evidence, uint16_t day, const struct config_reputation *config) {
    if (day <= evidence->day)
        return;
    double days = day - evidence->day;
    fold_day(evidence, config);
    evidence->good *= (float)fade(days, config->good_half_life_ms);
    evidence->bad *= (float)fade(days, config->bad_half_life_ms);
    evidence->month_mails *= (float)exp(-days / MONTH_DAYS);
    evidence->month_bad *= (float)exp(-days / MONTH_DAYS);
    evidence->day = day;
}

static uint16_t add_up(uint16_t value, unsigned count) {
    return (uint16_t)(value + count < UINT16_MAX ? value + count : UINT16_MAX);
}

void evidence_add(struct evidence *evidence, enum evidence_kind kind, unsigned count, uint16_t day,
                  const struct config_reputation *config) {
    float weight = evidence_rows[kind].weight * (float)count;
    bool is_new_day = evidence->days == 0 || day > evidence->day;
    if (evidence->days == 0)
        evidence->day = evidence->first_day = day;
    evidence_advance(evidence, day, config);
    evidence->seen[kind] = add_up(evidence->seen[kind], count);
    evidence->days = is_new_day ? add_up(evidence->days, 1) : evidence->days;
    if (!evidence_rows[kind].is_good && evidence_rows[kind].weight >= HEAVY_WEIGHT)
        evidence->heavy_day = evidence->day;
    if (evidence_rows[kind].is_mail) {
        evidence->today_mails = add_up(evidence->today_mails, count);
        if (!evidence_rows[kind].is_good) {
            evidence->today_bad = add_up(evidence->today_bad, count);
            evidence->today_bad_weight += weight;
        }
    } else if (evidence_rows[kind].is_good) {
        evidence->today_extra_good += weight;
    } else {
        evidence->today_extra_bad += weight;
    }
}

void evidence_totals(const struct evidence *evidence, const struct config_reputation *config, double *ret_good,
                     double *ret_bad) {
    weigh_day(evidence, config->good_per_day, ret_good, ret_bad);
    *ret_good += (double)evidence->good;
    *ret_bad += (double)evidence->bad;
}

/* --- the score --- */

struct prior prior_of_parent(double mean) {
    if (mean < 0)
        return (struct prior){1, 1};
    double doubt = PARENT_WEIGHT * (1 - mean);
    return (struct prior){PARENT_WEIGHT * mean, doubt > PARENT_DOUBT_LEAST ? doubt : PARENT_DOUBT_LEAST};
}

/* The continued fraction of the incomplete beta function, by Lentz' method (DLMF §8.17(v); Numerical Recipes §6.4). */
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m <= 500; m++) {
        for (int odd = 0; odd < 2; odd++) {
            double k = odd ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
                           : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
            d = 1 + k * d;
            c = 1 + k / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            value *= d * c;
        }
        if (fabs(d * c - 1) < 1e-12)
            break;
    }
    return value;
}

/* The regularised incomplete beta function I_x(a, b): the share of Beta(a, b) below x. */
static double beta_below(double x, double a, double b) {
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* By regula falsi with halved weights (the Illinois method): a dozen steps where bisection takes fifty. */
double beta_quantile(double q, double a, double b) {
    double low = 0, high = 1, below_low = -q, below_high = 1 - q;
    for (int i = 0; i < 200 && high - low > 1e-10; i++) {
        double middle =
            i % 8 == 7 ? (low + high) / 2 : (low * below_high - high * below_low) / (below_high - below_low);
        double below = beta_below(middle, a, b) - q;
        if (below < 0) {
            low = middle;
            below_low = below;
            below_high /= 2;
        } else {
            high = middle;
            below_high = below;
            below_low /= 2;
        }
        if (fabs(below) < 1e-12)
            return middle;
    }
    return (low + high) / 2;
}

double score_of(const struct evidence *evidence, struct prior prior, double good_factor,
                const struct config_reputation *config) {
    double good, bad;
    evidence_totals(evidence, config, &good, &bad);
    return 100 * beta_quantile(CONFIDENCE, prior.a + good_factor * good, prior.b + bad);
}

bool score_reaches(const struct evidence *evidence, struct prior prior, double good_factor,
                   const struct config_reputation *config) {
    double good, bad;
    evidence_totals(evidence, config, &good, &bad);
    return beta_below(config->score_min / 100.0, prior.a + good_factor * good, prior.b + bad) <= CONFIDENCE;
}

/* --- vetted --- */

static bool has_clean_month(const struct evidence *evidence) {
    double mails = (double)evidence->month_mails + evidence->today_mails;
    double bad = (double)evidence->month_bad + evidence->today_bad;
    if (mails >= MONTH_MAILS_FEW)
        return bad <= mails * MONTH_BAD_SHARE;
    return evidence->heavy_day == 0 || evidence->day - evidence->heavy_day >= (int)MONTH_DAYS;
}

bool evidence_check(const struct evidence *evidence, const struct config_reputation *config,
                    struct conditions *ret_conditions) {
    double age_ms = (evidence->day - evidence->first_day) * DAY_MS;
    ret_conditions->has_days = evidence->days >= config->days_min;
    ret_conditions->has_age = evidence->days > 0 && age_ms >= (double)config->age_min_ms;
    ret_conditions->has_clean_month = has_clean_month(evidence);
    return ret_conditions->has_days && ret_conditions->has_age && ret_conditions->has_clean_month;
}
