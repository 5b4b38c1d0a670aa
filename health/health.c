/* The schedule of probes, and ejections: one check a backend, with its timers and its probe. A check of a removed
 * backend lives on until its probe has ended, in a list of its own. */
#include "health/health.h"

#include "health/outlier.h"
#include "health/probe.h"
#include "health/rise_fall.h"
#include "lb/base/chance.h"
#include "lb/engine/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERTIFICATE_DAYS_MIN 14
#define CERTIFICATE_WARN_MS  86400000u

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

static void free_check(struct check *check) {
    struct check **link = &check->health->checks;
    while (*link != check)
        link = &(*link)->next;
    *link = check->next;
    timer_cancel(&check->timer);
    timer_cancel(&check->ejection);
    timer_cancel(&check->probe.deadline); /* at the end of all, a probe may be under way */
    probe_tls_destroy(check->probe.tls);
    free(check);
}

static void schedule(struct check *check, uint64_t wait_ms) {
    if (check->health->is_stopping)
        return;
    timer_set(io_timers(check->health->io), &check->timer, io_now_ms(check->health->io) + wait_ms);
}

static bool is_probed(const struct check *check) {
    return check->health->config->tiers[check->backend->tier].check != CHECK_NONE;
}

/* --- ejection --- */

static void on_ejection_over(struct timer *timer) {
    struct check *check = container_of(timer, struct check, ejection);
    uint64_t now = io_now_ms(check->health->io);
    if (check->backend->health != HEALTH_EJECTED)
        return;
    outlier_return(&check->outlier, now);
    roster_set_health(check->health->roster, check->backend,
                      is_probed(check) && !check->outlier.probe_has_passed ? HEALTH_DOWN : HEALTH_UP, "", now);
}

static void set_ejection_timer(struct check *check) {
    timer_set(io_timers(check->health->io), &check->ejection, outlier_end_ms(&check->outlier));
}

/* The last usable one of a tier stays: bad service is better than none, and its failures are hidden or told with 4xx.
 */
static bool is_last_usable(const struct health *health, const struct backend *backend) {
    unsigned others = 0;
    for (unsigned i = 0; i < roster_count(health->roster); i++) {
        const struct backend *other = roster_at(health->roster, i);
        others += other != backend && other->tier == backend->tier && backend_is_usable(other);
    }
    return others == 0;
}

static void eject(struct check *check, enum backend_step step) {
    struct backend *backend = check->backend;
    char reason[140];
    uint64_t now = io_now_ms(check->health->io);
    if (!backend_is_usable(backend) || is_last_usable(check->health, backend))
        return;
    outlier_eject(&check->outlier, now);
    snprintf(reason, sizeof reason,
             "%u sessions failed in a row, this one at %s, where others served; ejection %u, for %llus",
             outlier_count(&check->outlier), backend_step_name(step), check->outlier.times,
             (unsigned long long)(outlier_end_ms(&check->outlier) - now) / 1000);
    roster_set_health(check->health->roster, backend, HEALTH_EJECTED, reason, now);
    set_ejection_timer(check);
}

void health_on_doubt(struct health *health, struct backend *backend) {
    struct check *check = backend->check;
    uint64_t now = io_now_ms(health->io);
    if (check == NULL || !is_probed(check) || check->probe.state != PROBE_IDLE || backend->admin == BACKEND_MAINT ||
        now - check->hurried_ms < health->config->tiers[backend->tier].fastinter_ms)
        return;
    check->hurried_ms = now;
    schedule(check, 0);
}

void health_on_conviction(struct health *health, struct backend *backend, enum backend_step step, uint32_t client) {
    struct check *check = backend->check;
    uint64_t passed[STEPS_COUNT];
    if (check == NULL || step >= STEP_CONTENT)
        return;
    for (unsigned i = 0; i < STEPS_COUNT; i++)
        passed[i] = backend_passed(backend, (enum backend_step)i);
    if (outlier_on_failure(&check->outlier, step, client, passed, io_now_ms(health->io),
                           health->config->tiers[backend->tier].outlier))
        eject(check, step);
}

static struct outlier_rest rest_of_tier(const struct health *health, const struct backend *backend) {
    struct outlier_rest rest = {0};
    for (unsigned i = 0; i < roster_count(health->roster); i++) {
        const struct backend *other = roster_at(health->roster, i);
        const struct check *check = other->check;
        if (other == backend || other->tier != backend->tier || check == NULL)
            continue;
        rest.mails += backend_mails(other);
        rest.failed += check->content_lost;
    }
    return rest;
}

void health_on_content_lost(struct health *health, struct backend *backend, uint32_t client) {
    struct check *check = backend->check;
    if (check == NULL)
        return;
    struct outlier_rest rest = rest_of_tier(health, backend);
    check->content_lost++;
    health_on_doubt(health, backend);
    if (outlier_on_content_failure(&check->outlier, client, backend_mails(backend), &rest, io_now_ms(health->io),
                                   health->config->tiers[backend->tier].outlier))
        eject(check, STEP_CONTENT);
}

/* --- probes --- */

/* A certificate that ends soon is said once a day. */
static void warn_of_certificate(struct check *check, uint64_t now) {
    if (!check->probe.has_certificate || check->probe.certificate_days > CERTIFICATE_DAYS_MIN)
        return;
    if (check->certificate_warned_ms != 0 && now - check->certificate_warned_ms < CERTIFICATE_WARN_MS)
        return;
    check->certificate_warned_ms = now;
    log_warning("server %s: its certificate %s %d days", check->backend->name,
                check->probe.certificate_days < 0 ? "has ended for" : "ends in", abs(check->probe.certificate_days));
}

