/* What a configuration owns is given back. */
#ifndef POSTERN_CONF_FINISH_H
#define POSTERN_CONF_FINISH_H

#include "conf/config.h"

/* Accepts NULL. */
void config_free(struct config *config);
/* Of one backend, its name with it; for those of config_parse_backend(). */
void config_backend_finish(struct config_backend *backend);

#endif
