/* The manager's list of backends and tiers. Every change goes through refresh(), which moves the tiers' clocks, builds
 * a new view, publishes it and retires the old one. A deleted backend first leaves the view; it is freed when all its
 * slots are free and every worker has passed a turn since.
 *
 * Health, the control socket and names.c tell it what has changed; workers read the view. Owns the backends and the
 * views. Nothing is fatal here once it is created: when memory runs out the old view stays, and the next tick tries
 * again. */
#include "backends/roster.h"

#include "backends/offers.h"
#include "backends/tier.h"
#include "conf/words.h"
#include "lb/engine/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAMP_STEP_MS 1000u

struct roster_tier {
    struct tier_clock clock;
    atomic_uint waiting;
    atomic_uint waiting_vetted;
};

struct roster {
    const struct config *config;
    struct roster_events events;
    unsigned workers;
    struct snapshots snapshots;
    struct view *view;
    struct roster_tier tiers[TIERS_MAX];
    struct tier_offers offers;
    atomic_uint early_talk; /* enum early_talk */
    struct backend *backends[BACKENDS_MAX];
    unsigned backends_count;
    struct backend *deleted[BACKENDS_MAX]; /* off the view, not yet freed; their ids are not free either */
    unsigned deleted_count;
    int forced_tier;
    bool view_is_stale;         /* memory ran out: what workers see is not what is here */
    uint64_t ramp_published_ms; /* while any backend is in slow start */
};

/* --- the view --- */

static void release_view(struct retired *retired) {
    free(container_of(retired, struct view, retired));
}

static struct tier_count count_tier(const struct roster *roster, unsigned tier) {
    struct tier_count count = {0};
    for (unsigned i = 0; i < roster->backends_count; i++) {
        const struct backend *backend = roster->backends[i];
        if (backend->tier != tier)
            continue;
        count.usable += backend_is_usable(backend);
        count.starting += backend->admin == BACKEND_READY && backend->health == HEALTH_STARTING;
    }
    return count;
}

static bool is_ramping(const struct roster *roster, const struct backend *backend, uint64_t now_ms) {
    return backend->ramp_since_ms != 0 &&
           now_ms - backend->ramp_since_ms < roster->config->tiers[backend->tier].slowstart_ms;
}

static uint32_t ramped(const struct roster *roster, const struct backend *backend, uint32_t full, uint64_t now_ms) {
    if (!is_ramping(roster, backend, now_ms))
        return full;
    return tier_ramp(full, now_ms - backend->ramp_since_ms, roster->config->tiers[backend->tier].slowstart_ms);
}

static unsigned add_members(const struct roster *roster, unsigned tier, uint64_t now_ms, struct view_member *members) {
    unsigned count = 0;
    for (unsigned i = 0; i < roster->backends_count; i++) {
        struct backend *backend = roster->backends[i];
        if (backend->tier != tier)
            continue;
        members[count++] = (struct view_member){
            .backend = backend,
            .weight = ramped(roster, backend, backend->weight, now_ms),
            .sessions_max = ramped(roster, backend, backend->sessions_max, now_ms),
            .is_usable = backend_is_usable(backend),
            .has_failed = backend_has_failed(backend),
            .is_starting = backend->admin == BACKEND_READY && backend->health == HEALTH_STARTING,
        };
    }
    return count;
}

