/* The verb that has files read anew. */
#ifndef POSTERN_CONTROL_RELOAD_VERB_H
#define POSTERN_CONTROL_RELOAD_VERB_H

struct command;

void reload_verb(struct command *command, char **arguments, unsigned count);

#endif
