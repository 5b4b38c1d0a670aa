/* The verbs that show what there is. Each makes one value, and text and JSON are two prints of it. `show sessions` asks
 * the workers one after the other and answers in a later turn. They change nothing. */
#include "lb/control/show.h"

#include "backends/roster.h"
#include "conf/words.h"
#include "health/health.h"
#include "lb/control/command.h"
#include "lb/control/operands.h"
#include "lb/control/scope.h"
#include "lb/dns/questions.h"
#include "lb/engine/log.h"
#include "lb/relay/worker.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *number(uint64_t value) {
    return json_integer((json_int_t)value);
}

/* --- show info --- */

/* null where no descriptor is left to read it by. */
static json_t *open_descriptors(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return json_null();
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return number(count - 3); /* ".", ".." and the directory itself */
}

/* proc_pid_statm(5): pages in all, resident pages. */
static json_t *resident_kb(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return json_null();
    bool is_read = fscanf(file, "%*u %lu", &pages) == 1;
    fclose(file);
    return is_read ? number((uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024) : json_null();
}

static struct worker_counters sum_counters(const struct control_scope *scope) {
    struct worker_counters sum = {0};
    for (unsigned i = 0; i < scope->shared->workers_count; i++) {
        struct worker_counters one;
        worker_read_counters(scope->shared->workers[i], &one);
#define COUNTER(name, text) sum.name += one.name;
#include "lb/relay/counters.def"
#undef COUNTER
        sum.outcomes_dropped += one.outcomes_dropped;
        sum.sightings_dropped += one.sightings_dropped;
        sum.io.turns += one.io.turns;
        sum.io.completions += one.io.completions;
        sum.io.starved += one.io.starved;
        sum.io.cq_overflows += one.io.cq_overflows;
        sum.io.buffers_total += one.io.buffers_total;
        sum.io.buffers_in_use += one.io.buffers_in_use;
    }
    return sum;
}

static void describe_questions(const struct control_scope *scope, json_t *info) {
    struct questions_stats stats;
    questions_read_stats(scope->questions, &stats);
    json_object_set_new(info, "dns_asked", number(stats.asked));
    json_object_set_new(info, "dns_cache_hits", number(stats.cache_hits));
    json_object_set_new(info, "dns_queries", number(stats.queries));
    json_object_set_new(info, "dns_failed", number(stats.failed));
    json_object_set_new(info, "dns_dropped", number(stats.dropped));
    json_object_set_new(info, "dns_under_way", number(stats.under_way));
}

void show_info(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    struct worker_counters sum = sum_counters(scope);
    (void)arguments;
    (void)count;
    json_t *info = json_object();
    json_object_set_new(info, "version", json_string(POSTERN_VERSION));
    json_object_set_new(info, "pid", number((uint64_t)getpid()));
    json_object_set_new(info, "hostname", json_string(scope->config->global.hostname));
    json_object_set_new(info, "config", json_string(scope->config->path));
    json_object_set_new(info, "uptime_s", number((io_now_ms(scope->io) - scope->started_ms) / 1000));
    json_object_set_new(info, "workers", number(scope->shared->workers_count));
    json_object_set_new(info, "sessions_max", number(scope->shared->sessions_max));
#define COUNTER(name, text) json_object_set_new(info, #name, number(sum.name));
#include "lb/relay/counters.def"
#undef COUNTER
    json_object_set_new(info, "buffers_in_use", number(sum.io.buffers_in_use));
    json_object_set_new(info, "buffers_total", number(sum.io.buffers_total));
    json_object_set_new(info, "receives_starved", number(sum.io.starved));
    json_object_set_new(info, "turns", number(sum.io.turns));
    json_object_set_new(info, "completions", number(sum.io.completions));
    json_object_set_new(info, "cq_overflows", number(sum.io.cq_overflows));
    json_object_set_new(info, "control_clients", number(command->clients));
    json_object_set_new(info, "log_lines_dropped", number(log_dropped()));
    json_object_set_new(info, "outcomes_dropped", number(sum.outcomes_dropped));
    json_object_set_new(info, "sightings_dropped", number(sum.sightings_dropped));
    describe_questions(scope, info);
    json_object_set_new(info, "descriptors", open_descriptors());
    json_object_set_new(info, "resident_kb", resident_kb());
    command_reply_value(command, info);
}

/* --- show servers, show tiers --- */

/* The last results, `most` of them, the newest on the right: "++++-+". */
static void print_history(const struct backend *backend, unsigned most, char text[65]) {
    unsigned count;
    uint64_t history = health_history(backend, &count);
    unsigned shown = count < most ? count : most;
    for (unsigned i = 0; i < shown; i++)
        text[i] = (history >> (shown - 1 - i)) & 1 ? '+' : '-';
    text[shown] = '\0';
}

static json_t *describe_server(const struct control_scope *scope, const struct backend *backend, unsigned results) {
    const struct config_tier *tier = &scope->config->tiers[backend->tier];
    char address[ADDRESS_TEXT_MAX], history[65];
    int days;
    json_t *row = json_object();
    print_history(backend, results, history);
    json_object_set_new(row, "name", json_string(backend->name));
    json_object_set_new(row, "tier", json_string(tier->name));
    json_object_set_new(row, "address",
                        backend->address.sa.sa_family == 0 ? json_null()
                                                           : json_string(address_format(&backend->address, address)));
    json_object_set_new(row, "host", backend->host_name[0] == '\0' ? json_null() : json_string(backend->host_name));
    json_object_set_new(row, "state", json_string(config_admin_name(backend->admin)));
    json_object_set_new(row, "health",
                        json_string(tier->check == CHECK_NONE ? "unchecked" : backend_health_name(backend->health)));
    json_object_set_new(row, "since_s", number((io_now_ms(scope->io) - backend->health_since_ms) / 1000));
    json_object_set_new(row, "weight", number(backend->weight));
    json_object_set_new(row, "sessions", number(backend_sessions(backend)));
    json_object_set_new(row, "max_sessions", number(backend->sessions_max));
    json_object_set_new(row, "sessions_total", number(backend_sessions_total(backend)));
    json_object_set_new(row, "failures", number(backend_failures_total(backend)));
    json_object_set_new(row, "mails", number(backend_mails(backend)));
    json_object_set_new(row, "bytes_in", number(backend_bytes_in(backend)));
    json_object_set_new(row, "bytes_out", number(backend_bytes_out(backend)));
    json_object_set_new(row, "checks", json_string(history));
    json_object_set_new(row, "check_ms", number(health_last_check_ms(backend)));
    if (health_certificate_days(backend, &days))
        json_object_set_new(row, "certificate_days", json_integer(days));
    else
        json_object_set_new(row, "certificate_days", json_null());
    json_object_set_new(row, "reason", json_string(backend->health_reason));
    json_object_set_new(row, "suspect", json_boolean(atomic_load(&backend->is_suspect)));
    return row;
}

void show_servers(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    json_t *list = json_array();
    (void)arguments;
    (void)count;
    for (unsigned i = 0; i < roster_count(scope->roster); i++)
        json_array_append_new(list, describe_server(scope, roster_at(scope->roster, i), command->as_json ? 64 : 16));
    command_reply_value(command, list);
}

/* "PIPELINING, SIZE 15728640": one line, for scripts alone; it is too long for the table. */
static json_t *describe_offer(const char *lines) {
    char text[2 * EHLO_LINES_MAX];
    size_t length = 0;
    for (; *lines != '\0'; lines++) {
        if (*lines != '\n')
            text[length++] = *lines;
        else if (lines[1] != '\0')
            length += (size_t)snprintf(text + length, sizeof text - length, ", ");
    }
    return json_stringn(text, length);
}

static json_t *describe_tier(const struct view_tier *tier, bool serves, bool is_forced, bool as_json) {
    uint64_t usable = 0, sessions = 0;
    json_t *row = json_object();
    for (unsigned i = 0; i < tier->members_count; i++) {
        usable += tier->members[i].is_usable;
        sessions += backend_sessions(tier->members[i].backend);
    }
    json_object_set_new(row, "name", json_string(tier->config->name));
    json_object_set_new(row, "state", json_string(tier->is_healthy ? "up" : tier->is_unprobed ? "starting" : "down"));
    json_object_set_new(row, "serves", json_boolean(serves));
    json_object_set_new(row, "forced", json_boolean(is_forced));
    json_object_set_new(row, "usable", number(usable));
    json_object_set_new(row, "servers", number(tier->members_count));
    json_object_set_new(row, "min_up", number(tier->config->up_min));
    json_object_set_new(row, "sessions", number(sessions));
    json_object_set_new(row, "queue", number(atomic_load(tier->waiting)));
    json_object_set_new(row, "queue_max", number(tier->config->queue_max));
    json_object_set_new(row, "balance", json_string(config_balance_name(tier->config->balance)));
    json_object_set_new(row, "admit", json_string(config_admit_name(tier->config->admit)));
    if (as_json && tier->config->gate)
        json_object_set_new(row, "offer", describe_offer(tier->offer));
    return row;
}

void show_tiers(struct command *command, char **arguments, unsigned count) {
    const struct roster *roster = command->scope->roster;
    const struct view *view = roster_view(roster);
    json_t *list = json_array();
    bool is_found = false;
    (void)arguments;
    (void)count;
    for (unsigned i = 0; i < view->tiers_count; i++) {
        bool serves = !is_found && view->tiers[i].is_up;
        is_found |= serves;
        json_array_append_new(
            list, describe_tier(&view->tiers[i], serves, roster_forced_tier(roster) == (int)i, command->as_json));
    }
    command_reply_value(command, list);
}

/* --- show sessions: asked of one worker after the other, in pieces --- */

struct session_listing {
    struct sessions_query query;
    struct command *command;
    unsigned worker;
    json_t *list;
};

static json_t *describe_session(const struct session_row *row) {
    char client[ADDRESS_TEXT_MAX];
    json_t *object = json_object();
    json_object_set_new(object, "id", number(row->id));
    json_object_set_new(object, "client", json_string(address_format(&row->client, client)));
    json_object_set_new(object, "server", json_string(row->backend));
    json_object_set_new(object, "state", json_string(row->state));
    json_object_set_new(object, "age_ms", number(row->age_ms));
    json_object_set_new(object, "idle_ms", number(row->idle_ms));
    json_object_set_new(object, "tries", number(row->tries));
    json_object_set_new(object, "bytes_in", number(row->bytes_in));
    json_object_set_new(object, "bytes_out", number(row->bytes_out));
    return object;
}

static void on_rows(struct message *message, void *receiver) {
    struct session_listing *listing = container_of(message, struct session_listing, query.message);
    const struct control_scope *scope = listing->command->scope;
    (void)receiver;
    for (unsigned i = 0; i < listing->query.rows_count; i++)
        json_array_append_new(listing->list, describe_session(&listing->query.rows[i]));
    if (listing->query.from == 0)
        listing->worker++;
    if (listing->worker < scope->shared->workers_count) {
        worker_query_sessions(scope->shared->workers[listing->worker], &listing->query);
        return;
    }
    command_reply_value(listing->command, listing->list);
    free(listing);
}

void show_sessions(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    if (count != 0 && (count != 2 || strcmp(arguments[0], "server") != 0)) {
        command_fail(command, "allowed: show sessions [server NAME] [json]");
        return;
    }
    if (count == 2 && find_server(command, arguments[1]) == NULL)
        return;
    struct session_listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    listing->command = command;
    listing->list = json_array();
    listing->query.reply = scope->mailbox;
    listing->query.on_reply = on_rows;
    if (count == 2)
        snprintf(listing->query.backend, sizeof listing->query.backend, "%s", arguments[1]);
    worker_query_sessions(scope->shared->workers[0], &listing->query);
}
