/* The verb that waits. */
#ifndef POSTERN_CONTROL_WAIT_H
#define POSTERN_CONTROL_WAIT_H

struct command;

void wait_drained(struct command *command, char **arguments, unsigned count);

#endif
