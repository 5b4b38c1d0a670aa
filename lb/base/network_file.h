/* Files of networks and domains, one a line. */
#ifndef POSTERN_BASE_NETWORK_FILE_H
#define POSTERN_BASE_NETWORK_FILE_H

#include "lb/base/address.h"
#include "lb/base/word_list.h"

#include <stdio.h>

struct network_file {
    struct cidr_list networks; /* sorted, none within another */
    struct word_list domains;  /* in lower case: ".example.org" */
};

/* Whose file it is, for messages. */
struct network_file_use {
    const char *option;         /* that names the file: "[reputation] allow-file" */
    const char *domains_option; /* NULL: the file may have domains; else in whose file alone they may stand */
};

/* Reads networks and, where they are allowed, `.domain` lines; # and ; begin a comment. Mistakes go to `errors` as
 * "file:line: …", all of them. Returns 0, -EINVAL, or -errno of open and read; *ret_file is untouched on failure. */
int network_file_read(const char *path, const struct network_file_use *use, FILE *errors,
                      struct network_file *ret_file);
/* Accepts a zeroed one. */
void network_file_finish(struct network_file *file);
bool network_file_has_address(const struct network_file *file, const struct address *address);
/* `name`: in lower case, without a dot at its end. ".example.org" stands for that name and all below it. The line that
 * it is of, or NULL. */
const char *network_file_find_name(const struct network_file *file, const char *name);

#endif
