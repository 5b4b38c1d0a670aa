/* The manager's step in a world. It stands in the place of lb/manager's loop. What it hears and what it changes is held
 * against what the backends really are: a healthy one is never told of as failed nor taken out, and a sick one is. */
#include "tests/sim/manager.h"

#include "tests/sim/ring.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include "lb/gate/gate.h"
#include "lb/manager/outcomes.h"
#include "lb/relay/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS      1000u
#define SLOTS        1024u
#define BUFFERS      256u
#define EPOCH_S      1700000000u
#define SWEEP_PLACES 64u
/* Sessions that meet a backend that fails them all before it is out: those that convict it, and as many of clients that
 * do not come to a mail's good end elsewhere; beside those that are there at the same time. */
#define MET_MAX 16u

static atomic_ullong visitors[GATE_VISITORS];

uint32_t sim_now_s(void) {
    return EPOCH_S + (uint32_t)(sim_now_ms() / 1000);
}

unsigned sim_number_of(const struct backend *backend) {
    return (unsigned)address_port(&backend->address) - 1;
}

/* --- the roster's events --- */

static void on_published(void *context) {
    struct sim_manager *manager = context;
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        if (manager->shared.workers[i] != NULL)
            worker_wake(manager->shared.workers[i]);
}

static void on_added(void *context, struct backend *backend) {
    struct sim_manager *manager = context;
    if (health_add(manager->health, backend) < 0)
        abort();
}

static void on_removed(void *context, struct backend *backend) {
    struct sim_manager *manager = context;
    health_remove(manager->health, backend);
}

/* --- what sessions say --- */

static void check_outcome(const struct backend *backend, const struct outcome *outcome) {
    sim_trace("%s is told of, outcome %u at step %u", backend->name, outcome->kind, outcome->step);
    bool is_blame = outcome->kind == OUTCOME_CONVICTION || outcome->kind == OUTCOME_CONTENT_LOST;
    if (sim_backends[sim_number_of(backend)].is_healthy && is_blame)
        sim_broken("%s is healthy, and yet it is told of as failed, outcome %u at step %u", backend->name,
                   outcome->kind, outcome->step);
}

static void on_outcomes(void *receiver) {
    struct sim_manager *manager = receiver;
    struct outcome outcome;
    for (unsigned i = 0; i < manager->shared.workers_count; i++) {
        while (worker_take_outcome(manager->shared.workers[i], &outcome)) {
            struct backend *backend = roster_find_serial(manager->roster, outcome.backend_serial);
            if (backend == NULL)
                continue;
            check_outcome(backend, &outcome);
            outcomes_pass_on(manager->health, backend, &outcome);
        }
    }
}

static void serve_reputation(struct sim_manager *manager) {
    struct sighting sighting;
    for (unsigned i = 0; i < manager->shared.workers_count; i++)
        while (worker_take_sighting(manager->shared.workers[i], &sighting))
            if (manager->shared.reputation != NULL)
                reputation_take(&manager->reputation, &sighting, sim_now_s());
    if (manager->shared.reputation == NULL)
        return;
    reputation_sweep(&manager->reputation, SWEEP_PLACES, sim_now_s());
    lookups_tick(manager->lookups, sim_now_s());
}

static void on_tick(struct timer *timer) {
    struct sim_manager *manager = container_of(timer, struct sim_manager, tick);
    roster_tick(manager->roster, io_now_ms(manager->io));
    serve_reputation(manager);
    timer_set(io_timers(manager->io), timer, io_now_ms(manager->io) + TICK_MS / 4 + sim_below(TICK_MS));
}

/* --- files --- */

static void release_access(struct retired *retired) {
    access_free(container_of(retired, struct access, retired));
}

static void release_gate_tables(struct retired *retired) {
    gate_tables_free(container_of(retired, struct gate_tables, retired));
}

