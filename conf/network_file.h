/* Files of networks, one a line, as `[reputation] allow-file`. */
#ifndef POSTERN_CONF_NETWORK_FILE_H
#define POSTERN_CONF_NETWORK_FILE_H

#include "conf/address.h"

#include <stdio.h>

/* Reads networks; # and ; begin a comment; a line `.domain` is counted in *ret_domains but has no effect (it needs
 * confirmed reverse DNS). Mistakes go to `errors` as "file:line: …", all of them. Returns 0 and a list that the caller
 * frees, -EINVAL, or -errno of open and read. */
int network_file_read(const char *path, FILE *errors, struct cidr_list *ret_list, unsigned *ret_domains);

#endif
