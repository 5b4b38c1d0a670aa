/* What the operator decides by files: who is always vetted, who is never served. Read by workers, exchanged whole by
 * the manager. */
#ifndef POSTERN_REPUTATION_ACCESS_H
#define POSTERN_REPUTATION_ACCESS_H

#include "conf/config.h"
#include "lb/base/network_file.h"
#include "lb/engine/snapshot.h"

struct access {
    struct retired retired;
    struct network_file allowed;
    struct network_file denied;
};

/* The two files' forms. In deny-file a domain would need a reverse lookup before a client is served, so that it is a
 * mistake there. */
extern const struct network_file_use access_allow_file, access_deny_file;

/* Reads allow-file and deny-file. Returns 0, or -errno with every mistake on `errors`; *ret_access is untouched then.
 */
int access_load(const struct config_reputation *config, FILE *errors, struct access **ret_access);
/* Accepts NULL. */
void access_free(struct access *access);

#endif
