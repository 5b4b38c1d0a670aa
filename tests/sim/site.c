/* The site that a seed draws: backends and their faults, tiers, limits, timeouts, and the configuration that says so.
 */
#include "conf/reader.h"
#include "tests/sim/client.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include "tests/sim/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACES_MANY 200u

struct sim_world sim_world;

static char folder[] = "/tmp/postern-sim.XXXXXX";
static const char *const files[][2] = {
    {"allowed", "10.1.0.0/16\n"},
    {"denied", "10.2.0.0/16\n"},
    {"domains", "example.test\n"},
    {"recipients", "@example.test\n"},
};

void site_make_files(void) {
    if (mkdtemp(folder) == NULL)
        exit(2);
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/%s", folder, files[i][0]);
        FILE *file = fopen(path, "w");
        if (file == NULL || fputs(files[i][1], file) < 0 || fclose(file) != 0)
            exit(2);
    }
}

void site_remove_files(void) {
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/%s", folder, files[i][0]);
        unlink(path);
    }
    rmdir(folder);
}

/* --- backends --- */

static void draw_fault(struct sim_backend *backend) {
    backend->is_healthy = false;
    backend->fault = (enum fault)(1 + sim_below(FAULTS_COUNT - 1));
    backend->stage = (enum stage)sim_below(STAGES_COUNT);
    backend->once_in = 1 + sim_below(3);
    if (sim_once_in(4)) /* until then it is sick, and well from then on */
        backend->well_ms = sim_now_ms() + sim_below(300000);
}

/* With QUIT or another command in the same breath as the dot, the dot's reply is lost, too. Behind the beginning of a
 * reply that was too long to be held nothing can be said. */
static bool costs_mails(const struct sim_backend *backend) {
    /* An end behind a 550 is a last word; and who leaves in a moment may have said one meanwhile. */
    bool is_refusal = backend->fault == FAULT_LEAVES;
    bool is_mid_reply = backend->fault == FAULT_BREAKS_OFF && sim_world.talks_long;
    bool is_late = is_refusal || is_mid_reply ||
                   (backend->stage == STAGE_DATA && (sim_world.has_chunks || backend->fault == FAULT_LEAVES)) ||
                   backend->stage == STAGE_CONTENT || backend->stage == STAGE_DOT || backend->stage == STAGE_QUIT;
    return backend->fault >= FAULT_CLOSES && is_late;
}

/* All of the first tier together: unvetted clients hear 421. */
static void draw_outage(unsigned count) {
    static const enum fault faults[] = {FAULT_REFUSES, FAULT_UNREACHABLE, FAULT_HANGS, FAULT_GREETS_421};
    uint64_t sick_ms = sim_now_ms() + (sim_once_in(2) ? 0 : sim_below(60000));
    uint64_t well_ms = sim_once_in(2) ? sick_ms + sim_below(400000) : UINT64_MAX;
    enum fault fault = faults[sim_below(4)];
    for (unsigned i = 0; i < count; i++) {
        struct sim_backend *backend = &sim_backends[i];
        backend->is_healthy = false;
        backend->fault = fault;
        backend->once_in = 1;
        backend->sick_ms = sick_ms;
        backend->well_ms = well_ms;
    }
    sim_world.is_polite_served = false;
}

static void draw_trial(unsigned count) {
    static const enum fault faults[] = {FAULT_CLOSES, FAULT_RESETS, FAULT_SAYS_421};
    for (unsigned i = 0; i < count; i++)
        sim_backends[i] = (struct sim_backend){.is_healthy = true, .well_ms = UINT64_MAX};
    sim_backends[1] = (struct sim_backend){
        .fault = faults[sim_below(3)], .stage = STAGE_MAIL + sim_below(2), .once_in = 1, .well_ms = UINT64_MAX};
    sim_world.has_silence = false;
    sim_world.is_polite_served = true;
}

static bool is_silent(const struct sim_backend *backend) {
    return backend->fault == FAULT_IS_SILENT || backend->fault == FAULT_STICKS || backend->fault == FAULT_HANGS ||
           backend->fault == FAULT_UNREACHABLE;
}

/* Some backends offer less than others: a session can't be carried over to those. */
static void draw_offers(unsigned count) {
    if (sim_world.is_trial || !sim_once_in(6))
        return;
    sim_backends[sim_below(count)].lacks_8bitmime = true;
    sim_world.is_polite_served = false;
}

