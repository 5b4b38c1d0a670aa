/* The verb `reload`: the manager reads the files anew, and the operator hears what came of it. Owns nothing; a mistake
 * in a file leaves everything as it was. */
#include "lb/control/reload_verb.h"

#include "lb/control/command.h"
#include "lb/control/scope.h"
#include "lb/gate/tables.h"
#include "lb/relay/worker.h"

#include <stdlib.h>

void reload_verb(struct command *command, char **arguments, unsigned count) {
    const struct control_scope *scope = command->scope;
    char *mistakes = NULL, described[200];
    size_t length;
    (void)arguments;
    (void)count;
    FILE *errors = open_memstream(&mistakes, &length);
    if (errors == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    int alarms = scope->reload(scope->reload_context, errors);
    fclose(errors);
    if (alarms < 0) {
        command_fail(command, "nothing has changed: %.900s", mistakes);
    } else {
        gate_tables_describe(atomic_load(&scope->shared->gate_tables), described, sizeof described);
        command_reply_done(command,
                           "allow-file and deny-file are read anew; the gate's files too (%s)%s; postern.ini "
                           "itself is read at a start only",
                           described, alarms > 0 ? ", with alarms in the log" : "");
    }
    free(mistakes);
}
