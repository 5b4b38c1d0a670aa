/* Counts of clients' sessions and connections, in places that all workers share. A place's state is one word: what the
 * bucket does not tell of its key, and how many sessions that has. So each change is one compare-and-swap that succeeds
 * only while the place is still this client's.
 *
 * A client has one place: who gives one to a new client has its bucket for that time, and looks for the client once
 * more. Another worker that wants to do the same there tries again, and nobody waits: after some tries its client is
 * let in uncounted. */
#include "lb/limits/count_table.h"

#include "conf/limits.h"
#include "lb/base/hash.h"
#include "lb/base/memory.h"

#include <assert.h>
#include <errno.h>

struct count_place {
    _Atomic uint64_t state;   /* TAG | count; 0: free */
    _Atomic uint64_t rate;    /* of a window: its number, events in it, events in the one before */
    _Atomic uint32_t refused; /* sessions */
    _Atomic uint32_t seen;    /* seconds, and SEEN_VETTED */
};

struct count_bucket {
    struct count_place places[COUNT_TABLE_WAYS];
    atomic_bool is_settling; /* a worker gives one of them to a new client */
};

/* That takes some hundred nanoseconds, unless the worker loses its CPU just then. */
#define SETTLE_TRIES_MAX 1000u

#define COUNT_BITS 16u
#define COUNT_MASK UINT64_C(0xffff)
/* With all its bits set the state says that somebody is changing the place's owner; so a count stays below. */
#define CLAIMED    UINT64_MAX
#define COUNT_MOST (COUNT_MASK - 1)

#define SEEN_VETTED UINT32_C(0x80000000)

_Static_assert(COUNT_TABLE_BUCKETS == 1u << COUNT_BITS, "a bucket is told by the bits in whose place the count stands");
_Static_assert(CONFIG_PER_CLIENT_MAX <= COUNT_MOST, "any limit can be counted up to");
_Static_assert(CONFIG_RATE_EVENTS_MAX < 1u << 20, "and any rate");

int count_table_init(struct count_table *table, uint32_t most, const struct rate *rate, uint32_t vetted_factor,
                     uint64_t secret) {
    *table = (struct count_table){.secret = secret, .most = most, .rate = *rate, .vetted_factor = vetted_factor};
    if (most == 0 && rate->events == 0)
        return 0;
    table->buckets = memory_reserve(COUNT_TABLE_BUCKETS * sizeof *table->buckets);
    return table->buckets != NULL ? 0 : -ENOMEM;
}

void count_table_finish(struct count_table *table) {
    memory_release(table->buckets, COUNT_TABLE_BUCKETS * sizeof *table->buckets);
    table->buckets = NULL;
}

static uint32_t times(uint32_t limit, uint32_t factor, uint64_t most) {
    uint64_t product = (uint64_t)limit * factor;
    return (uint32_t)(product < most ? product : most);
}

uint32_t count_table_most(const struct count_table *table, bool is_vetted) {
    return times(table->most, is_vetted ? table->vetted_factor : 1, COUNT_MOST);
}

/* --- the rate: of this window all events, of the one before as large a part as it has of the last period --- */

#define WINDOW_BITS 24u
#define EVENTS_BITS 20u
#define EVENTS_MOST ((UINT64_C(1) << EVENTS_BITS) - 1)
#define WINDOW_MASK ((UINT64_C(1) << WINDOW_BITS) - 1)

uint32_t count_table_rate(const struct count_table *table, bool is_vetted) {
    return times(table->rate.events, is_vetted ? table->vetted_factor : 1, EVENTS_MOST);
}

struct window {
    uint64_t number, events, before;
};

static struct window window_of(uint64_t word) {
    return (struct window){
        .number = word >> 2 * EVENTS_BITS, .events = word >> EVENTS_BITS & EVENTS_MOST, .before = word & EVENTS_MOST};
}

static uint64_t window_word(const struct window *window) {
    return window->number << 2 * EVENTS_BITS | window->events << EVENTS_BITS | window->before;
}

/* Moved on to now. Of another thread, whose clock is a little ahead, the next one may stand there already. */
static struct window window_at(uint64_t word, uint64_t now_ms, uint64_t period_ms) {
    struct window window = window_of(word);
    uint64_t number = now_ms / period_ms & WINDOW_MASK;
    uint64_t passed = (number - window.number) & WINDOW_MASK;
    if (passed == 0 || passed == WINDOW_MASK)
        return window;
    return (struct window){.number = number, .before = passed == 1 ? window.events : 0};
}

