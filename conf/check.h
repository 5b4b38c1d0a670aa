/* What no single option can know: contradictions between them. */
#ifndef POSTERN_CONF_CHECK_H
#define POSTERN_CONF_CHECK_H

#include "conf/options.h"

struct check_events {
    void (*report)(void *context, unsigned line, const char *message);
    /* The line of an option (NULL: of the header) of the section at this place among those of its kind. */
    unsigned (*find_line)(void *context, enum section section, size_t place, const char *option);
    void *context;
};

/* Reports each contradiction with the line that has to change. */
void config_check(const struct config *config, const struct check_events *events);

#endif
