/* Backends' processes: small SMTP servers that keep what they are told, and fail as the world wants it. */
#include "tests/sim/server.h"

#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include "lb/engine/container.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SERVERS_MAX 1024u

struct sim_backend sim_backends[SIM_BACKENDS_MAX];
unsigned sim_backends_count;

static struct server servers[SERVERS_MAX], *free_servers;
static unsigned touched, open_count;

void servers_begin(void) {
    free_servers = NULL;
    touched = open_count = 0;
}

unsigned servers_open(void) {
    return open_count;
}

unsigned server_id(const struct server *server) {
    return (unsigned)(server - servers);
}

struct sim_backend *server_backend(const struct server *server) {
    return &sim_backends[server->number];
}

void server_end(struct server *server, bool by_reset) {
    sim_trace("vm%u #%u %s", server->number, server_id(server), by_reset ? "resets" : "closes");
    if (by_reset)
        wire_they_reset(server->wire);
    else
        wire_they_close(server->wire);
    agent_leave(&server->agent);
    server->is_open = false;
    server->next_free = free_servers;
    free_servers = server;
    open_count -= !server->is_probe;
}

void server_put(struct server *server, const char *text, unsigned length) {
    if (server->out_at > 0)
        memmove(server->out, server->out + server->out_at, server->out_length);
    server->out_at = 0;
    assert(server->out_length + length <= OUT_MAX);
    memcpy(server->out + server->out_length, text, length);
    server->out_length += length;
}

void server_say(struct server *server, const char *format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert(length > 0 && (size_t)length < sizeof text);
    server_put(server, text, (unsigned)length);
}

/* --- faults --- */

void server_talk_long(struct server *server) {
    /* One at a time: it goes on reading meanwhile, as with a real socket's room it would. */
    if (!sim_world.talks_long || server->is_probe || server->out_length > 1000 || !sim_once_in(3))
        return;
    for (unsigned lines = 20 + sim_below(120); lines > 0; lines--)
        server_say(server, "250-and one more thing that you may like to know before we come to the end\r\n");
}

static void note_met(struct server *server) {
    struct sim_backend *backend = server_backend(server);
    backend->met += !server->is_probe && !server->is_in_tls;
}

bool server_fails_at(struct server *server, enum stage stage) {
    const struct sim_backend *backend = server_backend(server);
    if (!server->has_fault || backend->stage != stage || backend->fault < FAULT_CLOSES)
        return false;
    if (sim_now_ms() >= backend->well_ms) /* sessions of before are well, too */
        return false;
    if (backend->fault == FAULT_AGREES && (stage != STAGE_CONTENT || !server->in_content || server->is_in_tls))
        return false; /* nowhere else could it be told from an answer */
    if (backend->fault == FAULT_LEAVES) {
        server->leaves_ms = sim_now_ms() + 1 + sim_below(4);
        return false;
    }
    sim_trace("vm%u #%u fails at stage %u by fault %u", server->number, server_id(server), stage, backend->fault);
    note_met(server);
    server->is_leaving = true;
    if (backend->fault == FAULT_STICKS) {
        server->is_leaving = false;
        server->is_stuck = true;
    } else if (backend->fault == FAULT_AGREES) {
        server->is_leaving = false;
        server_say(server, "250 2.0.0 " SIM_AGREEMENT "\r\n");
    } else if (backend->fault == FAULT_RESETS) {
        server_end(server, true);
    } else if (backend->fault == FAULT_SAYS_421 && !server->is_in_tls) {
        server_say(server, "421 4.3.2 going down\r\n");
    } else if (backend->fault == FAULT_IS_SILENT) {
        server->is_leaving = false;
        server->is_silent = true;
    } else if (backend->fault == FAULT_TALKS_GARBAGE && !server->is_in_tls) {
        server_say(server, "what do you mean?\r\n");
    } else if (backend->fault == FAULT_BREAKS_OFF && !server->is_in_tls) {
        server_talk_long(server);
        server_say(server, sim_once_in(2) ? "25" : "250-half of\r\n25");
    }
    return true;
}

static void greet(struct server *server) {
    server->has_greeted = true;
    enum fault fault = server->has_fault ? server_backend(server)->fault : FAULT_NONE;
    if (fault == FAULT_HANGS) {
        server->is_silent = true;
    } else if (fault == FAULT_GREETS_421) {
        server_say(server, "421 4.3.2 too busy\r\n");
        server->is_leaving = true;
    } else if (fault == FAULT_GREETS_554) {
        server_say(server, "554 no service\r\n");
        server->is_leaving = true;
    } else if (fault == FAULT_GREETS_GARBAGE) {
        server_say(server, "hello\r\n");
        server->is_leaving = true;
    } else if (fault == FAULT_GREETS_AND_LEAVES) {
        server_say(server, "220 vm ESMTP\r\n421 4.3.2 going down\r\n");
        server->is_leaving = true;
    } else if (sim_world.refuses && !server->is_probe && sim_once_in(30)) { /* a verdict on this client, as it seems */
        server_say(server, sim_once_in(2) ? "421 4.7.1 you are listed\r\n" : "521 5.7.1 not with you\r\n");
        server->is_leaving = true;
    } else {
        if (sim_once_in(5))
            server_say(server, "220-vm\r\n");
        server_say(server, "220 vm ESMTP\r\n");
    }
}

/* --- connections --- */

static bool act(struct agent *agent);

static struct server *take_server(void) {
    struct server *server = free_servers;
    if (server != NULL)
        free_servers = server->next_free;
    else
        server = &servers[touched++];
    assert(touched <= SERVERS_MAX);
    memset(server, 0, offsetof(struct server, line));
    return server;
}

