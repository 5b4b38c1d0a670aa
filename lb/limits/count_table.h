/* How many sessions each client has, and how often it came: one bounded table for all workers, without locks. A key is
 * whatever a client is known by (reputation_key(), or its network's); a limit and a rate hold for all keys of a table,
 * and so many times as much for who is vetted.
 *
 * Keys stand in buckets of eight. One that holds sessions never leaves its place; of the others the one that was seen
 * longest ago makes room, but none that is over its rate or vetted while its rate is remembered. Where all eight must
 * stay, a newcomer is let in uncounted: a limit is no reason to refuse whom it can't count. */
#ifndef POSTERN_LIMITS_COUNT_TABLE_H
#define POSTERN_LIMITS_COUNT_TABLE_H

#include "conf/config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The lowest 16 bits of a mixed key choose its bucket, so that the other 48 and the count are one word. */
#define COUNT_TABLE_BUCKETS 65536u
#define COUNT_TABLE_WAYS    8u
#define COUNT_TABLE_PLACES  (COUNT_TABLE_BUCKETS * COUNT_TABLE_WAYS)

struct count_bucket;

struct count_table {
    struct count_bucket *buckets; /* owned; NULL: there is no limit, and nothing is counted */
    uint64_t secret;              /* so that no client can choose who shares its bucket */
    uint32_t most;                /* sessions at once; 0: no limit */
    struct rate rate;
    uint32_t vetted_factor;
};

enum count_result {
    COUNT_TAKEN,
    COUNT_OVER_MOST,
    COUNT_OVER_RATE,
    COUNT_NO_PLACE, /* let in, and not to be given back */
};

/* 13 MiB of addresses, touched as clients come; none where neither `most` nor the rate is set. Returns 0 or -ENOMEM. */
int count_table_init(struct count_table *table, uint32_t most, const struct rate *rate, uint32_t vetted_factor,
                     uint64_t secret);
/* Accepts a zeroed one. */
void count_table_finish(struct count_table *table);

static inline bool count_table_is_on(const struct count_table *table) {
    return table->buckets != NULL;
}

/* One session more of this client, and one event of its rate; of a refusal nothing is counted but that. From any
 * thread. `now_ms` by one clock for all threads. */
enum count_result count_table_take(struct count_table *table, uint64_t key, bool is_vetted, uint64_t now_ms);
/* One session less: for each COUNT_TAKEN, once. From any thread. */
void count_table_give_back(struct count_table *table, uint64_t key);

/* A picture of one client, of one moment or nearly so. */
struct count_row {
    uint64_t key;
    uint32_t sessions;
    uint32_t rate; /* events in the last period, as the limit sees them */
    uint32_t refused;
    bool is_vetted; /* as it was when it came last */
};

/* The client at a place, index < COUNT_TABLE_PLACES; false: there is none. From any thread. */
bool count_table_at(const struct count_table *table, size_t index, uint64_t now_ms, struct count_row *ret_row);
/* What this client may have, with the factor of who is vetted; 0: no limit. */
uint32_t count_table_most(const struct count_table *table, bool is_vetted);
uint32_t count_table_rate(const struct count_table *table, bool is_vetted);

#endif
