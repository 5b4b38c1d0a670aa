/* What sessions tell of backends, beside what the probes do. The manager brings it from the workers; the roster is told
 * who is ejected.
 *
 * Failures before content eject a backend only where its own probe agrees, or cannot tell: the first conviction asks
 * for a trial, which goes through the step that was failed, in tiers without checks, too. Clients can be over a limit
 * that a healthy backend has for each of them; the probe is not. The rows of convictions and of lost content, and their
 * proof, are in outlier.c. Owns nothing; its part of a check is health.c's. */
#include "health/convictions.h"

#include "health/check.h"
#include "lb/engine/log.h"

#include <stdio.h>

/* What is amiss with a backend's clients, and not with its probes, is told so often at most. */
#define CLIENTS_WARN_MS 600000u

/* --- ejection --- */

void convictions_on_ejection_over(struct timer *timer) {
    struct check *check = container_of(timer, struct check, ejection);
    uint64_t now = io_now_ms(check->health->io);
    if (check->backend->health != HEALTH_EJECTED)
        return;
    outlier_return(&check->outlier, now);
    roster_set_health(check->health->roster, check->backend,
                      check_is_probed(check) && !check->outlier.probe_has_passed ? HEALTH_DOWN : HEALTH_UP, "", now);
}

void convictions_set_ejection_timer(struct check *check) {
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

static bool may_be_taken_out(const struct check *check) {
    return backend_is_usable(check->backend) && !is_last_usable(check->health, check->backend);
}

static void eject(struct check *check, enum backend_step step) {
    struct backend *backend = check->backend;
    char reason[140];
    uint64_t now = io_now_ms(check->health->io);
    if (!may_be_taken_out(check))
        return;
    outlier_eject(&check->outlier, now);
    snprintf(reason, sizeof reason,
             "%u sessions failed in a row, this one at %s, where others served; ejection %u, for %llus",
             outlier_count(&check->outlier), backend_step_name(step), check->outlier.times,
             (unsigned long long)(outlier_end_ms(&check->outlier) - now) / 1000);
    roster_set_health(check->health->roster, backend, HEALTH_EJECTED, reason, now);
    convictions_set_ejection_timer(check);
}

void health_on_doubt(struct health *health, struct backend *backend) {
    struct check *check = backend->check;
    uint64_t now = io_now_ms(health->io);
    if (check == NULL || !check_is_probed(check) || check->probe.state != PROBE_IDLE ||
        backend->admin == BACKEND_MAINT || now - check->hurried_ms < health->config->tiers[backend->tier].fastinter_ms)
        return;
    check->hurried_ms = now;
    check_schedule(check, 0);
}

/* --- trials --- */

/* When each step was last passed, in a session or a probe. */
static void read_passed(const struct check *check, uint64_t ret_passed_ms[STEPS_COUNT]) {
    uint64_t probed_ms = 0;
    for (unsigned i = STEPS_COUNT; i-- > 0;) {
        probed_ms = check->probed_ms[i] > probed_ms ? check->probed_ms[i] : probed_ms;
        uint64_t passed_ms = backend_passed_ms(check->backend, (enum backend_step)i);
        ret_passed_ms[i] = passed_ms > probed_ms ? passed_ms : probed_ms;
    }
}

/* The tier's own check goes through this step, and so takes down whom it fails. */
static bool is_checked(const struct check *check, enum backend_step step) {
    switch (check_tier(check)->check) {
    case CHECK_NONE:
    case CHECK_TCP:
        return false;
    case CHECK_BANNER:
        return step == STEP_GREETING;
    case CHECK_EHLO:
    case CHECK_STARTTLS:
        return step <= STEP_HELLO;
    case CHECK_MAIL:
        return step <= STEP_RCPT;
    }
    return false;
}

/* Sessions agree with a probe that fails its check: the next one that does is the last. */
static void hasten_fall(struct check *check) {
    unsigned fall = check_tier(check)->fall;
    if (!may_be_taken_out(check))
        return;
    if (check->counts.failed_in_a_row + 1 < fall)
        check->counts.failed_in_a_row = fall - 1;
    if (check->probe.state == PROBE_IDLE)
        check_schedule(check, 0);
}

/* Holds what sessions have told against what the probe has. `step`: where the last of them failed. */
static void judge(struct check *check, enum backend_step step) {
    uint64_t passed_ms[STEPS_COUNT];
    read_passed(check, passed_ms);
    if (!outlier_is_proven(&check->outlier, &check->trial, passed_ms, io_now_ms(check->health->io),
                           check_tier(check)->outlier))
        return;
    if (check->trial.failed_ms > check->trial.blind_ms && is_checked(check, check->trial.failed_step))
        hasten_fall(check);
    else
        eject(check, step);
}

/* As often as `fastinter`, and not while a probe runs. */
static void schedule_trial(struct check *check) {
    uint64_t now = io_now_ms(check->health->io);
    uint64_t due_ms = check->trial_began_ms == 0 ? now : check->trial_began_ms + check_tier(check)->fastinter_ms;
    uint64_t wait_ms = due_ms > now ? due_ms - now : 0;
    bool is_later = !timer_is_set(&check->timer) || check->timer.deadline_ms > now + wait_ms;
    if (check->probe.state == PROBE_IDLE && is_later)
        check_schedule(check, wait_ms);
}

static void ask_for_trial(struct check *check, enum backend_step step) {
    if (!backend_is_usable(check->backend))
        return;
    if (!check->wants_trial || step > check->trial_step)
        check->trial_step = step;
    check->wants_trial = true;
    schedule_trial(check);
}

void health_on_conviction(struct health *health, struct backend *backend, const struct outlier_failure *failure) {
    struct check *check = backend->check;
    uint64_t passed_ms[STEPS_COUNT];
    if (check == NULL || failure->step >= STEP_CONTENT || health->config->tiers[backend->tier].outlier == 0)
        return;
    read_passed(check, passed_ms);
    if (!outlier_on_failure(&check->outlier, failure, passed_ms, io_now_ms(health->io)))
        return;
    ask_for_trial(check, failure->step);
    judge(check, failure->step);
}

static bool is_to_be_said(uint64_t *said_ms, uint64_t now) {
    if (*said_ms != 0 && now - *said_ms < CLIENTS_WARN_MS)
        return false;
    *said_ms = now;
    return true;
}

/* It would have been ejected but for the probe, whose passing ends the row. */
static void warn_of_kept(struct check *check, enum backend_step step, uint64_t now) {
    unsigned count = check->outlier.rows[step].count, limit = check_tier(check)->outlier;
    if (limit > 0 && count >= limit && is_to_be_said(&check->kept_warned_ms, now))
        log_warning("server %s: %u sessions failed in a row at %s, where others served, but postern's own probe passes "
                    "there: it stays. Does it limit what each client may do, and the others do not?",
                    check->backend->name, count, backend_step_name(step));
}

void health_on_left(struct health *health, struct backend *backend) {
    struct check *check = backend->check;
    if (check == NULL)
        return;
    health_on_doubt(health, backend);
    if (check->left_count == 0 || backend_mails(backend) != check->left_mails) {
        check->left_mails = backend_mails(backend);
        check->left_count = 0;
    }
    check->left_count++;
    unsigned limit = check_tier(check)->outlier;
    if (limit > 0 && check->left_count >= limit && is_to_be_said(&check->left_warned_ms, io_now_ms(health->io)))
        log_warning(
            "server %s: it has said 421 to %u clients in a row without being asked, and taken no mail; they are "
            "carried over, and it stays while its probes pass",
            backend->name, check->left_count);
}

void health_on_refused(struct health *health, struct backend *backend) {
    struct check *check = backend->check;
    if (check != NULL && is_to_be_said(&check->refused_warned_ms, io_now_ms(health->io)))
        log_warning(
            "server %s refuses a client by its greeting, but with proxy = none it sees postern's address alone: "
            "set proxy, or except postern from its limits and lists (smtpd_client_event_limit_exceptions)",
            backend->name);
}

void convictions_on_step(struct probe *probe, enum backend_step step, bool has_passed) {
    struct check *check = container_of(probe, struct check, probe);
    uint64_t now = io_now_ms(check->health->io);
    if (check->backend == NULL)
        return;
    check->probe_step = step;
    if (has_passed) {
        warn_of_kept(check, step, now);
        check->probed_ms[step] = check->probe_asked_ms = now;
        return;
    }
    check->probe_has_failed = true;
    check->trial.failed_ms = now;
    check->trial.asked_ms = check->probe_asked_ms;
    check->trial.failed_step = step;
    judge(check, step);
}

/* A trial that has come as far as a probe can, and not through the step that was failed, leaves it to the sessions. */
static void end_trial(struct check *check) {
    bool is_blind = check->is_trial && !check->probe_has_failed && check->probe_step >= STEP_MAIL &&
                    check->probe_step < check->trial_through;
    check->is_trial = false;
    if (!is_blind)
        return;
    check->trial.blind_ms = io_now_ms(check->health->io);
    judge(check, check->trial_through);
}

enum backend_step convictions_begin_probe(struct check *check) {
    bool is_trial = check->wants_trial;
    check->is_trial = is_trial;
    check->wants_trial = check->probe_has_failed = false;
    check->trial_through = check->trial_step;
    check->probe_step = STEP_GREETING;
    check->probe_asked_ms = io_now_ms(check->health->io);
    if (!is_trial)
        return STEP_GREETING;
    check->trial_began_ms = check->probe_asked_ms;
    return check->trial_step < STEP_RCPT ? check->trial_step : STEP_RCPT;
}

void convictions_end_probe(struct check *check) {
    end_trial(check);
    if (check->wants_trial && backend_is_usable(check->backend))
        schedule_trial(check);
}

/* --- content --- */

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