static unsigned greeting_delay_ms(const struct server *server) {
    if (sim_world.is_slow && !server->is_probe && sim_once_in(12))
        return 8000 + sim_below(8000);
    return sim_once_in(4) ? sim_below(3000) : sim_below(4);
}

int servers_on_connect(const struct address *address, struct wire *wire) {
    unsigned number = ntohs(address->in4.sin_port) - 1u;
    const struct sim_backend *backend = &sim_backends[number];
    bool has_fault = backend->fault != FAULT_NONE && sim_now_ms() >= backend->sick_ms &&
                     sim_now_ms() < backend->well_ms && sim_once_in(backend->once_in);
    if (has_fault && backend->fault == FAULT_REFUSES)
        return -ECONNREFUSED;
    if (has_fault && backend->fault == FAULT_UNREACHABLE)
        return -EAGAIN;
    struct server *server = take_server();
    server->is_open = true;
    server->wire = wire;
    server->number = number;
    server->has_fault = has_fault;
    server->is_probe = wire->is_probes;
    server->awaits_header = sim_world.proxy != PROXY_NONE;
    server->greets_at_once = !wire->is_probes && !sim_world.refuses && sim_once_in(3);
    server->mail = -1;
    server->greets_ms = sim_now_ms() + greeting_delay_ms(server);
    server->active_ms = sim_now_ms();
    server->agent.act = act;
    wire->them = &server->agent;
    agent_join(&server->agent);
    open_count += !server->is_probe;
    sim_trace("vm%u #%u gets a connection%s", number, server_id(server), has_fault ? ", to fail" : "");
    return 0;
}

static bool can_hear(const struct server *server) {
    return server->is_open && !server->is_leaving && !server->is_silent && !server->is_stuck;
}

/* Some say a last word to it, as Exim. */
static void on_clients_end(struct server *server, bool by_reset) {
    if (by_reset || server->is_silent || server->is_in_tls || server->in_content || !sim_once_in(3)) {
        server_end(server, by_reset);
        return;
    }
    server_say(server, "421 4.4.2 lost input connection\r\n");
    server->is_leaving = true;
}

static bool reads(struct server *server) {
    char data[4000];
    if (server->out_length > OUT_MAX / 4)
        return false; /* it writes first */
    int length = wire_they_read(server->wire, data, sim_once_in(3) ? 1 + sim_below(20) : sizeof data / 4);
    if (length == -EAGAIN)
        return false;
    if (length <= 0) {
        on_clients_end(server, length < 0);
        return true;
    }
    for (int i = 0; i < length && can_hear(server); i++)
        server_on_octet(server, data[i]);
    return true;
}

static bool writes(struct server *server) {
    unsigned part = sim_once_in(4) ? 1 + sim_below(server->out_length) : server->out_length;
    int taken = wire_they_write(server->wire, server->out + server->out_at, part);
    if (taken < 0) {
        server_end(server, false);
        return true;
    }
    server->out_at += (unsigned)taken;
    server->out_length -= (unsigned)taken;
    return taken > 0;
}

/* As servers do, in words or without one, to a client that says nothing: no fault, in content neither. */
static bool tires(struct server *server) {
    uint64_t patience_ms = server_backend(server)->patience_ms;
    bool is_idle = !server->is_leaving && !server->is_silent && server->out_length == 0;
    if (server->wire->to_us.length > 0) /* an end so soon behind its words would come with them (FAULTS.md, "Left") */
        server->active_ms = sim_now_ms();
    if (!is_idle || patience_ms == 0)
        return false;
    if (sim_now_ms() - server->active_ms < patience_ms) {
        server->agent.wake_ms = server->active_ms + patience_ms;
        return false;
    }
    sim_trace("vm%u #%u is tired of its client", server->number, server_id(server));
    if (sim_once_in(2) && !server->is_in_tls)
        server_say(server, "421 4.4.2 timeout\r\n");
    server->is_leaving = true;
    return true;
}

/* Its kernel answers for it. */
static bool notices_end(struct server *server) {
    if (!server->wire->they_are_reset && !(server->wire->to_them.has_end && !server->wire->we_hold))
        return false;
    server_end(server, true);
    return true;
}

static bool acts_in_dialog(struct server *server) {
    if (server->is_stuck)
        return notices_end(server);
    if (server->mute_ms > sim_now_ms()) {
        server->agent.wake_ms = server->mute_ms;
        return false;
    }
    bool has_written = server->out_length > 0 && writes(server);
    if (!server->is_open)
        return true;
    if (server->is_leaving && server->out_length == 0) {
        server_end(server, false);
        return true;
    }
    if (server->leaves_ms != 0 && server->leaves_ms <= sim_now_ms() && server->out_length == 0) {
        server_end(server, false);
        return true;
    }
    bool has_read = !server->is_leaving && reads(server);
    if (!server->is_open)
        return true;
    if (has_written || has_read)
        server->active_ms = sim_now_ms();
    if (has_written || has_read || tires(server))
        return true;
    if (server->leaves_ms > sim_now_ms() && server->leaves_ms < server->agent.wake_ms)
        server->agent.wake_ms = server->leaves_ms;
    return false;
}

static bool act(struct agent *agent) {
    struct server *server = container_of(agent, struct server, agent);
    agent->wake_ms = UINT64_MAX;
    if (server->has_greeted)
        return acts_in_dialog(server);
    if (server->greets_ms > sim_now_ms()) {
        agent->wake_ms = server->greets_ms;
        return false;
    }
    if (server->awaits_header && !server->greets_at_once) /* it says nothing before that has come, as Postfix */
        return acts_in_dialog(server);
    greet(server);
    server->active_ms = sim_now_ms();
    return true;
}
