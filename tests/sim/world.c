/* One world from its beginning to its end: clients and backends act, the operator, the manager and the workers take
 * turns in an order that is drawn, the clock moves when nobody has anything to do. When all clients have gone, all that
 * was theirs has to go, too. */
#include "tests/sim/run.h"

#include "conf/finish.h"
#include "lb/relay/worker_private.h"
#include "tests/sim/client.h"
#include "tests/sim/mails.h"
#include "tests/sim/manager.h"
#include "tests/sim/operator.h"
#include "tests/sim/ring.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "tests/sim/turns.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_TURNS 2u         /* in a row in which nobody did anything, before the clock moves */
#define TURNS_MAX  20000000ul /* of one world: nobody may turn for ever */
#define BEGINS_MS  1000000u
#define REST_MS    900000u /* after the last client: orphans, lingering, an idle backend's end, ejections */
#define WELL_MS    700000u /* the longest ejection, and the probes behind it */

struct world {
    struct config *config;
    struct sim_manager manager;
    struct worker *workers[SIM_LISTENERS_MAX];
    unsigned pool_capacity; /* of the one that was made scarce */
    bool has_ended[SIM_LISTENERS_MAX];
    uint64_t stop_ms, cut_ms;
};

/* --- beginning and end --- */

static struct pool *scarce_pool(struct worker *worker) {
    switch (sim_world.scarce) {
    case POOL_SESSIONS:
        return &worker->sessions;
    case POOL_ATTEMPTS:
        return &worker->attempts;
    case POOL_CHUNKS:
        return &worker->replay_chunks;
    case POOL_GATES:
        return &worker->gates;
    case POOL_QUESTIONS:
        return &worker->gate_questions;
    case POOL_NONE:
    case POOLS_COUNT:
        break;
    }
    return NULL;
}

static void make_scarce(struct world *world, struct worker *worker) {
    struct pool *pool = scarce_pool(worker);
    if (pool == NULL)
        return;
    world->pool_capacity = pool->capacity;
    pool->capacity = 1 + sim_world.scarce_count;
}

static void begin_worker(struct world *world, unsigned index) {
    struct listener_socket socket = {.fd = SIM_LISTENER + (int)index, .config = &world->config->listens[0]};
    char error[300];
    socket.address = world->config->listens[0].addresses.items[0];
    if (worker_create(&world->manager.shared, index, &socket, 1, &world->workers[index], error, sizeof error) < 0) {
        fprintf(stderr, "sim: %s\n", error);
        exit(2);
    }
    struct worker *worker = world->workers[index];
    world->manager.shared.workers[index] = worker;
    chance_init(&worker->chance, chance_bits(&sim_chance));
    make_scarce(world, worker);
    io_start(worker->io);
    worker_begin(worker);
}

static void begin(struct world *world, unsigned sessions) {
    sim_clock_ms = BEGINS_MS;
    site_draw();
    kernel_begin();
    agents_begin();
    wires_begin();
    mails_begin();
    servers_begin();
    clients_begin(sessions);
    sim_on_connect = servers_on_connect;
    world->config = site_configure();
    sim_manager_begin(&world->manager, world->config);
    for (unsigned i = 0; i < sim_world.workers; i++)
        begin_worker(world, i);
    sim_manager_start(&world->manager);
    operator_begin(&world->manager);
    world->stop_ms = sim_world.is_to_be_stopped ? sim_now_ms() + sim_below(60000) : UINT64_MAX;
    world->cut_ms = UINT64_MAX;
}

static void finish(struct world *world) {
    for (unsigned i = 0; i < sim_world.workers; i++) {
        struct pool *pool = scarce_pool(world->workers[i]);
        if (pool != NULL)
            pool->capacity = world->pool_capacity; /* as it was made, to be unmapped */
        snapshots_offline(world->manager.shared.views, i);
        world->workers[i]->listeners[0].fd = -1;
        worker_destroy(world->workers[i]);
    }
    sim_manager_finish(&world->manager);
    config_free(world->config);
}

/* --- a stop --- */

static void begin_stop(struct world *world) {
    sim_trace("SIGTERM");
    uint64_t timeout_ms = world->config->global.stop_timeout_ms;
    world->stop_ms = UINT64_MAX;
    world->cut_ms = sim_now_ms() + (sim_once_in(3) ? sim_below(3000) : timeout_ms);
    sim_world.cut_ms = world->cut_ms; /* or by the workers' own time, if that is sooner */
    if (sim_world.cut_ms > sim_now_ms() + timeout_ms)
        sim_world.cut_ms = sim_now_ms() + timeout_ms;
    sim_world.is_stopping = true;
    clients_stop_coming();
    operator_rest();
    if (world->manager.questions != NULL)
        questions_stop(world->manager.questions);
    for (unsigned i = 0; i < sim_world.workers; i++)
        worker_stop(world->workers[i], timeout_ms);
}

