/* The clients of a world: how they come, what becomes of them, and what their manner makes them do. What they say
 * stands in client_says.c, what they hear in client_hears.c. */
#include "tests/sim/client.h"

#include "backends/proxy.h"
#include "lb/engine/limits.h"
#include "tests/sim/mails.h"
#include "tests/sim/ring.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define CLIENTS_MAX 64u
/* 10.n.0.0/16: unknown clients, those in allow-file, those in deny-file; proxies. */
#define NETWORK_DENIED 2u
#define NETWORK_PEERS  9u
#define PATIENCE_MS    14400000u /* longer than any row of postern's own deadlines */

static struct sim_client clients[CLIENTS_MAX];
static unsigned wanted, begun, open_count;
static uint64_t next_ms;

bool client_is_polite(const struct sim_client *client) {
    bool has_peer = client->peer == PEER_NONE || client->peer == PEER_V1 || client->peer == PEER_V2;
    return client->manner <= TRICKLES && has_peer && client->network != NETWORK_DENIED;
}

void client_await(struct sim_client *client, const struct item *item) {
    client->awaited[(client->awaited_first + client->awaited_count++) % ITEMS_MAX] = *item;
}

/* --- its end --- */

/* It would say again a mail that was taken. */
static void check_told(const struct sim_client *client, const struct item *item) {
    const struct mail *mail = item->kind == CONTENT ? mail_at(item->tag) : NULL;
    if (sim_world.is_stopping && sim_now_ms() >= sim_world.cut_ms)
        return;
    if (mail != NULL && mail->was_taken_well && mail->told != 250 && !client->has_talked_behind_dot)
        sim_broken("client %u is polite, and its mail %u was taken, and yet it heard %u", client->number, item->tag,
                   mail->told);
}

static void end(struct sim_client *client, const char *how) {
    sim_trace("client %u %s", client->number, how);
    bool is_to_be_served = sim_world.is_polite_served && client_is_polite(client) && !client->has_talked_behind_dot &&
                           !client->was_refused;
    for (unsigned i = 0; i < client->items_count && is_to_be_served; i++)
        if (client->items[i].kind == CONTENT && mail_at(client->items[i].tag)->told != 250)
            sim_broken("client %u is polite, and yet its mail %u heard %u", client->number, client->items[i].tag,
                       mail_at(client->items[i].tag)->told);
    bool is_told_in_time = sim_world.is_rich && !sim_world.has_operator && !sim_world.is_cutting;
    for (unsigned i = 0; i < client->items_count && is_told_in_time && client_is_polite(client); i++)
        check_told(client, &client->items[i]);
    agent_leave(&client->agent);
    client->is_open = false;
    open_count--;
}

void client_hang_up(struct sim_client *client, const char *how) {
    wire_they_close(client->wire);
    end(client, how);
}

void client_reset(struct sim_client *client, const char *how) {
    wire_they_reset(client->wire);
    end(client, how);
}

/* What postern says with the calls of a socket that is closing, 421, is beyond this network. */
void client_on_refused(struct agent *agent) {
    if (agent == NULL) /* it has left */
        return;
    container_of(agent, struct sim_client, agent)->has_heard_end = true;
    agent_rouse(agent);
}

/* --- what it does --- */

/* What its manner has in store for it here. True when it did something. */
static bool meets_fate(struct sim_client *client) {
    bool is_behind_dot = client->awaited_count > 0 && client->awaited[client->awaited_first].kind == CONTENT;
    if (client->manner == RESETS_BEHIND_DOT ? !is_behind_dot : client->next_item < client->fate)
        return false;
    if (client->is_in_content && sim_below(3) > 0)
        return false;
    client->fate = ITEMS_MAX; /* once */
    client->has_met_fate = true;
    if (client->manner == RESETS || client->manner == RESETS_BEHIND_DOT) {
        client_reset(client, "resets");
    } else if (client->manner == LEAVES) {
        client_hang_up(client, "leaves");
    } else if (client->manner == HALF_CLOSES && sim_once_in(2)) { /* with less said than it meant to */
        client->next_item = client->items_count;
        client->out_length = 0;
        client->is_in_content = false;
    } else if (client->manner == IDLES) {
        client->pause_ms = sim_now_ms() + 200000 + sim_below(400000);
        sim_trace("client %u is idle", client->number);
    } else if (client->manner == DEAF) {
        client->is_deaf = true;
        client->pause_ms = sim_now_ms() + sim_below(400000);
        sim_trace("client %u reads no more", client->number);
    } else {
        return false;
    }
    return true;
}