static struct view *build_view(struct roster *roster, uint64_t now_ms) {
    struct view *view = calloc(1, sizeof *view + roster->backends_count * sizeof(struct view_member));
    if (view == NULL)
        return NULL;
    struct view_member *members = view->members;
    view->config = roster->config;
    view->early_talk = &roster->early_talk;
    view->tiers_count = (unsigned)roster->config->tiers_count;
    bool is_forced = roster->forced_tier != TIER_AUTO;
    for (unsigned i = 0; i < view->tiers_count; i++) {
        struct roster_tier *tier = &roster->tiers[i];
        const struct config_tier *config = &roster->config->tiers[i];
        bool is_unprobed = tier_clock_is_starting(&tier->clock, count_tier(roster, i), config->up_min);
        view->tiers[i] = (struct view_tier){
            .config = config,
            .is_healthy = tier->clock.is_up,
            .is_unprobed = is_unprobed,
            .is_up = is_forced ? roster->forced_tier == (int)i : tier->clock.is_up,
            .is_starting = !is_forced && is_unprobed,
            .members = members,
            .members_count = add_members(roster, i, now_ms, members),
            .waiting = &tier->waiting,
            .waiting_vetted = &tier->waiting_vetted,
        };
        memcpy(view->tiers[i].offer, roster->offers.tiers[i].lines, sizeof view->tiers[i].offer);
        members += view->tiers[i].members_count;
    }
    return view;
}

/* Returns 0, or -ENOMEM: the old view stays, and the next tick tries again. */
static int publish(struct roster *roster, uint64_t now_ms) {
    struct view *view = build_view(roster, now_ms);
    roster->view_is_stale = view == NULL;
    if (view == NULL) {
        log_error("out of memory: the last change is not in effect yet");
        return -ENOMEM;
    }
    struct view *old = roster->view;
    roster->view = view;
    snapshots_publish(&roster->snapshots, view);
    if (old != NULL)
        snapshots_retire(&roster->snapshots, &old->retired, release_view);
    if (roster->events.on_published != NULL)
        roster->events.on_published(roster->events.context);
    return 0;
}

/* All of a tier that takes over again begin slowly. */
static void ramp_tier(struct roster *roster, unsigned tier, uint64_t now_ms) {
    for (unsigned i = 0; i < roster->backends_count; i++)
        if (roster->backends[i]->tier == tier && backend_is_usable(roster->backends[i]))
            roster->backends[i]->ramp_since_ms = now_ms;
}

/* With no lower tier to fail back from, waiting would only turn clients away. */
static uint64_t failback_delay_ms(const struct roster *roster, unsigned tier) {
    for (unsigned i = tier + 1; i < roster->config->tiers_count; i++)
        if (count_tier(roster, i).usable > 0)
            return roster->config->tiers[tier].failback_delay_ms;
    return 0;
}

/* Returns true when a tier went up or down. */
static bool step_tiers(struct roster *roster, uint64_t now_ms) {
    bool has_changed = false;
    for (unsigned i = 0; i < roster->config->tiers_count; i++) {
        const struct config_tier *config = &roster->config->tiers[i];
        struct tier_count count = count_tier(roster, i);
        struct tier_clock *clock = &roster->tiers[i].clock;
        if (!tier_clock_step(clock, count, config->up_min, failback_delay_ms(roster, i), now_ms))
            continue;
        has_changed = true;
        if (clock->is_up && clock->has_been_down)
            ramp_tier(roster, i, now_ms);
        if (clock->is_up)
            log_info("tier %s is up: usable=%u min-up=%u", config->name, count.usable, config->up_min);
        else
            log_warning("tier %s is down: usable=%u min-up=%u; sessions go to the next tier", config->name,
                        count.usable, config->up_min);
    }
    return has_changed;
}

static bool update_offers(struct roster *roster) {
    return tier_offers_update(&roster->offers, roster->config, roster->backends, roster->backends_count);
}

static int refresh(struct roster *roster, uint64_t now_ms) {
    step_tiers(roster, now_ms);
    update_offers(roster);
    return publish(roster, now_ms);
}

/* --- life --- */

static int fill(struct roster *roster, uint64_t now_ms) {
    for (size_t i = 0; i < roster->config->backends_count; i++) {
        const struct config_backend *config = &roster->config->backends[i];
        struct backend *backend = backend_create(config, (uint8_t)i, roster->workers);
        if (backend == NULL)
            return -ENOMEM;
        backend->health_since_ms = now_ms;
        if (roster->config->tiers[config->tier].check == CHECK_NONE)
            backend->health = HEALTH_UP;
        roster->backends[roster->backends_count++] = backend;
    }
    return 0;
}

