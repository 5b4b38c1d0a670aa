/* The operator of a world: does what lb/control's verbs do, without their words. */
#include "tests/sim/operator.h"

#include "conf/added_backend.h"
#include "conf/finish.h"
#include "conf/reader.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 16u

/* `shutdown sessions`, asked of one worker after the other; holds a slot, so that the backend outlives it. */
struct request {
    bool is_open;
    struct sessions_shutdown shutdown;
    struct backend *backend;
    unsigned worker;
};

static struct sim_manager *manager;
static struct request requests[REQUESTS_MAX];
static uint64_t next_ms;
static unsigned next_server;

void operator_begin(struct sim_manager *the_manager) {
    manager = the_manager;
    memset(requests, 0, sizeof requests);
    next_server = sim_backends_count;
    next_ms = sim_world.has_operator ? sim_now_ms() + sim_below(20000) : UINT64_MAX;
}

uint64_t operator_next_ms(void) {
    return next_ms;
}

static void on_told(struct message *message, void *receiver) {
    struct request *request = container_of(message, struct request, shutdown.message);
    (void)receiver;
    if (++request->worker < manager->shared.workers_count) {
        worker_shutdown_sessions(manager->shared.workers[request->worker], &request->shutdown);
        return;
    }
    backend_release_slot(request->backend, 0);
    request->is_open = false;
}

static void shut_down_sessions(struct backend *backend) {
    struct request *request = requests;
    while (request < requests + REQUESTS_MAX && request->is_open)
        request++;
    if (request == requests + REQUESTS_MAX)
        return;
    sim_trace("operator: shutdown sessions server %s", backend->name);
    memset(request, 0, sizeof *request);
    request->is_open = true;
    request->backend = backend;
    request->shutdown.backend = backend;
    request->shutdown.reply = &manager->mailbox;
    request->shutdown.on_reply = on_told;
    backend_take_slot(backend, 0);
    worker_shutdown_sessions(manager->shared.workers[0], &request->shutdown);
}

static void set_state(struct backend *backend, enum backend_admin state) {
    sim_trace("operator: set server %s state %u", backend->name, state);
    roster_set_admin(manager->roster, backend, state, io_now_ms(manager->io));
    health_on_admin_changed(manager->health, backend);
}

/* One that is healthy, at a place that no other one had. */
static void add_server(void) {
    char name[20], address[40], tier[] = "tier", primary[] = "primary", key[] = "address", error[300];
    char *words[] = {tier, primary, key, address};
    struct config_backend config;
    struct backend *backend;
    if (next_server == SIM_BACKENDS_MAX)
        return;
    snprintf(name, sizeof name, "vm%u", next_server);
    snprintf(address, sizeof address, "192.0.2.1:%u", next_server + 1);
    sim_trace("operator: add server %s", name);
    if (config_parse_backend(manager->config, name, words, 4, &config, error, sizeof error) < 0) {
        sim_broken("add server: %s", error);
        return;
    }
    if (roster_add(manager->roster, &config, io_now_ms(manager->io), &backend) == 0)
        next_server++;
    config_backend_finish(&config);
}

static void del_server(struct backend *backend, bool force) {
    sim_trace("operator: del server %s%s", backend->name, force ? " force" : "");
    if (roster_remove(manager->roster, backend, force, io_now_ms(manager->io)) == 0 && force)
        shut_down_sessions(backend);
}

/* To an address that is another's in these worlds, too: a server that is like the one before. */
static void move_server(struct backend *backend) {
    struct address address = backend->address;
    address.in4.sin_addr.s_addr = htonl(ntohl(address.in4.sin_addr.s_addr) + 1);
    sim_trace("operator: server %s moves", backend->name);
    roster_replace(manager->roster, backend, &address, io_now_ms(manager->io));
}

static void change_reputation(void) {
    struct address client = {.in4 = {.sin_family = AF_INET}};
    client.in4.sin_addr.s_addr = htonl(0x0A000000u + sim_below(200));
    if (manager->shared.reputation == NULL)
        return;
    enum decree decree = sim_once_in(2) ? DECREE_VETTED : DECREE_REFUSED;
    reputation_set_decree(&manager->reputation, &client, decree, sim_now_s());
}

static struct backend *any_server(void) {
    return roster_at(manager->roster, sim_below(roster_count(manager->roster)));
}

static void act_on(struct backend *backend) {
    switch (sim_below(8)) {
    case 0:
        set_state(backend, BACKEND_DRAIN);
        break;
    case 1:
        set_state(backend, BACKEND_MAINT);
        break;
    case 2:
    case 3:
        set_state(backend, BACKEND_READY);
        break;
    case 4:
        roster_set_weight(manager->roster, backend, sim_below(257), io_now_ms(manager->io));
        break;
    case 5:
        shut_down_sessions(backend);
        break;
    case 6:
        if (roster_count(manager->roster) > 2)
            del_server(backend, sim_once_in(2));
        break;
    case 7:
        move_server(backend);
        break;
    }
}

void operator_act(void) {
    if (sim_now_ms() < next_ms)
        return;
    next_ms = sim_now_ms() + sim_below(sim_once_in(2) ? 60000 : 500);
    switch (sim_below(8)) {
    case 0:
        sim_manager_reload(manager);
        break;
    case 1:
        add_server();
        break;
    case 2:
        roster_force_tier(manager->roster, (int)sim_below(2) - 1, io_now_ms(manager->io));
        break;
    case 3:
        for (unsigned i = 0; i < 20; i++)
            change_reputation();
        break;
    default:
        act_on(any_server());
        break;
    }
}

void operator_rest(void) {
    if (next_ms == UINT64_MAX)
        return;
    next_ms = UINT64_MAX;
    roster_force_tier(manager->roster, TIER_AUTO, io_now_ms(manager->io));
    for (unsigned i = 0; i < roster_count(manager->roster); i++)
        set_state(roster_at(manager->roster, i), BACKEND_READY);
}
