/* The immutable picture of tiers and backends that workers choose from; published by the roster, valid for one turn of
 * a worker's loop. Choosing is pure but for a worker's own round-robin weights. */
#ifndef POSTERN_BACKENDS_VIEW_H
#define POSTERN_BACKENDS_VIEW_H

#include "backends/backend.h"
#include "lb/engine/limits.h"

struct view_member {
    struct backend *backend;
    uint32_t weight;
    uint32_t sessions_max;
    bool is_usable;
    bool has_failed;  /* down or ejected: sessions that wait for a reply of it need not wait long */
    bool is_starting; /* ready, but not yet probed to an end */
};

struct view_tier {
    const struct config_tier *config;
    bool is_healthy;  /* by min-up and failback-delay alone */
    bool is_unprobed; /* not healthy, only because too few of its backends have been probed yet */
    bool is_up;       /* by min-up and failback-delay, or by the operator's override */
    bool is_starting; /* not up, only because too few of its backends have been probed yet */
    unsigned members_count;
    struct view_member *members;
    char offer[EHLO_LINES_MAX]; /* what its backends offer, "" while unknown (backends/offers.h) */
    atomic_uint *waiting;       /* sessions in this tier's queue, over all workers; the tier's bound is on this */
    atomic_uint *waiting_vetted;
};

/* Whether clients have been invited to talk before the greeting by a backend's reply to EHLO
 * (ehlo_invites_early_talk()). One invitation counts for good, since clients remember it; while none has been seen, and
 * no backend without a gate has answered EHLO yet, nobody knows. */
enum early_talk { EARLY_TALK_UNKNOWN, EARLY_TALK_UNINVITED, EARLY_TALK_INVITED };

struct view {
    struct retired retired;
    atomic_uint *early_talk; /* enum early_talk, over all workers */
    const struct config *config;
    unsigned tiers_count;
    struct view_tier tiers[TIERS_MAX];
    struct view_member members[]; /* of all tiers, one after the other */
};

/* A backend has answered EHLO. `is_gated`: what it says is not passed on to clients, so that only an invitation counts.
 * From any thread. */
void early_talk_note(atomic_uint *early_talk, bool is_invitation, bool is_gated);

/* A session's set of backends already tried: bit backend->id. */
struct backend_set {
    uint64_t bits[BACKENDS_MAX / 64];
};
void backend_set_add(struct backend_set *set, const struct backend *backend);
void backend_set_remove(struct backend_set *set, const struct backend *backend);
bool backend_set_has(const struct backend_set *set, const struct backend *backend);

enum choice {
    CHOICE_FOUND,    /* *ret_member has a slot taken for the caller */
    CHOICE_FULL,     /* some untried usable backend has no free slot: wait */
    CHOICE_STARTING, /* none usable, but some may become so at once: wait */
    CHOICE_NONE,     /* every usable one has been tried */
};

/* A number for the client's /32 or /64, the same for as long as postern runs. */
uint64_t client_key(const struct address *client);

struct chooser {
    unsigned worker;
    const struct backend_set *tried;
    const struct address *client; /* what `balance = source` hashes (/32 or /64) */
    uint64_t random;              /* fresh bits, for `random2` */
    bool takes_suspects;          /* see struct backend; a hedge never does, a session only when nobody else is there */
    bool lacks_local; /* the address that the client has connected to is not known: a PROXY header can't name it */
};

/* Chooses a backend of `tier` by its `balance`, and takes a slot on it. Weight 0 gets no new sessions (as HAProxy). */
enum choice view_choose(const struct view_tier *tier, const struct chooser *chooser,
                        const struct view_member **ret_member);

#endif
