/* A backend that the control socket adds. */
#ifndef POSTERN_CONF_ADDED_BACKEND_H
#define POSTERN_CONF_ADDED_BACKEND_H

#include "conf/config.h"

/* A backend as [backend NAME] of the file would describe it, with everything that it does not give taken from its tier.
 * `words` are option and value in turn ("address", "192.0.2.1:25", …). Returns 0, or -EINVAL with what is wrong and
 * what is allowed in `ret_error`. Finish the result with config_backend_finish(). */
int config_parse_backend(const struct config *config, const char *name, char *const *words, size_t words_count,
                         struct config_backend *ret_backend, char *ret_error, size_t error_size);

#endif
