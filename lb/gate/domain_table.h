/* relay-domains-file: the domains that are ours, one a line; `.example.test` takes what is below it. */
#ifndef POSTERN_GATE_DOMAIN_TABLE_H
#define POSTERN_GATE_DOMAIN_TABLE_H

#include "lb/gate/text_map.h"

#include <stdio.h>

/* Returns 0, with an empty map where there is nothing but comments; -EINVAL with every mistake on `errors`; or -errno
 * of open and read, about which nothing has been said. *ret_domains is untouched on failure. */
int domain_table_read(const char *path, FILE *errors, struct text_map *ret_domains);
/* `domain`: in lower case, no dot at its end. */
bool domain_table_has(const struct text_map *domains, const char *domain);

#endif
