/* sim: worlds of clients and backends around postern's own worker, one for each seed. In turns the clients, the
 * backends and the worker do something; the clock moves when nobody has anything to do. Each world ends with all
 * clients gone, and then with nothing left of them.
 *
 *   sim [--from SEED] [--seeds N] [--sessions N] [--verbose]
 *
 * Prints a line for each seed that has failed, with the end of its trace; exit 1 when there is one. */
#include "backends/roster.h"
#include "lb/engine/log.h"
#include "lb/relay/worker_private.h"
#include "lb/reputation/access.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_TURNS 12u        /* in a row in which nobody did anything, before the clock moves */
#define TURNS_MAX  20000000ul /* of one world: nobody may turn for ever */
#define BEGINS_MS  1000000u
#define REST_MS    700000u /* after the last client: orphans, lingering, an idle backend's end */

static const char configuration[] = "[global]\nhostname = mx.sim.test\nuser =\nstate-dir =\nworkers = 1\n"
                                    "max-sessions = 100\n"
                                    "[listen mx]\naddress = 127.0.0.1:2525\n"
                                    "[reputation]\nenabled = no\n"
                                    "[tier primary]\ncheck = none\nbalance = %s\n%s";

struct world {
    struct config *config;
    struct roster *roster;
    struct access *access;
    struct workers_shared shared;
    struct worker *worker;
};

static void on_published(void *context) {
    (void)context;
}

static void on_backend(void *context, struct backend *backend) {
    (void)context;
    (void)backend;
}

/* --- what is drawn of the world itself --- */

static void draw_backends(void) {
    static const struct sim_backend healthy = {.is_healthy = true};
    sim_backends_count = 2 + sim_below(2);
    for (unsigned i = 0; i < sim_backends_count; i++)
        sim_backends[i] = healthy;
    /* The first one stays whole, so that there is always somebody to go to. */
    for (unsigned i = 1; i < sim_backends_count; i++)
        if (!sim_once_in(4))
            sim_backends[i] = (struct sim_backend){.fault = (enum fault)sim_below(FAULTS_COUNT),
                                                   .stage = (enum stage)sim_below(STAGES_COUNT),
                                                   .once_in = 1 + sim_below(3)};
    /* Few buffers: receives wait for one, and what needs one at once fails with an answer. */
    sim_buffers_max = sim_once_in(8) ? 6 + sim_below(60) : 0;
    sim_short_once_in = sim_once_in(8) ? 300 + sim_below(3000) : 0;
    sim_has_chunks = sim_once_in(2);
    sim_is_polite_served = sim_buffers_max == 0 && sim_short_once_in == 0;
    /* Longer than a client that goes on hesitates, shorter than an idle one is idle: no command crosses the end. */
    unsigned patience_ms = sim_once_in(2) ? 190000 + sim_below(5000) : 0;
    unsigned silent = 0, faulty = 0;
    for (unsigned i = 0; i < sim_backends_count; i++) {
        /* With QUIT in the same breath as the dot, the dot's reply is lost, too. */
        enum stage stage = sim_backends[i].stage;
        sim_backends[i].patience_ms = patience_ms;
        bool is_late = (stage == STAGE_DATA && sim_has_chunks) || stage == STAGE_CONTENT || stage == STAGE_DOT ||
                       stage == STAGE_QUIT;
        if (sim_backends[i].fault >= FAULT_CLOSES && is_late)
            sim_is_polite_served = false;
        faulty += sim_backends[i].fault != FAULT_NONE;
        silent += sim_backends[i].fault == FAULT_IS_SILENT;
    }
    /* One that is silent in a replay takes all the time that a search has; with another one there is none left. */
    if (silent > 0 && faulty > 1)
        sim_is_polite_served = false;
}

