/* The manager's own list of backends and tiers: the one place where their state changes. Every change ends in a new
 * view for the workers. All calls are the manager thread's. */
#ifndef POSTERN_BACKENDS_ROSTER_H
#define POSTERN_BACKENDS_ROSTER_H

#include "backends/view.h"
#include "lb/engine/snapshot.h"

struct roster;

struct roster_events {
    void *context;
    /* A new view was published: wake the workers. */
    void (*on_published)(void *context);
    /* A backend was added or is about to be freed: start or stop probing it. */
    void (*on_added)(void *context, struct backend *backend);
    void (*on_removed)(void *context, struct backend *backend);
};

/* `config` must outlive the roster. Returns 0 or -ENOMEM. Publishes the first view; a tier with `check = none` starts
 * with its backends up, others starting. */
int roster_create(const struct config *config, unsigned workers, uint64_t now_ms, const struct roster_events *events,
                  struct roster **ret_roster);
/* After all workers have ended. */
void roster_destroy(struct roster *roster);

/* Workers read the view through this. */
struct snapshots *roster_snapshots(struct roster *roster);
/* The newest view, for the manager itself. */
const struct view *roster_view(const struct roster *roster);

unsigned roster_count(const struct roster *roster);
/* In the order of the file, added ones last. `index` < roster_count(). */
struct backend *roster_at(const struct roster *roster, unsigned index);
/* NULL when it is gone. */
struct backend *roster_find_serial(const struct roster *roster, uint32_t serial);
/* One that was deleted and still has sessions; NULL when it has none any more. */
const struct backend *roster_find_deleted(const struct roster *roster, uint32_t serial);
/* NULL when there is none of that name. */
struct backend *roster_find(const struct roster *roster, const char *name);

void roster_set_admin(struct roster *roster, struct backend *backend, enum backend_admin admin, uint64_t now_ms);
void roster_set_weight(struct roster *roster, struct backend *backend, uint32_t weight, uint64_t now_ms);
/* From the health module; logs the change with its reason (may be ""). */
void roster_set_health(struct roster *roster, struct backend *backend, enum backend_health health, const char *reason,
                       uint64_t now_ms);
/* From the health module: a reply to EHLO, as ehlo_lines_read() leaves it, and ehlo_invites_early_talk() of it. */
void roster_set_offer(struct roster *roster, struct backend *backend, const char *lines, bool invites_early_talk,
                      uint64_t now_ms);
/* An operator's override: this tier alone serves; TIER_AUTO: by priority and health. */
#define TIER_AUTO (-1)
void roster_force_tier(struct roster *roster, int tier, uint64_t now_ms);
int roster_forced_tier(const struct roster *roster);
/* Adds a backend at run time. Returns 0, -EEXIST (name), -ENOSPC (BACKENDS_MAX), -ENOMEM. */
int roster_add(struct roster *roster, const struct config_backend *config, uint64_t now_ms,
               struct backend **ret_backend);
/* Exchanges a backend for one at another address: the same name, state and weight, and its health while it is usable.
 * The old one drains. Returns 0, -ENOSPC or -ENOMEM (nothing has changed). */
int roster_replace(struct roster *roster, struct backend *backend, const struct address *address, uint64_t now_ms);
/* Takes a backend off the view; it is freed when its last session has ended and no worker can see it. With sessions
 * on it and without `force`: -EBUSY, nothing changes. */
int roster_remove(struct roster *roster, struct backend *backend, bool force, uint64_t now_ms);

/* Tier clocks (failback-delay) and reclaiming; call about every 100 ms and after changes. */
void roster_tick(struct roster *roster, uint64_t now_ms);

#endif
