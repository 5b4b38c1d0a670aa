/* The words behind a verb, as servers and clients. A word that names nothing answers the command with what is allowed.
 * Every file of verbs calls these. Owns nothing. */
#include "lb/control/operands.h"

#include "backends/roster.h"
#include "lb/base/endpoint.h"
#include "lb/control/command.h"
#include "lb/control/scope.h"
#include "lb/reputation/table.h"

#include <stdio.h>

struct backend *find_server(struct command *command, const char *name) {
    struct roster *roster = command->scope->roster;
    struct backend *backend = roster_find(roster, name);
    if (backend != NULL)
        return backend;
    char names[600] = "";
    size_t length = 0;
    for (unsigned i = 0; i < roster_count(roster) && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i > 0 ? ", " : "",
                                   roster_at(roster, i)->name);
    command_fail(command, "no server \"%.80s\"; allowed: %s", name, names);
    return NULL;
}

bool command_has_reputation(struct command *command) {
    if (command->scope->reputation != NULL)
        return true;
    command_fail(command, "[reputation] enabled = no");
    return false;
}

bool command_parse_client(struct command *command, const char *text, struct address *ret_address) {
    char mistake[ENDPOINT_MISTAKE_MAX];
    if (endpoint_parse(text, ENDPOINT_CLIENT, 0, ret_address, mistake) == 0)
        return true;
    command_fail(command, "\"%.80s\" is no address of a client%s%s; allowed: as 192.0.2.1 or 2001:db8::1", text,
                 mistake[0] != '\0' ? ": " : "", mistake);
    return false;
}

const char *client_key_text(const struct address *client, char text[CLIENT_KEY_TEXT_MAX]) {
    char host[ADDRESS_TEXT_MAX];
    uint64_t key = reputation_key(client);
    struct address kept = reputation_key_address(key, 0);
    snprintf(text, CLIENT_KEY_TEXT_MAX, "%s%s", address_format_host(&kept, host),
             reputation_key_is_ipv4(key) ? "" : "/64");
    return text;
}
