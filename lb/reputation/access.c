/* allow-file and deny-file, read together. main.c and a reload load them; workers ask for each client that is admitted,
 * the reputation for names. The struct access owns both files' contents. A mistake in a file is the caller's to answer.
 */
#include "lb/reputation/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const struct network_file_use access_allow_file = {.option = "[reputation] allow-file"};
const struct network_file_use access_deny_file = {.option = "[reputation] deny-file", .domains_option = "allow-file"};

static int read_file(const char *path, const struct network_file_use *use, FILE *errors,
                     struct network_file *ret_file) {
    return path[0] == '\0' ? 0 : network_file_read(path, use, errors, ret_file);
}

int access_load(const struct config_reputation *config, FILE *errors, struct access **ret_access) {
    struct access *access = calloc(1, sizeof *access);
    if (access == NULL) {
        fprintf(errors, "[reputation] allow-file, deny-file: out of memory\n");
        return -ENOMEM;
    }
    int result = read_file(config->allow_file, &access_allow_file, errors, &access->allowed);
    int denied = read_file(config->deny_file, &access_deny_file, errors, &access->denied);
    if (result == 0)
        result = denied;
    if (result < 0)
        access_free(access);
    else
        *ret_access = access;
    return result;
}

void access_free(struct access *access) {
    if (access == NULL)
        return;
    network_file_finish(&access->allowed);
    network_file_finish(&access->denied);
    free(access);
}
