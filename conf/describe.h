/* A value as the file would have it, and what the file may have in its place. */
#ifndef POSTERN_CONF_DESCRIBE_H
#define POSTERN_CONF_DESCRIBE_H

#include "conf/options.h"

#include <stdio.h>

/* Writes the value as the file would have it. */
void option_print(const struct option *option, const void *section_data, FILE *out);
/* "a duration (500ms, 2s, 5m, 1h, 7d) from 1ms to 1h", for messages and the man page. */
void option_describe(const struct option *option, char *ret_text, size_t text_size);

#endif