static void begin(struct world *world) {
    static const char *const balances[] = {"roundrobin", "leastconn", "random2"};
    static const struct roster_events events = {
        .on_published = on_published, .on_added = on_backend, .on_removed = on_backend};
    char text[2000], backends[1000] = "", error[300];
    for (unsigned i = 0; i < sim_backends_count; i++)
        snprintf(backends + strlen(backends), sizeof backends - strlen(backends),
                 "[backend vm%u]\ntier = primary\naddress = 192.0.2.1:%u\n", i, i + 1);
    snprintf(text, sizeof text, configuration, balances[sim_below(3)], backends);
    struct listener_socket socket = {.fd = SIM_LISTENER};
    if (config_parse("sim.ini", text, strlen(text), stderr, &world->config) < 0 ||
        roster_create(world->config, 1, sim_now_ms(), &events, &world->roster) < 0)
        exit(2);
    if (access_load(&world->config->reputation, stderr, &world->access) < 0)
        exit(2);
    world->shared = (struct workers_shared){.config = world->config,
                                            .views = roster_snapshots(world->roster),
                                            .sessions_max = world->config->global.sessions_max,
                                            .workers_count = 1};
    socket.config = &world->config->listens[0];
    socket.address = world->config->listens[0].addresses.items[0];
    if (worker_create(&world->shared, 0, &socket, 1, &world->worker, error, sizeof error) < 0) {
        fprintf(stderr, "sim: %s\n", error);
        exit(2);
    }
    atomic_store(&world->shared.access, world->access);
    world->shared.workers[0] = world->worker;
    chance_init(&world->worker->chance, chance_bits(&sim_chance));
    io_start(world->worker->io);
    worker_begin(world->worker);
}

static void finish(struct world *world) {
    snapshots_offline(world->shared.views, 0);
    worker_destroy(world->worker);
    roster_destroy(world->roster);
    access_free(world->access);
    config_free(world->config);
}

/* --- turns --- */

static void check_outcomes(struct world *world) {
    struct outcome outcome;
    while (worker_take_outcome(world->worker, &outcome)) {
        struct backend *backend = roster_find_serial(world->roster, outcome.backend_serial);
        unsigned number = (unsigned)strtoul(backend->name + 2, NULL, 10);
        if (sim_backends[number].is_healthy && outcome.kind != OUTCOME_DOUBT)
            sim_broken("%s is healthy, and yet it is told of as failed, outcome %u at step %u", backend->name,
                       outcome.kind, outcome.step);
    }
}

/* To the next moment at which anybody has something to do, or `limit_ms`. False when that has been reached. */
static bool move_clock(struct world *world, uint64_t limit_ms) {
    uint64_t next = timers_next_ms(io_timers(world->worker->io));
    if (servers_next_ms() < next)
        next = servers_next_ms();
    if (clients_next_ms() < next)
        next = clients_next_ms();
    if (next <= sim_now_ms())
        next = sim_now_ms() + 1;
    sim_set_now_ms(next < limit_ms ? next : limit_ms);
    return next < limit_ms;
}

static void live(struct world *world, unsigned sessions) {
    unsigned idle = 0;
    uint64_t limit_ms = UINT64_MAX;
    for (unsigned long turn = 0; !sim_has_failed(); turn++) {
        bool has_acted = clients_act() | servers_act();
        worker_turn(world->worker);
        check_outcomes(world);
        idle = has_acted || sim_completions() > 0 || sim_is_hurried(world->worker->io) ? 0 : idle + 1;
        bool is_over = clients_begun() == sessions && clients_open() == 0;
        if (is_over && limit_ms == UINT64_MAX)
            limit_ms = sim_now_ms() + REST_MS;
        if (idle >= IDLE_TURNS) {
            idle = 0;
            if (!is_over && limit_ms == UINT64_MAX && timers_next_ms(io_timers(world->worker->io)) == UINT64_MAX &&
                servers_next_ms() == UINT64_MAX && clients_next_ms() == UINT64_MAX && clients_begun() == sessions)
                sim_broken("nobody has anything to wait for, and %u clients are there", clients_open());
            if (!move_clock(world, limit_ms == UINT64_MAX ? sim_now_ms() + 60000 : limit_ms) && is_over)
                return;
        } else if (sim_once_in(8)) {
            sim_set_now_ms(sim_now_ms() + 1);
        }
        if (turn > TURNS_MAX)
            sim_broken("it does not end");
    }
}

