/* What is read anew while mail flows: the files that postern.ini names. Everything is read and checked first, then put
 * in force as one change, or nothing is. */
#include "lb/control/feedback.h"
#include "lb/control/manager.h"
#include "lb/control/verbs.h"
#include "lb/engine/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int reload(struct manager *manager, FILE *errors) {
    struct access *access = NULL;
    struct feedback_key key;
    int result = access_load(&manager->config->reputation, errors, &access);
    if (result == 0 && manager->feedback != NULL)
        result = feedback_key_read(manager->config->feedback.key_file, errors, &key);
    if (result < 0) {
        access_free(access);
        return result;
    }
    manager_set_access(manager, access);
    if (manager->feedback != NULL)
        feedback_set_key(manager->feedback, &key);
    result = log_reopen();
    if (result < 0)
        log_warning("[global] log = %s: %s; the old file stays", manager->config->global.log, strerror(-result));
    log_info("reloaded: %zu networks and %zu domains in allow-file, %zu networks in deny-file",
             access->allowed.networks.count, access->allowed.domains.count, access->denied.networks.count);
    return 0;
}

void reload_verb(struct command *command, char **arguments, unsigned count) {
    char *text = NULL;
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
    if (result < 0)
        command_fail(command, "nothing has changed: %.900s", text);
    else
        command_reply_done(command,
                           "allow-file and deny-file are read anew; postern.ini itself is read at a start only");
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
    char *rest = text, *line;
    while (result < 0 && (line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            log_error("reload: nothing has changed: %s", line);
    free(text);
}