/* A second signal. */
static void begin_cut(struct world *world) {
    sim_trace("the rest is cut");
    sim_world.is_cutting = true;
    world->cut_ms = UINT64_MAX;
    for (unsigned i = 0; i < sim_world.workers; i++)
        worker_cut(world->workers[i]);
}

/* Whom no accept has taken hears what the closing listener says. */
static void refuse_waiting(unsigned index) {
    struct wire *wire;
    while ((wire = sim_backlog_take(index)) != NULL) {
        client_on_refused(wire->them);
        wire_we_close(wire);
    }
}

static void look_at_stop(struct world *world) {
    if (sim_now_ms() >= world->stop_ms)
        begin_stop(world);
    if (sim_now_ms() >= world->cut_ms)
        begin_cut(world);
    for (unsigned i = 0; i < sim_world.workers && sim_world.is_stopping; i++) {
        if (world->has_ended[i] || !shut_down_is_over(world->workers[i]))
            continue;
        sim_trace("worker %u has ended", i);
        world->has_ended[i] = true;
        refuse_waiting(i);
        sim_kill(world->workers[i]->io);
        snapshots_offline(world->manager.shared.views, i);
    }
}

/* --- turns --- */

static void turn_workers(struct world *world) {
    unsigned first = sim_below(sim_world.workers);
    for (unsigned i = 0; i < sim_world.workers; i++) {
        unsigned index = (first + i) % sim_world.workers;
        if (!world->has_ended[index] && (sim_world.workers == 1 || !sim_once_in(4)))
            turns_turn(world->workers[index]);
    }
}

static bool is_busy(const struct world *world) {
    bool is = sim_is_busy(world->manager.io);
    for (unsigned i = 0; i < sim_world.workers; i++)
        is |= !world->has_ended[i] && sim_is_busy(world->workers[i]->io);
    return is;
}

static void take_earlier(uint64_t *next, uint64_t ms) {
    if (ms < *next)
        *next = ms;
}

/* To the next moment at which anybody has something to do. False: nobody but the manager ever will. */
static bool move_clock(struct world *world) {
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < sim_world.workers; i++)
        if (!world->has_ended[i])
            take_earlier(&next, timers_next_ms(io_timers(world->workers[i]->io)));
    take_earlier(&next, agents_next_ms());
    take_earlier(&next, clients_next_ms());
    take_earlier(&next, operator_next_ms());
    take_earlier(&next, world->stop_ms);
    take_earlier(&next, world->cut_ms);
    bool is_awaited = next != UINT64_MAX;
    take_earlier(&next, timers_next_ms(io_timers(world->manager.io)));
    sim_clock_ms = next > sim_now_ms() ? next : sim_now_ms() + 1;
    return is_awaited;
}

static bool is_at_rest(const struct world *world) {
    for (unsigned i = 0; i < sim_world.workers; i++)
        if (!world->has_ended[i] && (world->workers[i]->sessions.in_use > 0 || world->workers[i]->attempts.in_use > 0))
            return false;
    return servers_open() == 0 && wires_open() == 0;
}

/* One turn of all. True while there is something to do. */
static bool turn(struct world *world) {
    bool has_arrived = clients_arrive();
    bool has_acted = agents_act();
    operator_act();
    look_at_stop(world);
    turn_workers(world);
    sim_manager_turn(&world->manager);
    return has_arrived || has_acted || is_busy(world);
}

static void pass_time(struct world *world, unsigned *idle, bool has_acted) {
    *idle = has_acted ? 0 : *idle + 1;
    if (*idle >= IDLE_TURNS) {
        *idle = 0;
        if (!move_clock(world) && clients_open() > 0)
            sim_broken("nobody has anything to wait for, and %u clients are there", clients_open());
    } else if (sim_once_in(8)) {
        sim_clock_ms++;
    }
    agents_wake();
}

static void live(struct world *world) {
    unsigned idle = 0;
    for (unsigned long turns = 0; !sim_has_failed() && !clients_are_over(); turns++) {
        pass_time(world, &idle, turn(world));
        if (turns > TURNS_MAX)
            sim_broken("it does not end");
    }
    operator_rest();
    uint64_t limit_ms = sim_now_ms() + REST_MS;
    while (!sim_has_failed() && sim_now_ms() < limit_ms && !is_at_rest(world))
        pass_time(world, &idle, turn(world));
}

/* --- what must hold in the end --- */

