/* The tables of all limits, made at the start and given back at the end. */
#include "lb/limits/limits.h"

#include "lb/base/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static int init_tables(struct limits *limits, uint64_t secret) {
    const struct config *config = limits->config;
    uint32_t factor = config->limits.vetted_factor;
    int result = count_table_init(&limits->networks, config->limits.per_network_max, &config->limits.network_rate,
                                  factor, secret);
    for (size_t i = 0; result == 0 && i < config->listens_count; i++)
        result = count_table_init(&limits->listens[i], config->listens[i].per_client_max,
                                  &config->listens[i].connect_rate, factor, secret);
    for (size_t i = 0; result == 0 && i < config->tiers_count; i++)
        result = count_table_init(&limits->tiers[i], config->tiers[i].per_client_max, &config->tiers[i].connect_rate,
                                  factor, secret);
    return result;
}

int limits_create(const struct config *config, struct limits **ret_limits) {
    struct limits *limits = calloc(1, sizeof *limits);
    uint64_t secret = 0;
    if (limits == NULL)
        return -ENOMEM;
    /* Of 8 octets it fails only on a machine that has just begun and has none; then clients could choose who shares
     * their bucket, where those let in uncounted are the worst that comes of it. */
    if (getrandom(&secret, sizeof secret, GRND_NONBLOCK) != sizeof secret)
        secret = (uint64_t)(uintptr_t)limits;
    limits->config = config;
    int result = init_tables(limits, secret);
    if (result < 0) {
        limits_destroy(limits);
        return result;
    }
    *ret_limits = limits;
    return 0;
}

void limits_destroy(struct limits *limits) {
    if (limits == NULL)
        return;
    count_table_finish(&limits->networks);
    for (unsigned i = 0; i < CONFIG_LISTENS_MAX; i++)
        count_table_finish(&limits->listens[i]);
    for (unsigned i = 0; i < CONFIG_TIERS_MAX; i++)
        count_table_finish(&limits->tiers[i]);
    free(limits);
}

bool limits_except(const struct limits *limits, const struct address *client) {
    return cidr_list_contains(&limits->config->limits.except, client);
}

static const struct count_table *table_at(const struct limits *limits, unsigned index, char name[LIMITS_NAME_MAX]) {
    const struct config *config = limits->config;
    unsigned tier = index - CONFIG_LISTENS_MAX;
    if (index < config->listens_count) {
        snprintf(name, LIMITS_NAME_MAX, "listen %s", config->listens[index].name);
        return &limits->listens[index];
    }
    if (index >= CONFIG_LISTENS_MAX && tier < config->tiers_count) {
        snprintf(name, LIMITS_NAME_MAX, "tier %s", config->tiers[tier].name);
        return &limits->tiers[tier];
    }
    snprintf(name, LIMITS_NAME_MAX, "networks");
    return index == CONFIG_LISTENS_MAX + CONFIG_TIERS_MAX ? &limits->networks : NULL;
}

const struct count_table *limits_next(const struct limits *limits, unsigned *index, char ret_name[LIMITS_NAME_MAX]) {
    while (*index <= CONFIG_LISTENS_MAX + CONFIG_TIERS_MAX) {
        const struct count_table *table = table_at(limits, (*index)++, ret_name);
        if (table != NULL && count_table_is_on(table))
            return table;
    }
    return NULL;
}
