/* The verb `wait drained`. It answers when the backend has no sessions left, is ready again, or the time is over; until
 * then it is one of the pending commands. */
#include "lb/control/wait.h"

#include "backends/roster.h"
#include "conf/value.h"
#include "lb/control/command.h"
#include "lb/control/operands.h"
#include "lb/control/pending.h"
#include "lb/control/scope.h"
#include "lb/engine/container.h"
#include "lb/engine/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One client that waits; CONTROL_WAITS_MAX of them at most. */
struct drain_wait {
    struct pending pending;
    struct command *command;
    uint32_t backend_serial;
    char name[BACKEND_NAME_MAX];
    uint64_t deadline_ms;
};
_Static_assert(offsetof(struct drain_wait, pending) == 0, "the list frees it");

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

static bool serve_wait(struct pending *pending) {
    const struct drain_wait *wait = container_of(pending, const struct drain_wait, pending);
    const struct control_scope *scope = wait->command->scope;
    if (command_is_abandoned(wait->command)) {
        command_fail(wait->command, "its client has left");
        return true;
    }
    const struct backend *backend = roster_find_serial(scope->roster, wait->backend_serial);
    if (backend == NULL)
        backend = roster_find_deleted(scope->roster, wait->backend_serial);
    unsigned sessions = backend == NULL ? 0 : atomic_load(&backend->in_use);
    if (sessions == 0)
        command_reply_done(wait->command, "server %s is drained", wait->name);
    else if (backend->admin == BACKEND_READY && !backend->is_deleted)
        command_fail(wait->command, "server %s was made ready again", wait->name);
    else if (io_now_ms(scope->io) >= wait->deadline_ms)
        command_fail(wait->command, "server %s still has %u sessions", wait->name, sessions);
    else
        return false;
    return true;
}

void wait_drained(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    struct backend *backend = find_server(command, arguments[0]);
    uint64_t time_ms = scope->config->global.drain_time_ms;
    if (backend == NULL || (count == 2 && !parse_time(command, arguments[1], &time_ms)))
        return;
    if (backend->admin == BACKEND_READY) {
        command_fail(command, "server %s is ready and gets new sessions; first: set server %s state drain",
                     backend->name, backend->name);
        return;
    }
    unsigned waits = pending_count(command->pending, serve_wait);
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
    wait->deadline_ms = io_now_ms(scope->io) + time_ms;
    snprintf(wait->name, sizeof wait->name, "%s", backend->name);
    wait->pending.serve = serve_wait;
    pending_begin(command->pending, &wait->pending);
}
