/* The configuration from its file. */
#ifndef POSTERN_CONF_LOAD_H
#define POSTERN_CONF_LOAD_H

#include "conf/config.h"

#include <stdio.h>

/* Reads and checks `path`. Every mistake in it, not just the first, is written to `errors` as
 * "file:line: [section] option: what is wrong, what is allowed\n". Returns 0 and a configuration that the caller
 * frees with config_free(), or -EINVAL (mistakes), -ENOENT and other -errno (unreadable, said on `errors` too);
 * *ret_config is untouched on failure. */
int config_load(const char *path, FILE *errors, struct config **ret_config);

#endif
