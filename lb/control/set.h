/* Verbs that change backends and tiers, and end sessions. */
#ifndef POSTERN_CONTROL_SET_H
#define POSTERN_CONTROL_SET_H

struct command;

void set_server(struct command *command, char **arguments, unsigned count);
void set_tier(struct command *command, char **arguments, unsigned count);
void add_server(struct command *command, char **arguments, unsigned count);
void del_server(struct command *command, char **arguments, unsigned count);
void shutdown_sessions(struct command *command, char **arguments, unsigned count);

#endif
