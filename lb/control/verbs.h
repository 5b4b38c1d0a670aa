/* The verbs of the control socket: one table gives the parser, `help` and the man page their words. */
#ifndef POSTERN_CONTROL_VERBS_H
#define POSTERN_CONTROL_VERBS_H

#include "lb/control/command.h"

#include <stddef.h>

struct verb {
    const char *words; /* that select it, as "show servers" */
    const char *arguments;
    const char *help;
    unsigned arguments_min, arguments_max; /* words behind the verb, without `json` */
    void (*run)(struct command *command, char **arguments, unsigned count);
};

extern const struct verb verbs[];
extern const size_t verbs_count;

/* Takes a line apart (it is written into) and carries it out; the answer goes to the command's client. */
void verbs_run(struct command *command, char *line);
/* Splits at blanks; returns the number of words, or -1 when there are more than `most`. Pure. */
int verbs_split(char *line, char **words, unsigned most);
/* The verb that the words begin with (the longest), or NULL. Pure. */
const struct verb *verbs_find(char *const *words, unsigned count);

#endif