static uint64_t window_rate(const struct window *window, uint64_t now_ms, uint64_t period_ms) {
    bool is_ahead = window->number != (now_ms / period_ms & WINDOW_MASK);
    uint64_t left_ms = is_ahead ? period_ms : period_ms - now_ms % period_ms;
    return window->events + (window->before * left_ms + period_ms / 2) / period_ms;
}

static uint64_t rate_at(const struct count_table *table, const struct count_place *place, uint64_t now_ms) {
    if (table->rate.events == 0)
        return 0;
    struct window window = window_at(atomic_load(&place->rate), now_ms, table->rate.period_ms);
    return window_rate(&window, now_ms, table->rate.period_ms);
}

/* One event more, unless that were too many. The place is held by a session. */
static bool rate_takes(const struct count_table *table, struct count_place *place, bool is_vetted, uint64_t now_ms) {
    if (table->rate.events == 0)
        return true;
    uint64_t word = atomic_load(&place->rate);
    struct window window;
    do {
        window = window_at(word, now_ms, table->rate.period_ms);
        if (window_rate(&window, now_ms, table->rate.period_ms) >= count_table_rate(table, is_vetted))
            return false;
        window.events++;
    } while (!atomic_compare_exchange_weak(&place->rate, &word, window_word(&window)));
    return true;
}

/* --- places --- */

static struct count_bucket *bucket_of(const struct count_table *table, uint64_t mixed) {
    return &table->buckets[mixed & COUNT_MASK];
}

/* This client's place, NULL: none, with its state. */
static struct count_place *find(struct count_bucket *bucket, uint64_t mixed, uint64_t *ret_state) {
    for (unsigned i = 0; i < COUNT_TABLE_WAYS; i++) {
        uint64_t state = atomic_load(&bucket->places[i].state);
        if (state != CLAIMED && state >> COUNT_BITS == mixed >> COUNT_BITS) {
            *ret_state = state;
            return &bucket->places[i];
        }
    }
    return NULL;
}

static uint32_t seconds_since(uint32_t seen, uint64_t now_ms) {
    uint32_t now_s = (uint32_t)(now_ms / 1000) & ~SEEN_VETTED;
    uint32_t then_s = seen & ~SEEN_VETTED;
    return now_s > then_s ? now_s - then_s : 0;
}

/* Whether nothing would be lost that is still needed. */
static bool may_go(const struct count_table *table, const struct count_place *place, uint64_t state, uint32_t seen,
                   uint64_t now_ms) {
    if (state == CLAIMED || (state & COUNT_MASK) != 0)
        return false;
    if (table->rate.events == 0 || seconds_since(seen, now_ms) > 2 * table->rate.period_ms / 1000 + 1)
        return true;
    return (seen & SEEN_VETTED) == 0 && rate_at(table, place, now_ms) < count_table_rate(table, false);
}

static struct count_place *choose(const struct count_table *table, struct count_bucket *bucket, uint64_t now_ms,
                                  uint64_t *ret_state) {
    struct count_place *chosen = NULL;
    uint32_t longest = 0;
    for (unsigned i = 0; i < COUNT_TABLE_WAYS; i++) {
        struct count_place *place = &bucket->places[i];
        uint64_t state = atomic_load(&place->state);
        uint32_t seen = atomic_load(&place->seen), since = seconds_since(seen, now_ms);
        bool is_free = state == 0;
        if (!is_free && (!may_go(table, place, state, seen, now_ms) || (chosen != NULL && since <= longest)))
            continue;
        chosen = place;
        longest = since;
        *ret_state = state;
        if (is_free)
            break;
    }
    return chosen;
}

enum settled { SETTLED, SETTLED_NOT, SETTLE_AGAIN };