static bool has_tier_without_gate(const struct config *config) {
    for (size_t i = 0; i < config->tiers_count; i++)
        if (!config->tiers[i].gate)
            return true;
    return false;
}

int roster_create(const struct config *config, unsigned workers, uint64_t now_ms, const struct roster_events *events,
                  struct roster **ret_roster) {
    size_t alignment = _Alignof(struct roster);
    struct roster *roster = aligned_alloc(alignment, (sizeof *roster + alignment - 1) / alignment * alignment);
    if (roster == NULL)
        return -ENOMEM;
    memset(roster, 0, sizeof *roster);
    roster->config = config;
    roster->workers = workers;
    roster->forced_tier = TIER_AUTO;
    atomic_init(&roster->early_talk, has_tier_without_gate(config) ? EARLY_TALK_UNKNOWN : EARLY_TALK_UNINVITED);
    snapshots_init(&roster->snapshots, workers);
    int result = fill(roster, now_ms);
    if (result == 0)
        result = refresh(roster, now_ms); /* nobody listens yet */
    if (result < 0) {
        roster_destroy(roster);
        return result;
    }
    roster->events = *events;
    *ret_roster = roster;
    return 0;
}

void roster_destroy(struct roster *roster) {
    if (roster == NULL)
        return;
    snapshots_reclaim(&roster->snapshots);
    for (unsigned i = 0; i < roster->backends_count; i++)
        backend_destroy(roster->backends[i]);
    for (unsigned i = 0; i < roster->deleted_count; i++)
        backend_destroy(roster->deleted[i]);
    free(roster->view);
    free(roster);
}

struct snapshots *roster_snapshots(struct roster *roster) {
    return &roster->snapshots;
}

const struct view *roster_view(const struct roster *roster) {
    return roster->view;
}

unsigned roster_count(const struct roster *roster) {
    return roster->backends_count;
}

struct backend *roster_at(const struct roster *roster, unsigned index) {
    return roster->backends[index];
}

struct backend *roster_find_serial(const struct roster *roster, uint32_t serial) {
    for (unsigned i = 0; i < roster->backends_count; i++)
        if (roster->backends[i]->serial == serial)
            return roster->backends[i];
    return NULL;
}

const struct backend *roster_find_deleted(const struct roster *roster, uint32_t serial) {
    for (unsigned i = 0; i < roster->deleted_count; i++)
        if (roster->deleted[i]->serial == serial)
            return roster->deleted[i];
    return NULL;
}

struct backend *roster_find(const struct roster *roster, const char *name) {
    for (unsigned i = 0; i < roster->backends_count; i++)
        if (strcmp(roster->backends[i]->name, name) == 0)
            return roster->backends[i];
    return NULL;
}

/* --- changes --- */

void roster_set_admin(struct roster *roster, struct backend *backend, enum backend_admin admin, uint64_t now_ms) {
    if (backend->admin == admin)
        return;
    log_info("server %s state %s -> %s", backend->name, config_admin_name(backend->admin), config_admin_name(admin));
    /* After maint nothing is known about it: it is probed anew before it gets sessions. */
    if (backend->admin == BACKEND_MAINT && roster->config->tiers[backend->tier].check != CHECK_NONE) {
        backend->health = HEALTH_STARTING;
        backend->health_since_ms = now_ms;
    }
    backend->admin = admin;
    refresh(roster, now_ms);
}

void roster_set_weight(struct roster *roster, struct backend *backend, uint32_t weight, uint64_t now_ms) {
    log_info("server %s weight %u -> %u", backend->name, backend->weight, weight);
    backend->weight = weight;
    refresh(roster, now_ms);
}