/* The first one of the first tier stays whole, so that there is always somebody to go to. */
static void draw_backends(void) {
    unsigned first = 2 + sim_below(2);
    /* Longer than a client that goes on hesitates, shorter than an idle one is idle: no command crosses the end. */
    unsigned patience_ms = sim_once_in(2) ? 190000 + sim_below(5000) : 0;
    unsigned silent = 0, faulty = 0;
    sim_backends_count = first + (sim_world.has_strict ? 1 : 0);
    for (unsigned i = 0; i < SIM_BACKENDS_MAX; i++) {
        sim_backends[i] = (struct sim_backend){.is_healthy = true, .patience_ms = patience_ms, .well_ms = UINT64_MAX};
        sim_backends[i].is_strict = i >= first && i < sim_backends_count;
        if (i >= 1 && !sim_once_in(4))
            draw_fault(&sim_backends[i]);
        if (i >= sim_backends_count)
            continue;
        sim_world.is_polite_served &= !costs_mails(&sim_backends[i]);
        faulty += !sim_backends[i].is_healthy;
        silent += is_silent(&sim_backends[i]);
    }
    /* One that is silent in a replay takes all the time that a search has: with another one, or behind the gate, which
     * begins with a replay, there is none left. And who was given up for two that were asked later is not asked again.
     */
    sim_world.is_polite_served &= silent == 0 || (faulty <= 1 && !sim_world.has_gate);
    sim_world.has_silence = silent > 0;
    if (sim_world.is_trial)
        draw_trial(first);
    if (sim_world.has_strict && sim_once_in(2))
        draw_outage(first);
    draw_offers(first);
}

/* --- the world --- */

static void draw_shortages(void) {
    sim_buffers_max = sim_short_once_in = sim_no_socket_once_in = 0;
    if (sim_once_in(8))
        sim_buffers_max = 2 + sim_below(60);
    if (sim_once_in(8))
        sim_short_once_in = 300 + sim_below(3000);
    if (sim_once_in(8))
        sim_no_socket_once_in = 5 + sim_below(100);
    if (sim_once_in(5))
        sim_world.scarce = (enum sim_pool)(1 + sim_below(POOLS_COUNT - 1));
    sim_world.scarce_count = sim_below(30);
    sim_world.is_rich =
        sim_buffers_max == 0 && sim_short_once_in == 0 && sim_no_socket_once_in == 0 && sim_world.scarce == POOL_NONE;
    sim_world.is_polite_served &= sim_world.is_rich && sim_world.sessions_max == 0 && sim_world.places == PLACES_MANY;
}

/* Nothing but one backend stands in anybody's way. */
static void make_plain(struct sim_world *world) {
    *world = (struct sim_world){.is_polite_served = true, .workers = world->workers, .probes = world->probes};
    world->is_trial = world->is_rich = true;
    world->has_bots = true;
    world->clients_at_once = 3 + sim_below(5);
    world->gap_ms = 2000;
    world->places = PLACES_MANY;
    world->queue_max = 1000;
    world->queue_s = 60;
    sim_buffers_max = sim_short_once_in = sim_no_socket_once_in = 0;
}

void site_draw(void) {
    static const unsigned gaps[] = {0, 20, 2000, 10000};
    struct sim_world *world = &sim_world;
    *world = (struct sim_world){.is_polite_served = true};
    world->workers = 1 + sim_once_in(3);
    world->clients_at_once = 3 + sim_below(58);
    world->gap_ms = gaps[sim_below(4)];
    world->has_bias = sim_once_in(4);
    world->bias = sim_below(MANNERS_COUNT);
    world->is_slow = sim_once_in(6);
    world->is_thorough = sim_once_in(4);
    world->has_no_hedges = sim_once_in(world->is_slow ? 2 : 8);
    world->refuses = sim_once_in(4);
    world->talks_long = sim_once_in(4);
    world->has_chunks = sim_once_in(2);
    world->has_tls = sim_once_in(3);
    world->has_strict = sim_once_in(3);
    world->has_gate = sim_once_in(8);
    world->has_peers = sim_once_in(4);
    world->proxy = sim_once_in(4) ? (sim_once_in(2) ? PROXY_V1 : PROXY_V2) : PROXY_NONE;
    world->probes = (enum sim_probes)sim_below(world->has_tls ? PROBES_MAIL : PROBES_MAIL + 1);
    if (world->has_gate)
        world->probes = PROBES_EHLO;
    world->refuses_at_rcpt = sim_once_in(2);
    world->may_answer_itself = world->has_gate || world->has_strict || world->has_peers;
    world->sessions_max = sim_once_in(6) ? 1 + sim_below(20) : 0;
    world->places = sim_once_in(8) ? 2 + sim_below(40) : PLACES_MANY;
    world->queue_max = sim_once_in(2) ? 1000 : sim_below(20);
    world->queue_s = sim_once_in(2) ? 60 : 1 + sim_below(60); /* 60: longer than any first probe takes */
    world->has_operator = sim_once_in(4);
    world->is_to_be_stopped = sim_once_in(6);
    world->asks_dns = sim_once_in(2);
    bool has_hurdles = world->refuses || world->is_slow || world->queue_max < 1000 || world->queue_s < 60 ||
                       (world->asks_dns && world->may_answer_itself);
    if (world->has_operator || world->is_to_be_stopped || has_hurdles)
        world->is_polite_served = false;
    if (sim_once_in(10))
        make_plain(world);
    else
        draw_shortages();
    draw_backends();
}

