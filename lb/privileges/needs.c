/* Whether the user that postern takes on may read the files of the configuration, and write what it has to write.
 * Without this check, a key file that only root may read would be read well at the start and fail the next reload,
 * weeks later. The kernel is asked, in a child process that is this user: modes, groups, access lists and read-only
 * mounts are for it to judge. main.c calls it at a start and for `-T`, while there is one thread. A need that is not
 * met is fatal at the start. */
#include "lb/privileges/needs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct look {
    const struct identity *identity;
    FILE *errors;
    bool has_refusal;
};

/* One that is not there is no matter of rights. */
static bool is_refused(const char *path, int mode) {
    return access(path, mode) < 0 && (errno == EACCES || errno == EPERM || errno == EROFS);
}

static void say(struct look *look, const char *option, const char *value, const char *verb, const char *path) {
    const char *reason = strerror(errno);
    const char *name = look->identity->mode == IDENTITY_CHANGES ? look->identity->name : "that runs it";
    fprintf(look->errors, "postern: %s = %s: user %s can't %s %s: %s\n", option, value, name, verb, path, reason);
    look->has_refusal = true;
}

static void look_at_file(struct look *look, const char *option, const char *path) {
    if (path[0] != '\0' && is_refused(path, R_OK))
        say(look, option, path, "read", "it");
}

/* Files are made and removed there. */
static void look_at_folder_of(struct look *look, const char *option, const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof folder)
        return;
    memcpy(folder, slash == NULL ? "." : path, length);
    folder[length] = '\0';
    if (is_refused(folder, W_OK | X_OK))
        say(look, option, path, "write to the folder", folder);
}

/* A start as another user has left them. */
static void look_at_state_files(struct look *look, const char *directory, DIR *open_directory) {
    char path[PATH_MAX];
    struct stat status;
    const struct dirent *entry;
    while ((entry = readdir(open_directory)) != NULL) {
        if (snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >= (int)sizeof path)
            continue;
        if (lstat(path, &status) == 0 && S_ISREG(status.st_mode) && is_refused(path, R_OK | W_OK))
            say(look, "[global] state-dir", directory, "read and write", entry->d_name);
    }
}

static void look_at_state_dir(struct look *look, const char *directory) {
    if (directory[0] == '\0')
        return;
    if (is_refused(directory, R_OK | W_OK | X_OK)) {
        say(look, "[global] state-dir", directory, "read and write", "it");
        return;
    }
    DIR *open_directory = opendir(directory);
    if (open_directory == NULL)
        return;
    look_at_state_files(look, directory, open_directory);
    closedir(open_directory);
}

/* A log that exists may stand in a folder of root's: logrotate makes the next one. */
static void look_at_log(struct look *look, const char *log) {
    if (log[0] != '/')
        return;
    if (access(log, F_OK) < 0 && errno == ENOENT)
        look_at_folder_of(look, "[global] log", log);
    else if (is_refused(log, W_OK))
        say(look, "[global] log", log, "write", "it");
}

static int look_at_all(const struct identity *identity, const struct config *config, FILE *errors) {
    struct look look = {.identity = identity, .errors = errors};
    look_at_state_dir(&look, config->global.state_dir);
    look_at_log(&look, config->global.log);
    look_at_file(&look, "[reputation] allow-file", config->reputation.allow_file);
    look_at_file(&look, "[reputation] deny-file", config->reputation.deny_file);
    look_at_file(&look, "[gate] relay-domains-file", config->gate.relay_domains_file);
    look_at_file(&look, "[gate] recipients-file", config->gate.recipients_file);
    look_at_file(&look, "[gate] access-file", config->gate.access_file);
    if (config->feedback.listen.count > 0)
        look_at_file(&look, "[feedback] key-file", config->feedback.key_file);
    look_at_folder_of(&look, "[control] socket", config->control.socket);
    return look.has_refusal ? -EACCES : 0;
}

/* What the child has found, it has said itself; how it ended otherwise is said here. */
static int await_look(const struct identity *identity, pid_t child, FILE *errors) {
    int status;
    while (waitpid(child, &status, 0) < 0) {
        int error = errno;
        if (error == EINTR)
            continue;
        fprintf(errors, "postern: looking at files as user %s: %s\n", identity->name, strerror(error));
        return -error;
    }
    if (WIFSIGNALED(status))
        fprintf(errors, "postern: looking at files as user %s: the check was ended by signal %d\n", identity->name,
                WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EACCES;
}

int needs_check(const struct identity *identity, const struct config *config, FILE *errors) {
    if (identity->mode == IDENTITY_STAYS_ROOT)
        return 0;
    if (identity->mode == IDENTITY_KEPT)
        return look_at_all(identity, config, errors);
    fflush(errors); /* or the child would write it once more */
    pid_t child = fork();
    if (child < 0) {
        fprintf(errors, "postern: looking at files as user %s: %s\n", identity->name, strerror(errno));
        return -errno;
    }
    if (child == 0) {
        int result = identity_take(identity, errors);
        if (result == 0)
            result = look_at_all(identity, config, errors);
        fflush(errors);
        _exit(result < 0 ? 1 : 0);
    }
    return await_look(identity, child, errors);
}