static void check_worker(const struct world *world, unsigned index) {
    struct worker *worker = world->workers[index];
    struct io_stats stats;
    struct worker_counters counters;
    io_read_stats(worker->io, &stats);
    worker_read_counters(worker, &counters);
    if (counters.refused_total > counters.sessions_total)
        sim_broken("%lu sessions refused of %lu", (unsigned long)counters.refused_total,
                   (unsigned long)counters.sessions_total);
    if (world->has_ended[index])
        return; /* a stop may leave things behind */
    if (worker->sessions.in_use + worker->attempts.in_use + worker->replay_chunks.in_use > 0)
        sim_broken("left: %u sessions, %u attempts, %u chunks", worker->sessions.in_use, worker->attempts.in_use,
                   worker->replay_chunks.in_use);
    if (worker->gates.in_use + worker->blames.in_use + worker->locals.in_use > 0)
        sim_broken("left: %u gates, %u blames, %u addresses", worker->gates.in_use, worker->blames.in_use,
                   worker->locals.in_use);
    if (stats.buffers_in_use > 0)
        sim_broken("left: %u buffers", stats.buffers_in_use);
    if (sim_in_flight(worker->io) > 0)
        sim_broken("left: %u operations in flight", sim_in_flight(worker->io));
    if (counters.sessions > 0 || worker->queue.waiting > 0)
        sim_broken("left: %lu sessions counted, %u queued", (unsigned long)counters.sessions, worker->queue.waiting);
}

static void check_backend(const struct backend *backend) {
    const struct sim_backend *truth = &sim_backends[sim_number_of(backend)];
    if (atomic_load(&backend->in_use) > 0 || backend_sessions(backend) > 0)
        sim_broken("left: %u slots of %s, %llu sessions", atomic_load(&backend->in_use), backend->name,
                   (unsigned long long)backend_sessions(backend));
    /* In great want of buffers a reply may be heard too late by postern's own doing. */
    if (truth->is_healthy && backend_failures_total(backend) > 0 && sim_buffers_max == 0 && !sim_world.is_slow)
        sim_broken("%s is healthy, and yet %llu failures are counted", backend->name,
                   (unsigned long long)backend_failures_total(backend));
    bool is_long_well =
        truth->well_ms < sim_now_ms() - WELL_MS && sim_world.probes != PROBES_NONE && !sim_world.has_operator;
    if (is_long_well && !backend_is_usable(backend))
        sim_broken("%s is well again for long, and yet it is %s: %s", backend->name,
                   backend_health_name(backend->health), backend->health_reason);
}

static void check_rest(const struct world *world) {
    for (unsigned i = 0; i < sim_world.workers; i++)
        check_worker(world, i);
    if (!sim_world.is_stopping && atomic_load(&world->manager.shared.sessions) > 0)
        sim_broken("left: %u sessions counted", atomic_load(&world->manager.shared.sessions));
    if (servers_open() > 0 || wires_open() > 0)
        sim_broken("left: %u connections of backends, %u in all", servers_open(), wires_open());
    for (unsigned i = 0; i < roster_count(world->manager.roster) && !sim_world.is_stopping; i++)
        check_backend(roster_at(world->manager.roster, i));
}

static void describe(void) {
    const struct sim_world *world = &sim_world;
    sim_trace("world: %u workers, %u clients at once, gap %u ms, chunks %d, tls %d, strict %d, gate %d, peers %d, "
              "operator %d, stop %d, proxy %u, probes %u, limit %u, queue %u, scarce %u: %u, buffers %u",
              world->workers, world->clients_at_once, world->gap_ms, world->has_chunks, world->has_tls,
              world->has_strict, world->has_gate, world->has_peers, world->has_operator, world->is_to_be_stopped,
              world->proxy, world->probes, world->sessions_max, world->queue_max, world->scarce, world->scarce_count,
              sim_buffers_max);
    for (unsigned i = 0; i < sim_backends_count; i++)
        sim_trace("vm%u: fault %u at stage %u, once in %u%s", i, sim_backends[i].fault, sim_backends[i].stage,
                  sim_backends[i].once_in, sim_backends[i].is_strict ? ", strict" : "");
}

bool world_run(uint64_t seed, unsigned sessions) {
    static struct world world;
    memset(&world, 0, sizeof world);
    chance_init(&sim_chance, seed);
    sim_trace_begin();
    begin(&world, sessions);
    describe();
    live(&world);
    for (unsigned i = 0; i < mails_count() && !sim_has_failed(); i++)
        mail_check(i);
    if (!sim_has_failed())
        check_rest(&world);
    finish(&world);
    return !sim_has_failed();
}
