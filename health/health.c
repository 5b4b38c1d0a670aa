/* The schedule of probes. Each backend has one check, with its timers and its probe, on the manager's ring; results go
 * to the roster. Owns the checks: that of a removed backend lives on until its probe has ended, in a list of its own.
 * Nothing is fatal here once it is created: a backend for which there is no memory is not probed and stays `starting`.
 */
#include "health/health.h"

#include "health/check.h"
#include "health/convictions.h"
#include "lb/engine/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CERTIFICATE_DAYS_MIN 14
#define CERTIFICATE_WARN_MS  86400000u

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
    if (check->backend == NULL || !check_is_probed(check) || check->backend->admin == BACKEND_MAINT)
        return;
    warn_of_certificate(check, now);
    if (has_passed)
        atomic_store(&check->backend->is_suspect, false);
    if (has_passed && check->backend->health == HEALTH_EJECTED && !check->outlier.probe_has_passed) {
        check->outlier.probe_has_passed = true;
        convictions_set_ejection_timer(check);
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
    if (check->backend == NULL) {
        free_check(check);
        return;
    }
    if (check->backend->admin == BACKEND_MAINT)
        return;
    if (check_is_probed(check))
        check_schedule(check,
                       rise_fall_interval_ms(check->backend->health, probe->tier, chance_bits(&check->health->chance)));
    convictions_end_probe(check);
}

static void on_timer(struct timer *timer) {
    struct check *check = container_of(timer, struct check, timer);
    if (check->probe.state != PROBE_IDLE || check->backend->admin == BACKEND_MAINT)
        return;
    probe_start(&check->probe, convictions_begin_probe(check));
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
    check->probe.on_step = convictions_on_step;
    check->probe.on_finished = on_finished;
    check->timer.expire = on_timer;
    check->ejection.expire = convictions_on_ejection_over;
    check->next = health->checks;
    health->checks = check;
    backend->check = check;
    if (backend->admin != BACKEND_MAINT && check_is_probed(check))
        check_schedule(check, 0);
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
    if (check == NULL || !check_is_probed(check))
        return;
    if (backend->admin == BACKEND_MAINT)
        timer_cancel(&check->timer);
    else if (check->probe.state == PROBE_IDLE && !timer_is_set(&check->timer))
        check_schedule(check, 0);
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
