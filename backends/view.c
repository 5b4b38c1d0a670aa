/* The choice of a backend for a session, in the four ways to balance. Each goes once over a tier's members, of which
 * there are 256 at most, and skips those that the session has tried, that are not usable, that have no weight, or that
 * have no free slot. Workers call it in the search and for sessions that wait. The roster owns the view; only a
 * worker's own round-robin weights are written here. */
#include "backends/view.h"

#include "lb/base/hash.h"

#include <math.h>
#include <string.h>

void early_talk_note(atomic_uint *early_talk, bool is_invitation, bool is_gated) {
    unsigned unknown = EARLY_TALK_UNKNOWN;
    if (is_invitation)
        atomic_store_explicit(early_talk, EARLY_TALK_INVITED, memory_order_relaxed);
    else if (!is_gated)
        atomic_compare_exchange_strong(early_talk, &unknown, EARLY_TALK_UNINVITED);
}

void backend_set_add(struct backend_set *set, const struct backend *backend) {
    set->bits[backend->id / 64] |= UINT64_C(1) << (backend->id % 64);
}

void backend_set_remove(struct backend_set *set, const struct backend *backend) {
    set->bits[backend->id / 64] &= ~(UINT64_C(1) << (backend->id % 64));
}

bool backend_set_has(const struct backend_set *set, const struct backend *backend) {
    return (set->bits[backend->id / 64] >> (backend->id % 64)) & 1;
}

/* The order in which full backends are left out is the same for all ways: they are no candidates. */
static bool is_candidate(const struct view_member *member, const struct chooser *chooser) {
    if (!member->is_usable || member->weight == 0 || backend_set_has(chooser->tried, member->backend))
        return false;
    if (chooser->lacks_local && member->backend->proxy != PROXY_NONE)
        return false;
    if (!chooser->takes_suspects && atomic_load_explicit(&member->backend->is_suspect, memory_order_relaxed))
        return false;
    return member->sessions_max == 0 ||
           atomic_load_explicit(&member->backend->in_use, memory_order_relaxed) < member->sessions_max;
}

static uint64_t load_of(const struct view_member *member) {
    return atomic_load_explicit(&member->backend->in_use, memory_order_relaxed);
}

/* True when `a` carries less for its weight than `b`. */
static bool carries_less(const struct view_member *a, const struct view_member *b) {
    return load_of(a) * b->weight < load_of(b) * a->weight;
}

/* Smooth weighted round robin, as nginx has it: each turn all gain their weight, the highest is taken and pays the
 * sum; so heavy ones are spread between light ones instead of coming in a row. With `least`, only among those that
 * carry no more than it does. */
static const struct view_member *choose_roundrobin(const struct view_tier *tier, const struct chooser *chooser,
                                                   const struct view_member *least) {
    const struct view_member *best = NULL;
    int32_t sum = 0;
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (!is_candidate(member, chooser) || (least != NULL && carries_less(least, member)))
            continue;
        int32_t *current = &member->backend->shares[chooser->worker].current_weight;
        *current += (int32_t)member->weight;
        sum += (int32_t)member->weight;
        if (best == NULL || *current > best->backend->shares[chooser->worker].current_weight)
            best = member;
    }
    if (best != NULL)
        best->backend->shares[chooser->worker].current_weight -= sum;
    return best;
}

/* Equal loads are not left to the order of the file, or the first would get all of a quiet site's mail: round robin
 * decides between them. */
static const struct view_member *choose_leastconn(const struct view_tier *tier, const struct chooser *chooser) {
    const struct view_member *least = NULL;
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (is_candidate(member, chooser) && (least == NULL || carries_less(member, least)))
            least = member;
    }
    const struct view_member *best = least == NULL ? NULL : choose_roundrobin(tier, chooser, least);
    return best != NULL ? best : least; /* other workers may have loaded `least` meanwhile */
}

static const struct view_member *draw(const struct view_tier *tier, const struct chooser *chooser, uint64_t random) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < tier->members_count; i++)
        if (is_candidate(&tier->members[i], chooser))
            sum += tier->members[i].weight;
    if (sum == 0)
        return NULL;
    uint64_t at = random % sum;
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (!is_candidate(member, chooser))
            continue;
        if (at < member->weight)
            return member;
        at -= member->weight;
    }
    return NULL; /* a slot went between the two walks */
}

static const struct view_member *choose_random2(const struct view_tier *tier, const struct chooser *chooser) {
    const struct view_member *first = draw(tier, chooser, chooser->random & UINT32_MAX);
    const struct view_member *second = draw(tier, chooser, chooser->random >> 32);
    if (first == NULL || second == NULL)
        return first != NULL ? first : second;
    return carries_less(second, first) ? second : first;
}

/* Seen outside: another hash would send each client to another backend. */
static uint64_t hash(const void *data, size_t length, uint64_t seed) {
    return hash_mix(hash_octets(HASH_START ^ seed, data, length));
}

uint64_t client_key(const struct address *client) {
    if (client->sa.sa_family == AF_INET)
        return hash(&client->in4.sin_addr, 4, 0);
    return hash(&client->in6.sin6_addr, 8, 0); /* the /64 */
}

/* Weighted rendezvous hashing: each backend draws a number from (client, name), scaled by its weight; the highest wins.
 * When a backend goes, only its own clients move (Thaler and Ravishankar; the scaling is -weight / ln u). */
static const struct view_member *choose_source(const struct view_tier *tier, const struct chooser *chooser) {
    const struct view_member *best = NULL;
    double best_score = 0;
    uint64_t key = client_key(chooser->client);
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (!is_candidate(member, chooser))
            continue;
        uint64_t drawn = hash(member->backend->name, strlen(member->backend->name), key);
        double uniform = ((double)(drawn >> 11) + 0.5) / 9007199254740992.0; /* in (0, 1): 53 bits */
        double score = -(double)member->weight / log(uniform);
        if (best == NULL || score > best_score) {
            best = member;
            best_score = score;
        }
    }
    return best;
}

static const struct view_member *choose_once(const struct view_tier *tier, const struct chooser *chooser) {
    switch (tier->config->balance) {
    case BALANCE_ROUNDROBIN:
        return choose_roundrobin(tier, chooser, NULL);
    case BALANCE_LEASTCONN:
        return choose_leastconn(tier, chooser);
    case BALANCE_RANDOM2:
        return choose_random2(tier, chooser);
    case BALANCE_SOURCE:
        return choose_source(tier, chooser);
    }
    return NULL;
}

/* Why nothing was found: somebody to wait for, or nobody. */
static enum choice explain(const struct view_tier *tier, const struct chooser *chooser) {
    bool is_starting = false;
    for (unsigned i = 0; i < tier->members_count; i++) {
        const struct view_member *member = &tier->members[i];
        if (member->weight == 0 || backend_set_has(chooser->tried, member->backend) ||
            (chooser->lacks_local && member->backend->proxy != PROXY_NONE))
            continue;
        if (member->is_usable)
            return CHOICE_FULL;
        is_starting |= member->is_starting;
    }
    return is_starting ? CHOICE_STARTING : CHOICE_NONE;
}

enum choice view_choose(const struct view_tier *tier, const struct chooser *chooser,
                        const struct view_member **ret_member) {
    const struct view_member *member;
    /* Another worker may take the last slot between the look and the taking; then this one is full and no candidate. */
    while ((member = choose_once(tier, chooser)) != NULL) {
        if (backend_take_slot(member->backend, member->sessions_max)) {
            *ret_member = member;
            return CHOICE_FOUND;
        }
    }
    return explain(tier, chooser);
}