void roster_set_health(struct roster *roster, struct backend *backend, enum backend_health health, const char *reason,
                       uint64_t now_ms) {
    snprintf(backend->health_reason, sizeof backend->health_reason, "%s", reason);
    if (backend->health == health)
        return;
    bool was_usable = backend_is_usable(backend);
    bool is_bad = health == HEALTH_DOWN || health == HEALTH_GOING_DOWN || health == HEALTH_EJECTED;
    log_write(is_bad ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "server %s health %s -> %s%s%s", backend->name,
              backend_health_name(backend->health), backend_health_name(health), reason[0] != '\0' ? ": " : "", reason);
    bool was_starting = backend->health == HEALTH_STARTING;
    backend->health = health;
    backend->health_since_ms = now_ms;
    atomic_store(&backend->has_failed, backend_has_failed(backend));
    if (!was_usable && !was_starting && backend_is_usable(backend))
        backend->ramp_since_ms = now_ms;
    if (was_usable != backend_is_usable(backend) || was_starting)
        refresh(roster, now_ms);
}

void roster_set_offer(struct roster *roster, struct backend *backend, const char *lines, bool invites_early_talk,
                      uint64_t now_ms) {
    early_talk_note(&roster->early_talk, invites_early_talk, roster->config->tiers[backend->tier].gate);
    bool is_same = backend->invites_early_talk == invites_early_talk && strcmp(backend->offer, lines) == 0;
    if (backend->has_offer && is_same)
        return;
    backend->has_offer = true;
    backend->invites_early_talk = invites_early_talk;
    snprintf(backend->offer, sizeof backend->offer, "%s", lines);
    if (update_offers(roster))
        publish(roster, now_ms);
}

void roster_force_tier(struct roster *roster, int tier, uint64_t now_ms) {
    if (tier == TIER_AUTO)
        log_info("tiers serve by priority and health");
    else
        log_warning("tier %s alone serves, by the operator's word", roster->config->tiers[tier].name);
    roster->forced_tier = tier;
    refresh(roster, now_ms);
}

int roster_forced_tier(const struct roster *roster) {
    return roster->forced_tier;
}

static bool id_is_taken(const struct roster *roster, unsigned id) {
    for (unsigned i = 0; i < roster->backends_count; i++)
        if (roster->backends[i]->id == id)
            return true;
    for (unsigned i = 0; i < roster->deleted_count; i++)
        if (roster->deleted[i]->id == id)
            return true;
    return false;
}

static int find_id(const struct roster *roster) {
    unsigned id = 0;
    while (id < BACKENDS_MAX && id_is_taken(roster, id))
        id++;
    return id < BACKENDS_MAX ? (int)id : -ENOSPC;
}

int roster_add(struct roster *roster, const struct config_backend *config, uint64_t now_ms,
               struct backend **ret_backend) {
    if (roster_find(roster, config->name) != NULL)
        return -EEXIST;
    int id = find_id(roster);
    if (id < 0)
        return id;
    struct backend *backend = backend_create(config, (uint8_t)id, roster->workers);
    if (backend == NULL)
        return -ENOMEM;
    backend->was_added = true;
    backend->health_since_ms = now_ms;
    if (roster->config->tiers[config->tier].check == CHECK_NONE)
        backend->health = HEALTH_UP;
    roster->backends[roster->backends_count++] = backend;
    if (refresh(roster, now_ms) < 0) {
        roster->backends_count--;
        backend_destroy(backend);
        return -ENOMEM;
    }
    log_info("server %s added to tier %s", backend->name, roster->config->tiers[backend->tier].name);
    if (roster->events.on_added != NULL)
        roster->events.on_added(roster->events.context, backend);
    *ret_backend = backend;
    return 0;
}

static void take_out(struct roster *roster, const struct backend *backend) {
    unsigned i = 0;
    while (roster->backends[i] != backend)
        i++;
    roster->backends_count--;
    memmove(&roster->backends[i], &roster->backends[i + 1], (roster->backends_count - i) * sizeof roster->backends[0]);
}

