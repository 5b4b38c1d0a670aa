/* The verbs that change backends and tiers and end sessions. They call the roster, health and the workers. Everything
 * is checked before anything is changed. */
#include "lb/control/set.h"

#include "backends/roster.h"
#include "conf/added_backend.h"
#include "conf/backend_host.h"
#include "conf/finish.h"
#include "conf/words.h"
#include "health/health.h"
#include "lb/control/command.h"
#include "lb/control/operands.h"
#include "lb/control/scope.h"
#include "lb/relay/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_state(struct command *command, struct backend *backend, const char *word) {
    const struct control_scope *scope = command->scope;
    for (enum backend_admin state = BACKEND_READY; state <= BACKEND_MAINT; state++) {
        if (strcmp(word, config_admin_name(state)) != 0)
            continue;
        roster_set_admin(scope->roster, backend, state, io_now_ms(scope->io));
        health_on_admin_changed(scope->health, backend);
        command_reply_done(command, "server %s state %s", backend->name, word);
        return;
    }
    command_fail(command, "state \"%.40s\"; allowed: ready, drain, maint", word);
}

static void set_weight(struct command *command, struct backend *backend, const char *word) {
    char *end;
    unsigned long weight = strtoul(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || strlen(word) > 3 || weight > 256) {
        command_fail(command, "weight \"%.40s\"; allowed: a number from 0 to 256", word);
        return;
    }
    roster_set_weight(command->scope->roster, backend, (uint32_t)weight, io_now_ms(command->scope->io));
    command_reply_done(command, "server %s weight %lu", backend->name, weight);
}

void set_server(struct command *command, char **arguments, unsigned count) {
    struct backend *backend = find_server(command, arguments[0]);
    (void)count;
    if (backend == NULL)
        return;
    if (strcmp(arguments[1], "state") == 0)
        set_state(command, backend, arguments[2]);
    else if (strcmp(arguments[1], "weight") == 0)
        set_weight(command, backend, arguments[2]);
    else
        command_fail(command, "\"%.40s\"; allowed: state ready|drain|maint, weight 0..256", arguments[1]);
}

void set_tier(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    const struct config *config = scope->config;
    char names[600] = "auto";
    size_t length = strlen(names);
    (void)count;
    for (size_t i = 0; i < config->tiers_count; i++) {
        if (strcmp(arguments[0], config->tiers[i].name) == 0) {
            roster_force_tier(scope->roster, (int)i, io_now_ms(scope->io));
            command_reply_done(command, "tier %s alone serves until: set tier auto", arguments[0]);
            return;
        }
        if (length < sizeof names)
            length += (size_t)snprintf(names + length, sizeof names - length, ", %s", config->tiers[i].name);
    }
    if (strcmp(arguments[0], "auto") != 0) {
        command_fail(command, "no tier \"%.80s\"; allowed: %s", arguments[0], names);
        return;
    }
    roster_force_tier(scope->roster, TIER_AUTO, io_now_ms(scope->io));
    command_reply_done(command, "tiers serve by priority and health");
}

/* A server of this tier at the same host and port, or NULL: the rule of the file. */
static const struct backend *find_same_host(const struct roster *roster, const struct config_backend *config) {
    for (unsigned i = 0; i < roster_count(roster); i++) {
        struct backend *backend = roster_at(roster, i);
        struct config_backend other = {
            .host = backend->host_name,
            .host_is_name = backend->host_name[0] != '\0',
            .port = backend->host_port,
            .address = backend->address,
        };
        if (backend->tier == config->tier && config_is_same_host(&other, config))
            return backend;
    }
    return NULL;
}

void add_server(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    struct config_backend config;
    struct backend *backend;
    char error[600];
    if (config_parse_backend(scope->config, arguments[0], arguments + 1, count - 1, &config, error, sizeof error) < 0) {
        command_fail(command, "%s", error);
        return;
    }
    const struct backend *same = find_same_host(scope->roster, &config);
    if (same != NULL && strcmp(same->name, arguments[0]) != 0) {
        config_backend_finish(&config);
        command_fail(command, "server %s of the same tier has this address", same->name);
        return;
    }
    int result = roster_add(scope->roster, &config, io_now_ms(scope->io), &backend);
    config_backend_finish(&config);
    if (result == -EEXIST)
        command_fail(command, "server %s exists already", arguments[0]);
    else if (result == -ENOSPC)
        command_fail(command, "%u servers are the most", BACKENDS_MAX);
    else if (result < 0)
        command_fail(command, "%s", strerror(-result));
    else
        command_reply_done(command, "server %s added", arguments[0]);
}

/* --- ending sessions: asked of one worker after the other --- */

struct shutdown_request {
    struct sessions_shutdown shutdown;
    struct command *command;
    struct backend *backend;
    char name[BACKEND_NAME_MAX];
    unsigned worker;
};

static void answer_shutdown(const struct shutdown_request *request) {
    unsigned count = request->shutdown.count, later = request->shutdown.later;
    unsigned long long seconds = request->command->scope->config->global.stop_timeout_ms / 1000;
    if (later == 0)
        command_reply_done(request->command, "server %s: %u sessions told to end", request->name, count);
    else
        command_reply_done(request->command,
                           "server %s: %u sessions told to end, %u of them behind their transaction or when they are "
                           "quiet inside TLS, all within %llus",
                           request->name, count, later, seconds);
}

static void on_shut_down(struct message *message, void *receiver) {
    struct shutdown_request *request = container_of(message, struct shutdown_request, shutdown.message);
    const struct control_scope *scope = request->command->scope;
    (void)receiver;
    if (++request->worker < scope->shared->workers_count) {
        worker_shutdown_sessions(scope->shared->workers[request->worker], &request->shutdown);
        return;
    }
    backend_release_slot(request->backend, 0);
    answer_shutdown(request);
    free(request);
}

/* The request holds a slot, so that the backend outlives it. */
static void begin_shutdown(struct command *command, struct backend *backend) {
    const struct control_scope *scope = command->scope;
    struct shutdown_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    backend_take_slot(backend, 0);
    request->command = command;
    request->backend = backend;
    snprintf(request->name, sizeof request->name, "%s", backend->name);
    request->shutdown.backend = backend;
    request->shutdown.reply = scope->mailbox;
    request->shutdown.on_reply = on_shut_down;
    worker_shutdown_sessions(scope->shared->workers[0], &request->shutdown);
}

void shutdown_sessions(struct command *command, char **arguments, unsigned count) {
    (void)count;
    if (strcmp(arguments[0], "server") != 0) {
        command_fail(command, "allowed: shutdown sessions server NAME [json]");
        return;
    }
    struct backend *backend = find_server(command, arguments[1]);
    if (backend != NULL)
        begin_shutdown(command, backend);
}

void del_server(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    bool force = count == 2;
    if (force && strcmp(arguments[1], "force") != 0) {
        command_fail(command, "\"%.40s\"; allowed: del server NAME [force]", arguments[1]);
        return;
    }
    struct backend *backend = find_server(command, arguments[0]);
    if (backend == NULL)
        return;
    if (roster_remove(scope->roster, backend, force, io_now_ms(scope->io)) == -EBUSY)
        command_fail(command, "server %s has %u sessions; drain it first, or: del server %s force", backend->name,
                     atomic_load(&backend->in_use), backend->name);
    else if (force)
        begin_shutdown(command, backend);
    else
        command_reply_done(command, "server %s deleted", arguments[0]);
}
