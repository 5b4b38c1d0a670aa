/* A value of the file in its field. */
#ifndef POSTERN_CONF_VALUE_H
#define POSTERN_CONF_VALUE_H

#include "conf/options.h"

/* Parses `text` into `section_data`; an old value is freed. Returns 0, or -EINVAL with what is wrong and allowed in
 * `ret_error` (the old value then stays). */
int option_parse(const struct option *option, const char *text, void *section_data, char *ret_error, size_t error_size);
void option_finish(const struct option *option, void *section_data);
/* A copy of the value in another struct's field of the same type. Returns 0 or -ENOMEM. */
int option_copy(const struct option *from, const void *from_data, const struct option *to, void *to_data);

#endif