int roster_replace(struct roster *roster, struct backend *backend, const struct address *address, uint64_t now_ms) {
    char text[ADDRESS_TEXT_MAX];
    struct config_backend config = {
        .name = backend->name,
        .tier = backend->tier,
        .host = backend->host_name,
        .host_is_name = backend->host_name[0] != '\0',
        .port = backend->host_port,
        .address = *address,
        .weight = backend->weight,
        .state = backend->admin,
        .proxy = backend->proxy,
        .source = backend->source,
        .sessions_max = backend->sessions_max,
    };
    int id = find_id(roster);
    if (id < 0)
        return id;
    struct backend *added = backend_create(&config, (uint8_t)id, roster->workers);
    if (added == NULL)
        return -ENOMEM;
    added->was_added = backend->was_added;
    added->health_since_ms = now_ms;
    if (backend_is_usable(backend) || roster->config->tiers[backend->tier].check == CHECK_NONE)
        added->health = HEALTH_UP;
    added->invites_early_talk = backend->invites_early_talk;
    added->has_offer = backend->has_offer; /* while it serves without having been probed */
    memcpy(added->offer, backend->offer, sizeof added->offer);
    log_info("server %s is at %s now (%s)", added->name, address_format(address, text), added->host_name);
    unsigned i = 0;
    while (roster->backends[i] != backend)
        i++;
    roster->backends[i] = added;
    if (roster->events.on_removed != NULL)
        roster->events.on_removed(roster->events.context, backend);
    backend->is_deleted = true;
    roster->deleted[roster->deleted_count++] = backend;
    if (roster->events.on_added != NULL)
        roster->events.on_added(roster->events.context, added);
    refresh(roster, now_ms); /* without memory for a view the next tick tries again, and both live on */
    return 0;
}

int roster_remove(struct roster *roster, struct backend *backend, bool force, uint64_t now_ms) {
    if (atomic_load(&backend->in_use) > 0 && !force)
        return -EBUSY;
    if (roster->events.on_removed != NULL)
        roster->events.on_removed(roster->events.context, backend);
    log_info("server %s deleted", backend->name);
    take_out(roster, backend);
    backend->is_deleted = true;
    roster->deleted[roster->deleted_count++] = backend;
    return refresh(roster, now_ms);
}

/* A worker that still reads an older view may yet take a slot, so the count is trusted only after the view that listed
 * the backend is gone. */
static void free_deleted(struct roster *roster) {
    for (unsigned i = 0; i < roster->deleted_count;) {
        struct backend *backend = roster->deleted[i];
        if (atomic_load(&backend->in_use) > 0) {
            i++;
            continue;
        }
        roster->deleted[i] = roster->deleted[--roster->deleted_count];
        backend_destroy(backend);
    }
}

/* Once a second while anybody is in slow start, and once when it is over. */
static bool ramp_is_due(struct roster *roster, uint64_t now_ms) {
    bool is_due = false;
    if (now_ms - roster->ramp_published_ms < RAMP_STEP_MS)
        return false;
    for (unsigned i = 0; i < roster->backends_count; i++) {
        struct backend *backend = roster->backends[i];
        if (backend->ramp_since_ms == 0)
            continue;
        is_due = true;
        if (!is_ramping(roster, backend, now_ms))
            backend->ramp_since_ms = 0;
    }
    if (is_due)
        roster->ramp_published_ms = now_ms;
    return is_due;
}

void roster_tick(struct roster *roster, uint64_t now_ms) {
    bool has_changed = step_tiers(roster, now_ms);
    if (ramp_is_due(roster, now_ms) || has_changed || roster->view_is_stale)
        publish(roster, now_ms);
    if (!snapshots_reclaim(&roster->snapshots) && !roster->view_is_stale)
        free_deleted(roster);
}
