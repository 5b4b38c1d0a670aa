/* Clients with the most sessions, the highest rate or the most refusals, of all tables of limits. A walk over a whole
 * table takes the manager some milliseconds, and no worker waits for it. */
#include "lb/control/show_clients.h"

#include "lb/control/command.h"
#include "lb/control/operands.h"
#include "lb/control/scope.h"
#include "lb/engine/io.h"
#include "lb/limits/limits.h"
#include "lb/relay/worker.h"
#include "lb/reputation/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than fit on a screen tell no more. */
#define ROWS_MAX 50u

enum order { BY_SESSIONS, BY_RATE, BY_REFUSED };

struct shown {
    const struct count_table *table;
    char limit[LIMITS_NAME_MAX];
    struct count_row row;
};

/* The first ones in their order. */
struct ranking {
    enum order order;
    unsigned count;
    struct shown rows[ROWS_MAX];
};

static uint32_t rank(const struct count_row *row, enum order order) {
    switch (order) {
    case BY_SESSIONS:
        return row->sessions;
    case BY_RATE:
        return row->rate;
    case BY_REFUSED:
        return row->refused;
    }
    return 0;
}

/* Of equal ones the first that was met stands first. */
static void insert(struct ranking *ranking, const struct shown *shown) {
    uint32_t own = rank(&shown->row, ranking->order);
    unsigned at = ranking->count;
    while (at > 0 && rank(&ranking->rows[at - 1].row, ranking->order) < own)
        at--;
    if (own == 0 || at == ROWS_MAX)
        return;
    unsigned behind = ranking->count - at - (ranking->count == ROWS_MAX);
    memmove(&ranking->rows[at + 1], &ranking->rows[at], behind * sizeof ranking->rows[0]);
    ranking->rows[at] = *shown;
    ranking->count += ranking->count < ROWS_MAX;
}

static void rank_table(struct ranking *ranking, const struct count_table *table, const char *name, uint64_t now_ms) {
    struct shown shown = {.table = table};
    snprintf(shown.limit, sizeof shown.limit, "%s", name);
    for (size_t i = 0; i < COUNT_TABLE_PLACES; i++)
        if (count_table_at(table, i, now_ms, &shown.row))
            insert(ranking, &shown);
}

static json_t *client_text(const struct control_scope *scope, const struct shown *shown) {
    char text[CLIENT_KEY_TEXT_MAX];
    struct address client = reputation_key_address(shown->row.key, 0);
    if (shown->table != &scope->shared->limits->networks)
        return json_string(client_key_text(&client, text));
    address_format_host(&client, text);
    return json_sprintf("%s/%u", text, client.sa.sa_family == AF_INET ? 24u : 48u);
}

static json_t *describe(const struct control_scope *scope, const struct shown *shown) {
    json_t *row = json_object();
    bool is_vetted = shown->row.is_vetted;
    uint32_t rate_max = count_table_rate(shown->table, is_vetted);
    json_object_set_new(row, "limit", json_string(shown->limit));
    json_object_set_new(row, "client", client_text(scope, shown));
    json_object_set_new(row, "sessions", json_integer(shown->row.sessions));
    json_object_set_new(row, "max_sessions", json_integer(count_table_most(shown->table, is_vetted)));
    json_object_set_new(row, "rate", rate_max == 0 ? json_null() : json_integer(shown->row.rate));
    json_object_set_new(row, "max_rate", json_integer(rate_max));
    json_object_set_new(row, "refused", json_integer(shown->row.refused));
    json_object_set_new(row, "vetted", json_boolean(is_vetted));
    return row;
}

static bool parse_order(struct command *command, const char *word, enum order *ret_order) {
    static const char *const words[] = {"sessions", "rate", "refused"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret_order = (enum order)i;
            return true;
        }
    }
    command_fail(command, "allowed: show clients [sessions|rate|refused] [json]");
    return false;
}

void show_clients(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    enum order order = BY_SESSIONS;
    if (count > 0 && !parse_order(command, arguments[0], &order))
        return;
    struct ranking *ranking = calloc(1, sizeof *ranking);
    if (ranking == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    ranking->order = order;
    const struct limits *limits = scope->shared->limits;
    const struct count_table *table;
    char name[LIMITS_NAME_MAX];
    for (unsigned index = 0; (table = limits_next(limits, &index, name)) != NULL;)
        rank_table(ranking, table, name, io_now_ms(scope->io));
    json_t *list = json_array();
    for (unsigned i = 0; i < ranking->count; i++)
        json_array_append_new(list, describe(scope, &ranking->rows[i]));
    free(ranking);
    command_reply_value(command, list);
}
