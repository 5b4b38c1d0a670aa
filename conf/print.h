/* What `postern -T` shows. */
#ifndef POSTERN_CONF_PRINT_H
#define POSTERN_CONF_PRINT_H

#include "conf/config.h"

#include <stdio.h>

/* The effective configuration in the form of the file, with each option that has no effect in this version marked so,
 * and before it warnings: of what is allowed and still rarely meant. */
void config_print(const struct config *config, FILE *out);

#endif
