/* The verb that shows what is known of clients. */
#ifndef POSTERN_CONTROL_SHOW_REPUTATION_H
#define POSTERN_CONTROL_SHOW_REPUTATION_H

struct command;

void show_reputation(struct command *command, char **arguments, unsigned count);

#endif
