/* Commands that answer later: `wait drained`. */
#include "conf/options.h"
#include "lb/control/verbs.h"
#include "lb/manager/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One client that waits; CONTROL_WAITS_MAX of them at most. */
struct drain_wait {
    struct drain_wait *next;
    struct command *command;
    uint32_t backend_serial;
    char name[BACKEND_NAME_MAX];
    uint64_t deadline_ms;
};

static bool parse_time(struct command *command, const char *text, uint64_t *ret_ms) {
    const struct option *option = option_find(SECTION_GLOBAL, "drain-time");
    struct config_global parsed = {0};
    char error[200];
    if (option_parse(option, text, &parsed, error, sizeof error) < 0) {
        command_fail(command, "time %s", error);
        return false;
    }
    *ret_ms = parsed.drain_time_ms;
    return true;
}

/* Returns true when it has answered. */
static bool answer(struct manager *manager, const struct drain_wait *wait) {
    if (command_is_abandoned(wait->command)) {
        command_fail(wait->command, "its client has left");
        return true;
    }
    const struct backend *backend = roster_find_serial(manager->roster, wait->backend_serial);
    if (backend == NULL)
        backend = roster_find_deleted(manager->roster, wait->backend_serial);
    unsigned sessions = backend == NULL ? 0 : atomic_load(&backend->in_use);
    if (sessions == 0)
        command_reply_done(wait->command, "server %s is drained", wait->name);
    else if (backend->admin == BACKEND_READY && !backend->is_deleted)
        command_fail(wait->command, "server %s was made ready again", wait->name);
    else if (io_now_ms(manager->io) >= wait->deadline_ms)
        command_fail(wait->command, "server %s still has %u sessions", wait->name, sessions);
    else
        return false;
    return true;
}

void wait_drained(struct command *command, char **arguments, unsigned count) {
    struct manager *manager = command->manager;
    struct backend *backend = find_server(command, arguments[0]);
    uint64_t time_ms = manager->config->global.drain_time_ms;
    if (backend == NULL || (count == 2 && !parse_time(command, arguments[1], &time_ms)))
        return;
    if (backend->admin == BACKEND_READY) {
        command_fail(command, "server %s is ready and gets new sessions; first: set server %s state drain",
                     backend->name, backend->name);
        return;
    }
    unsigned waits = 0;
    for (const struct drain_wait *other = manager->waits; other != NULL; other = other->next)
        waits++;
    if (waits >= CONTROL_WAITS_MAX) {
        command_fail(command, "%u commands wait already", waits);
        return;
    }
    struct drain_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    wait->command = command;
    wait->backend_serial = backend->serial;
    wait->deadline_ms = io_now_ms(manager->io) + time_ms;
    snprintf(wait->name, sizeof wait->name, "%s", backend->name);
    wait->next = manager->waits;
    manager->waits = wait;
    waits_serve(manager);
}

void waits_serve(struct manager *manager) {
    struct drain_wait **link = &manager->waits;
    while (*link != NULL) {
        struct drain_wait *wait = *link;
        if (!answer(manager, wait)) {
            link = &wait->next;
            continue;
        }
        *link = wait->next;
        free(wait);
    }
}

void waits_finish(struct manager *manager) {
    while (manager->waits != NULL) {
        struct drain_wait *next = manager->waits->next;
        free(manager->waits);
        manager->waits = next;
    }
}