/* Gives a place to a client that has none, with one session; the bucket is this thread's. */
static enum settled settle_in(const struct count_table *table, struct count_bucket *bucket, uint64_t mixed,
                              uint64_t now_ms, struct count_place **ret_place) {
    uint64_t state;
    if (find(bucket, mixed, &state) != NULL) /* another thread was quicker */
        return SETTLE_AGAIN;
    struct count_place *place = choose(table, bucket, now_ms, &state);
    if (place == NULL)
        return SETTLED_NOT;
    if (!atomic_compare_exchange_strong(&place->state, &state, CLAIMED)) /* its client has just come back */
        return SETTLE_AGAIN;
    atomic_store(&place->rate, 0);
    atomic_store(&place->refused, 0);
    atomic_store(&place->state, (mixed & ~COUNT_MASK) | 1);
    *ret_place = place;
    return SETTLED;
}

static enum settled settle(const struct count_table *table, uint64_t mixed, uint64_t now_ms,
                           struct count_place **ret_place) {
    struct count_bucket *bucket = bucket_of(table, mixed);
    if (atomic_exchange(&bucket->is_settling, true))
        return SETTLE_AGAIN;
    enum settled settled = settle_in(table, bucket, mixed, now_ms, ret_place);
    atomic_store(&bucket->is_settling, false);
    return settled;
}

/* Under the limit of sessions, with the place. */
static enum count_result take_place(const struct count_table *table, uint64_t mixed, bool is_vetted, uint64_t now_ms,
                                    struct count_place **ret_place) {
    uint32_t most = count_table_most(table, is_vetted);
    for (unsigned tries = 0; tries < SETTLE_TRIES_MAX;) {
        uint64_t state;
        *ret_place = find(bucket_of(table, mixed), mixed, &state);
        if (*ret_place == NULL) {
            enum settled settled = settle(table, mixed, now_ms, ret_place);
            if (settled != SETTLE_AGAIN)
                return settled == SETTLED ? COUNT_TAKEN : COUNT_NO_PLACE;
            tries++;
            continue;
        }
        if (most != 0 && (state & COUNT_MASK) >= most)
            return COUNT_OVER_MOST;
        if ((state & COUNT_MASK) >= COUNT_MOST)
            return COUNT_NO_PLACE;
        if (atomic_compare_exchange_strong(&(*ret_place)->state, &state, state + 1))
            return COUNT_TAKEN; /* else another thread has got on with it */
    }
    return COUNT_NO_PLACE;
}

enum count_result count_table_take(struct count_table *table, uint64_t key, bool is_vetted, uint64_t now_ms) {
    uint64_t mixed = hash_mix(key ^ table->secret);
    struct count_place *place;
    enum count_result result = take_place(table, mixed, is_vetted, now_ms, &place);
    if (result == COUNT_NO_PLACE)
        return result;
    if (result == COUNT_TAKEN) {
        atomic_store(&place->seen, ((uint32_t)(now_ms / 1000) & ~SEEN_VETTED) | (is_vetted ? SEEN_VETTED : 0));
        if (rate_takes(table, place, is_vetted, now_ms))
            return COUNT_TAKEN;
        count_table_give_back(table, key);
        result = COUNT_OVER_RATE;
    }
    atomic_fetch_add(&place->refused, 1); /* to show; of a place that has changed hands meanwhile, one too many */
    return result;
}

void count_table_give_back(struct count_table *table, uint64_t key) {
    uint64_t mixed = hash_mix(key ^ table->secret);
    uint64_t state;
    struct count_place *place = find(bucket_of(table, mixed), mixed, &state);
    assert(place != NULL && (state & COUNT_MASK) != 0); /* it stays while a session is counted there */
    atomic_fetch_sub(&place->state, 1);
}

bool count_table_at(const struct count_table *table, size_t index, uint64_t now_ms, struct count_row *ret_row) {
    const struct count_place *place = &table->buckets[index / COUNT_TABLE_WAYS].places[index % COUNT_TABLE_WAYS];
    uint64_t state = atomic_load(&place->state);
    if (state == 0 || state == CLAIMED)
        return false;
    *ret_row = (struct count_row){
        .key = hash_unmix((state & ~COUNT_MASK) | index / COUNT_TABLE_WAYS) ^ table->secret,
        .sessions = (uint32_t)(state & COUNT_MASK),
        .rate = (uint32_t)rate_at(table, place, now_ms),
        .refused = atomic_load(&place->refused),
        .is_vetted = (atomic_load(&place->seen) & SEEN_VETTED) != 0,
    };
    return true;
}