/* How much it writes at once. */
static unsigned portion(struct sim_client *client) {
    bool drips = client->manner == DRIPS && client->has_met_fate && client->drops_left > 0;
    client->drops_left -= drips;
    if (drips)
        client->pause_ms = sim_now_ms() + 1000 + sim_below(20000);
    if (drips)
        return 1;
    bool is_slow = client->manner == TRICKLES || sim_once_in(10);
    return is_slow ? 1 + sim_below(client->out_length) : client->out_length;
}

static bool writes(struct sim_client *client) {
    int taken = wire_they_write(client->wire, client->out + client->out_at, portion(client));
    if (taken < 0) { /* what came before the RST is still to be read */
        client->out_length = 0;
        client->is_in_content = false;
        return true;
    }
    client->out_at += (unsigned)taken;
    client->out_length -= (unsigned)taken;
    if (client->asked_ms == 0 && client->out_length == 0 && client->awaited_count > 0)
        client->asked_ms = sim_now_ms();
    return taken > 0;
}

/* True when it did something. */
static bool half_closes(struct sim_client *client) {
    if (client->manner != HALF_CLOSES || !client_has_said_all(client) || client->has_shut)
        return false;
    client->has_shut = true;
    client->heard_ms = sim_now_ms();
    wire_they_shut(client->wire);
    return true;
}

static bool acts_now(struct sim_client *client) {
    if (client->is_deaf && sim_once_in(3))
        client->is_deaf = false;
    if (meets_fate(client))
        return true;
    bool has_read = !client->is_deaf && client_reads(client);
    if (!client->is_open)
        return true;
    if (client->has_heard_end && client->out_length == 0 && !client->is_in_content) {
        if (sim_once_in(2))
            client_hang_up(client, "is done");
        return true;
    }
    bool has_thought = client->out_length == 0 && client->peer != PEER_SILENT && client_thinks(client);
    bool has_written = client->out_length > 0 && writes(client);
    return has_read | has_thought | has_written || half_closes(client);
}

static bool act(struct agent *agent) {
    struct sim_client *client = container_of(agent, struct sim_client, agent);
    if (sim_now_ms() - client->began_ms >= PATIENCE_MS) {
        sim_broken("client %u hangs: %u replies owed, item %u of %u", client->number, client->awaited_count,
                   client->next_item, client->items_count);
        client_hang_up(client, "gives up");
        return true;
    }
    agent->wake_ms = client->began_ms + PATIENCE_MS;
    if (client->pause_ms <= sim_now_ms() && acts_now(client))
        return true;
    if (!client->is_open)
        return true;
    if (client->is_deaf && client->pause_ms <= sim_now_ms())
        client->pause_ms = sim_now_ms() + 1 + sim_below(20000);
    if (client->pause_ms > sim_now_ms())
        agent->wake_ms = client->pause_ms;
    return false;
}

/* --- how they come --- */

void clients_begin(unsigned count) {
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        clients[i].is_open = false;
    wanted = count;
    begun = open_count = 0;
    next_ms = sim_now_ms();
    scripts_begin();
}

unsigned clients_open(void) {
    return open_count;
}

bool clients_are_over(void) {
    return begun == wanted && open_count == 0;
}

void clients_stop_coming(void) {
    wanted = begun;
}

uint64_t clients_next_ms(void) {
    bool may_come = begun < wanted && open_count < sim_world.clients_at_once;
    return may_come ? next_ms : UINT64_MAX;
}

static struct address address_of(unsigned network, unsigned number) {
    struct address address = {.in4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(1024 + number % 60000))}};
    address.in4.sin_addr.s_addr = htonl(0x0A000000u + network * 0x10000u + number % 5000);
    return address;
}

