/* Reads the file of the configuration whole, and within a bound, before reader.c looks at a line of it. main.c calls it
 * once, at the start or for `postern -T`. Owns the text until it is parsed. Nothing is fatal here: the caller gets an
 * error, and the mistakes are written out. */
#include "conf/load.h"

#include "conf/limits.h"
#include "conf/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_whole(int fd, char **ret_text, size_t *ret_length) {
    char *text = malloc(CONFIG_FILE_MAX + 1);
    size_t length = 0;
    ssize_t got = 0;
    if (text == NULL)
        return -ENOMEM;
    while (length <= CONFIG_FILE_MAX && (got = read(fd, text + length, CONFIG_FILE_MAX + 1 - length)) > 0)
        length += (size_t)got;
    if (got < 0 || length > CONFIG_FILE_MAX) {
        free(text);
        return got < 0 ? -errno : -EFBIG;
    }
    *ret_text = text;
    *ret_length = length;
    return 0;
}

int config_load(const char *path, FILE *errors, struct config **ret_config) {
    char *text = NULL;
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : read_whole(fd, &text, &length);
    if (fd >= 0)
        close(fd);
    if (result < 0) {
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(-result));
        return result;
    }
    result = config_parse(path, text, length, errors, ret_config);
    free(text);
    return result;
}
