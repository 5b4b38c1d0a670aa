/* Verbs that show what is there; they change nothing. */
#ifndef POSTERN_CONTROL_SHOW_H
#define POSTERN_CONTROL_SHOW_H

struct command;

void show_info(struct command *command, char **arguments, unsigned count);
void show_servers(struct command *command, char **arguments, unsigned count);
void show_tiers(struct command *command, char **arguments, unsigned count);
void show_sessions(struct command *command, char **arguments, unsigned count);

#endif
