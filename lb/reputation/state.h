/* All that is remembered of clients, in one structure of the manager's thread; written by reputation.c and, where a
 * verdict is decided, by vetting.c. */
#ifndef POSTERN_REPUTATION_STATE_H
#define POSTERN_REPUTATION_STATE_H

#include "lb/reputation/access.h"
#include "lb/reputation/dnslist.h"
#include "lb/reputation/parents.h"
#include "lb/reputation/table.h"

#include <stdbool.h>
#include <stdint.h>

struct reputation {
    const struct config_reputation *config;
    struct reputation_table table;
    struct parents parents;
    struct dnslist lists[CONFIG_DNSLISTS_MAX];
    unsigned lists_count;
    const struct access *access; /* the manager's; NULL: none */
    uint32_t access_s;           /* names confirmed up to then may not have been compared with its domains */
    unsigned sweep_at;
    bool was_full_said, was_refused_said;
    /* A client's DNS results are wanted; may be NULL. */
    void (*wants_lookup)(void *context, uint64_t key, uint64_t host);
    void *wants_lookup_context;
};

#define REPUTATION_DAY_S 86400

/* The day, as evidence counts it. */
static inline uint16_t reputation_day(uint32_t now_s) {
    return (uint16_t)(now_s / REPUTATION_DAY_S);
}

#endif
