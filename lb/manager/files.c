/* The files that postern.ini names, read anew while mail flows and put in force. Workers read the contents through
 * their shared part, each for one turn of its loop; so the old contents are retired like an old view, and freed when
 * all workers have passed a turn. Owns what is in force. Nothing is fatal here: a file with a mistake changes nothing.
 */
#include "lb/manager/files.h"

#include "lb/engine/container.h"
#include "lb/engine/log.h"
#include "lb/feedback/feedback.h"
#include "lb/reputation/reputation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void release_access(struct retired *retired) {
    access_free(container_of(retired, struct access, retired));
}

void files_set_access(struct files *files, struct access *access) {
    struct access *old = files->access;
    struct workers_shared *shared = &files->workers->shared;
    files->access = access;
    reputation_set_access(files->reputation, access, (uint32_t)time(NULL));
    atomic_store(&shared->access, access);
    if (old != NULL)
        snapshots_retire(shared->views, &old->retired, release_access);
    workers_wake(files->workers);
}

static void release_gate_tables(struct retired *retired) {
    gate_tables_free(container_of(retired, struct gate_tables, retired));
}

void files_set_gate_tables(struct files *files, struct gate_tables *tables) {
    struct gate_tables *old = files->gate_tables;
    struct workers_shared *shared = &files->workers->shared;
    files->gate_tables = tables;
    atomic_store(&shared->gate_tables, tables);
    if (old != NULL)
        snapshots_retire(shared->views, &old->retired, release_gate_tables);
    workers_wake(files->workers);
}

void files_finish(struct files *files) {
    access_free(files->access);
    gate_tables_free(files->gate_tables);
}

/* --- reload --- */

/* Reads all, and changes nothing where one is wrong. */
static int read_anew(struct files *files, FILE *errors) {
    struct access *access = NULL;
    struct gate_tables *tables = NULL;
    struct feedback_key key;
    int result = access_load(&files->config->reputation, errors, &access);
    int loaded = gate_tables_load(&files->config->gate, files->gate_tables, errors, &tables);
    if (result == 0)
        result = loaded;
    if (result == 0 && files->feedback != NULL)
        result = feedback_key_read(files->config->feedback.key_file, errors, &key);
    if (result < 0) {
        access_free(access);
        gate_tables_free(tables);
        return result;
    }
    files_set_access(files, access);
    files_set_gate_tables(files, tables);
    if (files->feedback != NULL)
        feedback_set_key(files->feedback, &key);
    return 0;
}

static void log_what_is_in_force(const struct files *files) {
    const struct access *access = files->access;
    char described[200];
    gate_tables_describe(files->gate_tables, described, sizeof described);
    log_info("reloaded: %zu networks and %zu domains in allow-file, %zu networks in deny-file; entries of the gate: %s",
             access->allowed.networks.count, access->allowed.domains.count, access->denied.networks.count, described);
}

/* Each line is one. Returns how many. */
static int log_alarms(char *text) {
    char *line;
    int count = 0;
    while ((line = strsep(&text, "\n")) != NULL) {
        if (*line == '\0')
            continue;
        log_warning("reload: %s", line);
        count++;
    }
    return count;
}

int files_reload(struct files *files, FILE *errors) {
    char *said = NULL;
    size_t length;
    FILE *out = open_memstream(&said, &length);
    if (out == NULL) {
        fputs("out of memory\n", errors);
        return -ENOMEM;
    }
    int result = read_anew(files, out);
    fclose(out);
    if (result < 0) {
        fputs(said, errors);
        free(said);
        return result;
    }
    int reopened = log_reopen();
    if (reopened < 0)
        log_warning("[global] log = %s: %s; the old file stays", files->config->global.log, strerror(-reopened));
    log_what_is_in_force(files);
    result = log_alarms(said);
    free(said);
    return result;
}

void files_reload_by_signal(struct files *files) {
    char *mistakes = NULL, *line;
    size_t length;
    FILE *errors = open_memstream(&mistakes, &length);
    if (errors == NULL)
        return;
    int result = files_reload(files, errors);
    fclose(errors);
    char *rest = result < 0 ? mistakes : NULL;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            log_error("reload: nothing has changed: %s", line);
    free(mistakes);
}
