/* What is read anew while mail flows: the files that postern.ini names. Everything is read and checked first, then put
 * in force as one change, or nothing is. */
#include "lb/control/verbs.h"
#include "lb/engine/log.h"
#include "lb/feedback/feedback.h"
#include "lb/manager/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Line by line: mistakes, or the alarms of a reload that has succeeded. */
static void log_lines(char *text, bool is_alarm) {
    char *line;
    while ((line = strsep(&text, "\n")) != NULL) {
        if (*line != '\0' && is_alarm)
            log_warning("reload: %s", line);
        else if (*line != '\0')
            log_error("reload: nothing has changed: %s", line);
    }
}

int reload(struct manager *manager, FILE *errors) {
    struct access *access = NULL;
    struct gate_tables *tables = NULL;
    struct feedback_key key;
    char described[200];
    int result = access_load(&manager->config->reputation, errors, &access);
    int loaded = gate_tables_load(&manager->config->gate, manager->gate_tables, errors, &tables);
    if (result == 0)
        result = loaded;
    if (result == 0 && manager->feedback != NULL)
        result = feedback_key_read(manager->config->feedback.key_file, errors, &key);
    if (result < 0) {
        access_free(access);
        gate_tables_free(tables);
        return result;
    }
    manager_set_access(manager, access);
    manager_set_gate_tables(manager, tables);
    if (manager->feedback != NULL)
        feedback_set_key(manager->feedback, &key);
    result = log_reopen();
    if (result < 0)
        log_warning("[global] log = %s: %s; the old file stays", manager->config->global.log, strerror(-result));
    gate_tables_describe(tables, described, sizeof described);
    log_info("reloaded: %zu networks and %zu domains in allow-file, %zu networks in deny-file; entries of the gate: %s",
             access->allowed.networks.count, access->allowed.domains.count, access->denied.networks.count, described);
    return 0;
}

void reload_verb(struct command *command, char **arguments, unsigned count) {
    char *text = NULL, described[200];
    size_t length;
    (void)arguments;
    (void)count;
    FILE *errors = open_memstream(&text, &length);
    if (errors == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    int result = reload(command->manager, errors);
    fclose(errors);
    if (result < 0) {
        command_fail(command, "nothing has changed: %.900s", text);
    } else {
        gate_tables_describe(command->manager->gate_tables, described, sizeof described);
        command_reply_done(command,
                           "allow-file and deny-file are read anew; the gate's files too (%s)%s; postern.ini "
                           "itself is read at a start only",
                           described, length > 0 ? ", with alarms in the log" : "");
        log_lines(text, true);
    }
    free(text);
}

/* Each mistake is a line. */
void reload_by_signal(struct manager *manager) {
    char *text = NULL;
    size_t length;
    FILE *errors = open_memstream(&text, &length);
    if (errors == NULL)
        return;
    int result = reload(manager, errors);
    fclose(errors);
    log_lines(text, result == 0);
    free(text);
}
