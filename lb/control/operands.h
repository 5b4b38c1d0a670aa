/* What the words behind a verb name: a server, a client. Where a word names nothing, the command has been answered with
 * what is allowed. */
#ifndef POSTERN_CONTROL_OPERANDS_H
#define POSTERN_CONTROL_OPERANDS_H

#include "lb/base/address.h"

#include <stdbool.h>

struct backend;
struct command;

/* The backend of that name, or NULL. */
struct backend *find_server(struct command *command, const char *name);
/* False, and answered, where reputation is off. */
bool command_has_reputation(struct command *command);
/* The client that an operator names: its address alone, with no port and no interface, since neither would be heeded.
 * False when it is none. */
bool command_parse_client(struct command *command, const char *text, struct address *ret_address);

/* Room for "IPv6/64". */
#define CLIENT_KEY_TEXT_MAX (ADDRESS_TEXT_MAX + 4)
/* What an entry is kept under: "192.0.2.1" for IPv4, mapped or not, or the network as "2001:db8:0:5::/64". */
const char *client_key_text(const struct address *client, char text[CLIENT_KEY_TEXT_MAX]);

#endif
