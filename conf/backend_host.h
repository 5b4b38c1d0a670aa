/* Where a backend may be. At one of postern's own listeners it would be postern again, and every session would go round
 * until all are used up. */
#ifndef POSTERN_CONF_BACKEND_HOST_H
#define POSTERN_CONF_BACKEND_HOST_H

#include "conf/config.h"

/* Returns false, with why as part of a sentence, when no backend can be at this address: it is no host's (a wildcard,
 * multicast, broadcast), or one of postern's own listeners is reached by it. */
bool config_can_be_backend(const struct config *config, const struct address *address, char *ret_why, size_t why_size);

/* The same address and port, or the same name and port. */
bool config_is_same_host(const struct config_backend *a, const struct config_backend *b);

#endif