static void say_tier(FILE *out, const char *name, bool is_strict) {
    static const char *const balances[] = {"roundrobin", "leastconn", "random2", "source"};
    static const char *const checks[] = {"none", "banner", "ehlo", "mail"};
    static const char *const proxies[] = {"none", "v1", "v2"};
    bool is_gated = is_strict || sim_world.has_gate;
    const char *check = checks[is_strict && sim_world.probes < PROBES_EHLO ? PROBES_EHLO : sim_world.probes];
    fprintf(out, "[tier %s]\nbalance = %s\ncheck = %s\ncheck-rcpt = user#0@example.test\n", name,
            balances[sim_below(4)], check);
    fprintf(out, "inter = %us\nfastinter = %ums\ndowninter = %us\n", 2 + sim_below(40), 200 + sim_below(3000),
            2 + sim_below(30));
    fprintf(out, "queue = %u\nqueue-timeout = %us\nmax-sessions = %u\nproxy = %s\n", sim_world.queue_max,
            sim_world.queue_s, sim_world.sessions_max, proxies[sim_world.proxy]);
    fprintf(out, "gate = %s\nadmit = %s\n", is_gated ? "on" : "off", is_strict ? "vetted" : "all");
    if (sim_once_in(3))
        fprintf(out, "slowstart = %us\nfailback-delay = %us\n", sim_below(60), sim_below(30));
}

static void say_all(FILE *out) {
    fprintf(out, "[global]\nhostname = mx.sim.test\nuser =\nstate-dir =\nworkers = %u\nmax-sessions = %u\n",
            sim_world.workers, sim_world.places);
    fprintf(out, "stop-timeout = %us\n", 1 + sim_below(120));
    if (sim_world.has_no_hedges)
        fprintf(out, "[timeouts]\nhedge-after = 0\n");
    fprintf(out, "[listen mx]\naddress = 127.0.0.1:2525\n%s", sim_world.has_peers ? "proxy-from = 10.9.0.0/16\n" : "");
    fprintf(out, "[reputation]\nenabled = %s\nmax-entries = 1000\nrequire-fcrdns = no\n",
            sim_world.has_strict ? "yes" : "no");
    fprintf(out, "allow-file = %s/allowed\ndeny-file = %s/denied\n", folder, folder);
    fprintf(out, "[gate]\nrefuse = %s\nrelay-domains-file = %s/domains\nrecipients-file = %s/recipients\n",
            sim_world.refuses_at_rcpt ? "rcpt" : "greeting", folder, folder);
    fprintf(out, "sender-domain = %s\n", sim_world.asks_dns ? "on" : "off");
    say_tier(out, "primary", false);
    if (sim_world.has_strict)
        say_tier(out, "strict", true);
    for (unsigned i = 0; i < sim_backends_count; i++)
        fprintf(out, "[backend vm%u]\ntier = %s\naddress = 192.0.2.1:%u\n", i,
                sim_backends[i].is_strict ? "strict" : "primary", i + 1);
}

struct config *site_configure(void) {
    char text[4000];
    struct config *config;
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out == NULL)
        exit(2);
    say_all(out);
    long length = ftell(out);
    fclose(out);
    if (config_parse("sim.ini", text, (size_t)length, stderr, &config) < 0)
        exit(2);
    return config;
}
