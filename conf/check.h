/* What no single option can know: contradictions between them. */
#ifndef POSTERN_CONF_CHECK_H
#define POSTERN_CONF_CHECK_H

#include "conf/config.h"

/* Calls `report` for each contradiction with the line of the section it is in. */
void config_check(const struct config *config, void (*report)(void *context, unsigned line, const char *message),
                  void *context);

#endif
