/* The verb that shows what counts for clients' limits. */
#ifndef POSTERN_CONTROL_SHOW_CLIENTS_H
#define POSTERN_CONTROL_SHOW_CLIENTS_H

struct command;

void show_clients(struct command *command, char **arguments, unsigned count);

#endif
