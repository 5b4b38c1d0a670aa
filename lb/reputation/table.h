/* Who behaved: a bounded table of clients by address (IPv4 /32, IPv6 /64). The manager alone writes it; workers look up
 * one octet, the verdict, without locks. Sized at start, touched as it fills.
 *
 * Clients stand in buckets of eight. A full bucket makes room by dropping whom least is known of; a vetted client never
 * goes for another, so that a flood of new addresses pushes out nobody but itself. */
#ifndef POSTERN_REPUTATION_TABLE_H
#define POSTERN_REPUTATION_TABLE_H

#include "conf/address.h"
#include "lb/reputation/score.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Never 0. */
uint64_t reputation_key(const struct address *client);
/* The address that a key is of (the /64's first); port 0. */
struct address reputation_key_address(uint64_t key);

struct reputation_table {
    unsigned buckets; /* a power of two */
    _Atomic uint64_t *keys;
    _Atomic uint8_t *verdicts; /* 1: vetted */
    struct evidence *evidence;
    unsigned count;
    uint64_t dropped; /* clients that made room for others */
    uint64_t refused; /* clients for whom there was no room */
};

/* Room for `entries_max` clients, rounded up to whole buckets. Returns 0 or -ENOMEM. */
int reputation_table_init(struct reputation_table *table, unsigned entries_max);
/* Accepts a zeroed one. */
void reputation_table_finish(struct reputation_table *table);

/* From any thread. */
bool reputation_table_is_vetted(const struct reputation_table *table, uint64_t key);

/* The manager's. The client's evidence, or NULL. */
struct evidence *reputation_table_find(const struct reputation_table *table, uint64_t key);
/* The same, with a place made for it when there is none; NULL: no room. `today` for what is stale. */
struct evidence *reputation_table_obtain(struct reputation_table *table, uint64_t key, uint16_t today);
void reputation_table_set_verdict(struct reputation_table *table, const struct evidence *evidence, bool is_vetted);
/* For walks: `index` < 8 × buckets. NULL: nobody there. */
struct evidence *reputation_table_at(const struct reputation_table *table, unsigned index, uint64_t *ret_key);

#endif
