/* One backend: its memory, its slots, and the sums of what workers have counted of it. The manager creates and destroys
 * it (roster.c); workers take slots, give them back and count. Fatal here, by an assert, is a slot that is given back
 * twice. */
#include "backends/backend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_sources(struct backend *backend, const struct address_list *source) {
    if (source->count == 0)
        return 0;
    backend->source.items = malloc(source->count * sizeof *source->items);
    if (backend->source.items == NULL)
        return -1;
    memcpy(backend->source.items, source->items, source->count * sizeof *source->items);
    backend->source.count = source->count;
    return 0;
}

/* The manager's alone. */
static uint32_t last_serial;

struct backend *backend_create(const struct config_backend *config, uint8_t id, unsigned shares_count) {
    size_t bytes = sizeof(struct backend) + shares_count * sizeof(struct backend_share);
    size_t alignment = _Alignof(struct backend);
    struct backend *backend = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (backend == NULL)
        return NULL;
    memset(backend, 0, bytes);
    snprintf(backend->name, sizeof backend->name, "%s", config->name);
    backend->id = id;
    backend->tier = (unsigned)config->tier;
    backend->address = config->address;
    if (config->host_is_name)
        snprintf(backend->host_name, sizeof backend->host_name, "%s", config->host);
    backend->host_port = config->port;
    backend->proxy = config->proxy;
    backend->sessions_max = config->sessions_max;
    backend->weight = config->weight;
    backend->admin = config->state;
    backend->shares_count = shares_count;
    backend->serial = ++last_serial;
    if (copy_sources(backend, &config->source) < 0) {
        free(backend);
        return NULL;
    }
    return backend;
}

void backend_destroy(struct backend *backend) {
    if (backend == NULL)
        return;
    free(backend->source.items);
    free(backend);
}

bool backend_take_slot(struct backend *backend, uint32_t sessions_max) {
    unsigned in_use = atomic_load_explicit(&backend->in_use, memory_order_relaxed);
    do {
        if (sessions_max != 0 && in_use >= sessions_max)
            return false;
    } while (!atomic_compare_exchange_weak(&backend->in_use, &in_use, in_use + 1));
    return true;
}

bool backend_release_slot(struct backend *backend, uint32_t sessions_max) {
    unsigned before = atomic_fetch_sub(&backend->in_use, 1);
    assert(before > 0);
    return sessions_max != 0 && before >= sessions_max;
}

#define SUM_OF_SHARES(field)                                                                                           \
    uint64_t sum = 0;                                                                                                  \
    for (unsigned i = 0; i < backend->shares_count; i++)                                                               \
        sum += atomic_load_explicit(&backend->shares[i].field, memory_order_relaxed);                                  \
    return sum

uint64_t backend_sessions(const struct backend *backend) {
    SUM_OF_SHARES(sessions);
}

uint64_t backend_sessions_total(const struct backend *backend) {
    SUM_OF_SHARES(sessions_total);
}

uint64_t backend_failures_total(const struct backend *backend) {
    SUM_OF_SHARES(failures_total);
}

uint64_t backend_bytes_in(const struct backend *backend) {
    SUM_OF_SHARES(bytes_in);
}

uint64_t backend_bytes_out(const struct backend *backend) {
    SUM_OF_SHARES(bytes_out);
}

uint64_t backend_mails(const struct backend *backend) {
    SUM_OF_SHARES(mails);
}

uint64_t backend_passed_ms(const struct backend *backend, enum backend_step step) {
    uint64_t last_ms = 0;
    for (unsigned i = 0; i < backend->shares_count; i++) {
        for (unsigned j = step; j < STEPS_COUNT; j++) {
            uint64_t passed_ms = atomic_load_explicit(&backend->shares[i].passed_ms[j], memory_order_relaxed);
            last_ms = passed_ms > last_ms ? passed_ms : last_ms;
        }
    }
    return last_ms;
}

bool backend_has_failed(const struct backend *backend) {
    return backend->health == HEALTH_DOWN || backend->health == HEALTH_EJECTED;
}

bool backend_is_usable(const struct backend *backend) {
    bool is_up = backend->health == HEALTH_UP || backend->health == HEALTH_GOING_DOWN;
    return backend->admin == BACKEND_READY && is_up && backend->address.sa.sa_family != 0;
}

const char *backend_health_name(enum backend_health health) {
    static const char *const names[] = {"starting", "up", "going-down", "down", "going-up", "ejected"};
    return names[health];
}

const char *backend_step_name(enum backend_step step) {
    static const char *const names[] = {"the greeting", "EHLO", "MAIL", "RCPT", "DATA", "content"};
    return names[step];
}
