/* The configuration from a text. */
#ifndef POSTERN_CONF_READER_H
#define POSTERN_CONF_READER_H

#include "conf/config.h"

#include <stdio.h>

/* What config_load() does with what its file holds (conf/load.h); `path` is only for messages. */
int config_parse(const char *path, const char *text, size_t length, FILE *errors, struct config **ret_config);

#endif