void sim_manager_reload(struct sim_manager *manager) {
    struct access *access = NULL, *old_access = manager->access;
    struct gate_tables *tables = NULL, *old_tables = manager->gate_tables;
    if (access_load(&manager->config->reputation, stderr, &access) < 0 ||
        gate_tables_load(&manager->config->gate, old_tables, stderr, &tables) < 0)
        exit(2);
    manager->access = access;
    manager->gate_tables = tables;
    if (manager->shared.reputation != NULL)
        reputation_set_access(&manager->reputation, access, sim_now_s());
    atomic_store(&manager->shared.access, access);
    atomic_store(&manager->shared.gate_tables, tables);
    if (old_access != NULL)
        snapshots_retire(manager->shared.views, &old_access->retired, release_access);
    if (old_tables != NULL)
        snapshots_retire(manager->shared.views, &old_tables->retired, release_gate_tables);
    on_published(manager);
}

/* --- life --- */

static void make_dns(struct sim_manager *manager) {
    char error[200];
    if (!sim_world.has_gate && !sim_world.has_strict)
        return;
    memset(visitors, 0, sizeof visitors);
    manager->shared.gate_visitors = visitors;
    if (resolver_create(manager->io, &manager->config->dns, &manager->resolver, error, sizeof error) < 0 ||
        questions_create(manager->io, manager->resolver, &manager->questions) < 0)
        exit(2);
    manager->shared.questions = manager->questions;
    if (!manager->config->reputation.enabled)
        return;
    if (reputation_init(&manager->reputation, manager->config, sim_now_s()) < 0 ||
        lookups_create(manager->resolver, &manager->reputation, &manager->lookups) < 0)
        exit(2);
    manager->shared.reputation = &manager->reputation;
}

void sim_manager_begin(struct sim_manager *manager, const struct config *config) {
    const struct io_options options = {.slots = SLOTS, .buffers = BUFFERS};
    const struct roster_events events = {manager, on_published, on_added, on_removed};
    char error[200];
    unsigned few = sim_buffers_max;
    sim_buffers_max = 0; /* its buffers are its own, and enough */
    manager->config = config;
    if (io_create(&options, &manager->io, error, sizeof error) < 0 ||
        roster_create(config, sim_world.workers, sim_now_ms(), &events, &manager->roster) < 0 ||
        mailbox_init(&manager->mailbox, manager->io, manager, on_outcomes) < 0)
        exit(2);
    sim_buffers_max = few;
    manager->io->is_managers = true;
    manager->shared.config = config;
    manager->shared.views = roster_snapshots(manager->roster);
    manager->shared.sessions_max = config->global.sessions_max;
    manager->shared.workers_count = sim_world.workers;
    manager->shared.manager = &manager->mailbox;
    make_dns(manager);
    sim_manager_reload(manager);
}

void sim_manager_start(struct sim_manager *manager) {
    io_start(manager->io);
    mailbox_start(&manager->mailbox);
    if (manager->questions != NULL)
        questions_start(manager->questions);
    if (health_create(manager->io, manager->config, manager->roster, &manager->health) < 0)
        exit(2);
    manager->tick.expire = on_tick;
    timer_set(io_timers(manager->io), &manager->tick, sim_now_ms() + TICK_MS);
}

static void check_health(const struct backend *backend) {
    struct sim_backend *truth = &sim_backends[sim_number_of(backend)];
    bool is_out = backend_has_failed(backend);
    truth->was_out |= is_out;
    if (truth->is_healthy && (is_out || backend->health == HEALTH_GOING_DOWN))
        sim_broken("%s is healthy, and yet it is %s: %s", backend->name, backend_health_name(backend->health),
                   backend->health_reason);
    if (sim_world.is_trial && !truth->was_out && truth->met > MET_MAX + sim_world.clients_at_once)
        sim_broken("%s is sick, and yet it was never out: %u sessions have met its fault", backend->name, truth->met);
}

void sim_manager_turn(struct sim_manager *manager) {
    io_wait(manager->io);
    io_dispatch(manager->io);
    for (unsigned i = 0; i < roster_count(manager->roster); i++)
        check_health(roster_at(manager->roster, i));
}

void sim_manager_finish(struct sim_manager *manager) {
    health_destroy(manager->health);
    lookups_destroy(manager->lookups);
    questions_destroy(manager->questions);
    resolver_destroy(manager->resolver);
    mailbox_finish(&manager->mailbox);
    io_destroy(manager->io);
    if (manager->shared.reputation != NULL)
        reputation_finish(&manager->reputation);
    roster_destroy(manager->roster);
    access_free(manager->access);
    gate_tables_free(manager->gate_tables);
}