static unsigned draw_network(void) {
    if (!sim_world.has_strict && !sim_world.has_operator)
        return 0;
    return sim_once_in(40) ? NETWORK_DENIED : sim_once_in(2);
}

/* What the proxy says before its client does. */
static void say_header(struct sim_client *client) {
    struct address here = {.in4 = {.sin_family = AF_INET, .sin_port = htons(25)}};
    here.in4.sin_addr.s_addr = htonl(0x7F000001);
    uint8_t *out = (uint8_t *)client->out;
    switch (client->peer) {
    case PEER_V1:
        client->out_length = (unsigned)proxy_encode_v1(&client->address, &here, out);
        break;
    case PEER_V2:
        client->out_length = (unsigned)proxy_encode_v2(&client->address, &here, out);
        break;
    case PEER_CHECK:
        client->out_length = (unsigned)proxy_encode_v2_local(out);
        break;
    case PEER_UNLISTED:
        client->out_length = (unsigned)proxy_encode_v2(&client->address, &here, out);
        break;
    case PEER_MALFORMED:
        client->out_length = (unsigned)snprintf(client->out, sizeof client->out, "PROXY me 1 2 3\r\n");
        break;
    case PEER_SILENT:
    case PEER_NONE:
        break;
    }
}

static void draw_client(struct sim_client *client) {
    client->number = begun++;
    client->manner = sim_once_in(2) ? (enum manner)sim_below(3) : (enum manner)sim_below(MANNERS_COUNT);
    if (sim_world.has_bias && sim_once_in(2))
        client->manner = (enum manner)sim_world.bias;
    if (client->manner == GOES_TLS && !sim_world.has_tls)
        client->manner = POLITE;
    if (sim_once_in(200))
        client->peer = PEER_UNLISTED;
    else if (sim_world.has_peers && sim_once_in(2))
        client->peer = sim_once_in(6) ? (enum peer)(1 + sim_below(5)) : (enum peer)(1 + sim_below(2));
    client->is_untrusted = client->peer == PEER_UNLISTED; /* a header behind the greeting is the backend's to answer */
    client->address = address_of(client->network = draw_network(), client->number);
    client->items_count = script_write(client->items, client->manner == GOES_TLS     ? SCRIPT_TLS
                                                      : client->manner == TALKS_JUNK ? SCRIPT_JUNK
                                                      : client->manner == FLOODS     ? SCRIPT_FLOOD
                                                                                     : SCRIPT_MAILS);
    for (unsigned i = 0; i < client->items_count; i++)
        if (client->items[i].kind == CONTENT)
            mail_at(client->items[i].tag)->sender = client->address;
    bool is_early = sim_world.has_bias && sim_once_in(2); /* before the greeting, by the dozen */
    client->fate = is_early ? 0 : sim_below(client->items_count);
    client->drops_left = sim_below(150);
    client->tls_count = 1 + sim_below(40);
}

bool clients_arrive(void) {
    struct wire *wire = clients_next_ms() <= sim_now_ms() ? wire_open() : NULL;
    struct sim_client *client = clients;
    if (wire == NULL)
        return false;
    next_ms = sim_now_ms() + (sim_once_in(4) ? 0 : sim_below(sim_world.gap_ms + 1));
    while (client->is_open)
        client++;
    memset(client, 0, offsetof(struct sim_client, out));
    client->is_open = true;
    client->wire = wire;
    client->began_ms = sim_now_ms();
    draw_client(client);
    const struct item greeting = {.kind = GREETING};
    client_await(client, &greeting);
    say_header(client);
    bool is_direct = client->peer == PEER_NONE || client->peer == PEER_UNLISTED;
    wire->their_address = is_direct ? client->address : address_of(NETWORK_PEERS, client->number);
    wire->them = &client->agent;
    open_count++;
    client->agent.act = act;
    agent_join(&client->agent);
    sim_trace("client %u begins, manner %u, peer %u, %u items", client->number, client->manner, client->peer,
              client->items_count);
    sim_knock(sim_below(sim_world.workers), wire);
    return true;
}