static void on_verdict(struct probe *probe, bool has_passed, const char *reason) {
    struct check *check = container_of(probe, struct check, probe);
    uint64_t now = io_now_ms(check->health->io);
    check->history = check->history << 1 | has_passed;
    check->history_count += check->history_count < 64;
    check->last_check_ms = now - probe->started_ms;
    if (check->backend == NULL || check->backend->admin == BACKEND_MAINT)
        return;
    warn_of_certificate(check, now);
    if (has_passed)
        atomic_store(&check->backend->is_suspect, false);
    if (has_passed && check->backend->health == HEALTH_EJECTED && !check->outlier.probe_has_passed) {
        check->outlier.probe_has_passed = true;
        set_ejection_timer(check);
    }
    if (check->backend->health == HEALTH_EJECTED && has_passed)
        return; /* the reason stays that of the ejection */
    enum backend_health health = rise_fall_step(&check->counts, check->backend->health, has_passed, probe->tier);
    roster_set_health(check->health->roster, check->backend, health, reason, now);
}

static void on_offer(struct probe *probe, const char *lines, bool invites_early_talk) {
    struct check *check = container_of(probe, struct check, probe);
    if (check->backend != NULL)
        roster_set_offer(check->health->roster, check->backend, lines, invites_early_talk,
                         io_now_ms(check->health->io));
}

static void on_finished(struct probe *probe) {
    struct check *check = container_of(probe, struct check, probe);
    if (check->backend == NULL)
        free_check(check);
    else if (check->backend->admin != BACKEND_MAINT)
        schedule(check,
                 rise_fall_interval_ms(check->backend->health, probe->tier, chance_bits(&check->health->chance)));
}

static void on_timer(struct timer *timer) {
    struct check *check = container_of(timer, struct check, timer);
    if (check->probe.state == PROBE_IDLE)
        probe_start(&check->probe);
}

int health_add(struct health *health, struct backend *backend) {
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL)
        return -ENOMEM;
    check->health = health;
    check->backend = backend;
    probe_init(&check->probe, health->io, health->config, backend, health->tls_context);
    check->probe.on_verdict = on_verdict;
    check->probe.on_offer = on_offer;
    check->probe.on_finished = on_finished;
    check->timer.expire = on_timer;
    check->ejection.expire = on_ejection_over;
    check->next = health->checks;
    health->checks = check;
    backend->check = check;
    if (backend->admin != BACKEND_MAINT && is_probed(check))
        schedule(check, 0);
    return 0;
}

void health_remove(struct health *health, struct backend *backend) {
    struct check *check = backend->check;
    (void)health;
    backend->check = NULL;
    if (check == NULL)
        return;
    check->backend = NULL;
    timer_cancel(&check->timer);
    timer_cancel(&check->ejection);
    if (check->probe.state == PROBE_IDLE)
        free_check(check);
    else
        probe_leave(&check->probe);
}

void health_on_admin_changed(struct health *health, struct backend *backend) {
    struct check *check = backend->check;
    (void)health;
    if (check == NULL || !is_probed(check))
        return;
    if (backend->admin == BACKEND_MAINT)
        timer_cancel(&check->timer);
    else if (check->probe.state == PROBE_IDLE && !timer_is_set(&check->timer))
        schedule(check, 0);
    if (backend->health == HEALTH_STARTING)
        memset(&check->counts, 0, sizeof check->counts);
}

int health_create(struct io *io, const struct config *config, struct roster *roster, struct health **ret_health) {
    struct health *health = calloc(1, sizeof *health);
    if (health == NULL)
        return -ENOMEM;
    health->io = io;
    health->config = config;
    health->roster = roster;
    chance_init(&health->chance, io_now_ms(io));
    for (size_t i = 0; i < config->tiers_count && health->tls_context == NULL; i++)
        if (config->tiers[i].check >= CHECK_STARTTLS)
            health->tls_context = probe_tls_context();
    for (unsigned i = 0; i < roster_count(roster); i++) {
        if (health_add(health, roster_at(roster, i)) < 0) {
            health_destroy(health);
            return -ENOMEM;
        }
    }
    *ret_health = health;
    return 0;
}

void health_stop(struct health *health) {
    health->is_stopping = true;
    for (struct check *check = health->checks; check != NULL; check = check->next) {
        timer_cancel(&check->timer);
        probe_leave(&check->probe);
    }
}

bool health_has_stopped(const struct health *health) {
    for (const struct check *check = health->checks; check != NULL; check = check->next)
        if (check->probe.state != PROBE_IDLE)
            return false;
    return true;
}

void health_destroy(struct health *health) {
    if (health == NULL)
        return;
    while (health->checks != NULL)
        free_check(health->checks);
    probe_tls_context_free(health->tls_context);
    free(health);
}

uint64_t health_history(const struct backend *backend, unsigned *ret_count) {
    const struct check *check = backend->check;
    *ret_count = check == NULL ? 0 : check->history_count;
    return check == NULL ? 0 : check->history;
}

uint64_t health_last_check_ms(const struct backend *backend) {
    const struct check *check = backend->check;
    return check == NULL ? 0 : check->last_check_ms;
}

bool health_certificate_days(const struct backend *backend, int *ret_days) {
    const struct check *check = backend->check;
    if (check == NULL || !check->probe.has_certificate)
        return false;
    *ret_days = check->probe.certificate_days;
    return true;
}
