/* What one client may have at each listener, on each tier and together with its network, as the configuration says: a
 * table of counts for each limit that is set. Shared by all workers, without locks. */
#ifndef POSTERN_LIMITS_LIMITS_H
#define POSTERN_LIMITS_LIMITS_H

#include "conf/limits.h"
#include "lb/limits/count_table.h"

struct limits {
    const struct config *config;
    struct count_table listens[CONFIG_LISTENS_MAX]; /* by their places in config->listens */
    struct count_table tiers[CONFIG_TIERS_MAX];
    struct count_table networks;
};

/* `config` outlives it. Returns 0 or -ENOMEM. */
int limits_create(const struct config *config, struct limits **ret_limits);
/* Accepts NULL. */
void limits_destroy(struct limits *limits);

/* No limit is for this client. */
bool limits_except(const struct limits *limits, const struct address *client);

/* The tables that are on, one after the other: the next one at or behind *index, which is set behind it, and whose it
 * is, as "listen mx", "tier strict" or "networks"; NULL: none is left. */
#define LIMITS_NAME_MAX (CONFIG_NAME_MAX + 10u)
const struct count_table *limits_next(const struct limits *limits, unsigned *index, char ret_name[LIMITS_NAME_MAX]);

#endif