static void check_rest(struct world *world) {
    struct worker *worker = world->worker;
    struct io_stats stats;
    struct worker_counters counters;
    io_read_stats(worker->io, &stats);
    worker_read_counters(worker, &counters);
    if (counters.refused_total > counters.sessions_total)
        sim_broken("%lu sessions refused of %lu", (unsigned long)counters.refused_total,
                   (unsigned long)counters.sessions_total);
    if (worker->sessions.in_use + worker->attempts.in_use + worker->replay_chunks.in_use > 0)
        sim_broken("left: %u sessions, %u attempts, %u chunks", worker->sessions.in_use, worker->attempts.in_use,
                   worker->replay_chunks.in_use);
    if (stats.buffers_in_use > 0)
        sim_broken("left: %u buffers", stats.buffers_in_use);
    if (sim_in_flight(worker->io) > 0)
        sim_broken("left: %u operations in flight", sim_in_flight(worker->io));
    if (servers_open() > 0 || wires_open() > 0)
        sim_broken("left: %u connections of backends, %u in all", servers_open(), wires_open());
    if (atomic_load(&world->shared.sessions) > 0 || worker->queued > 0)
        sim_broken("left: %u sessions counted, %u queued", atomic_load(&world->shared.sessions), worker->queued);
    for (unsigned i = 0; i < roster_count(world->roster); i++) {
        struct backend *backend = roster_at(world->roster, i);
        if (atomic_load(&backend->in_use) > 0 || backend_sessions(backend) > 0)
            sim_broken("left: %u slots of %s, %llu sessions", atomic_load(&backend->in_use), backend->name,
                       (unsigned long long)backend_sessions(backend));
    }
}

static bool run_seed(uint64_t seed, unsigned sessions) {
    struct world world = {0};
    chance_init(&sim_chance, seed);
    sim_set_now_ms(BEGINS_MS);
    sim_trace_begin();
    sim_on_connect = servers_on_connect;
    draw_backends();
    wires_begin();
    mails_begin();
    servers_begin();
    clients_begin(sessions);
    begin(&world);
    for (unsigned i = 0; i < sim_backends_count; i++)
        sim_trace("vm%u: fault %u at stage %u, once in %u", i, sim_backends[i].fault, sim_backends[i].stage,
                  sim_backends[i].once_in);
    live(&world, sessions);
    mails_check();
    if (!sim_has_failed())
        check_rest(&world);
    finish(&world);
    if (sim_has_failed()) {
        printf("seed %llu has failed\n\n", (unsigned long long)seed);
        fflush(stdout);
    }
    return !sim_has_failed();
}

static uint64_t running_seed;

/* An assertion of postern's own: the trace is what tells how it came to it. */
static void on_abort(int signal) {
    (void)signal;
    sim_broken("aborted");
    printf("seed %llu has failed\n", (unsigned long long)running_seed);
    fflush(stdout);
    _exit(1);
}

static int usage(void) {
    fputs("usage: sim [--from SEED] [--seeds N] [--sessions N] [--verbose]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"from", required_argument, NULL, 'f'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"sessions", required_argument, NULL, 's'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    uint64_t from = 1, seeds = 100, failed = 0;
    unsigned sessions = 200;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'f')
            from = strtoull(optarg, NULL, 10);
        else if (option == 'n')
            seeds = strtoull(optarg, NULL, 10);
        else if (option == 's')
            sessions = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'v')
            sim_is_verbose = true;
        else
            return usage();
    }
    if (optind != argc || sessions == 0)
        return usage();
    signal(SIGABRT, on_abort);
    for (running_seed = from; running_seed < from + seeds && failed < 3; running_seed++)
        failed += !run_seed(running_seed, sessions);
    printf("%llu seeds of %u sessions, %llu failed\n", (unsigned long long)seeds, sessions, (unsigned long long)failed);
    return failed > 0;
}
