/* Whose rights the process has after its start: `user`'s and no capability, for every thread that begins later. */
#ifndef POSTERN_PRIVILEGES_IDENTITY_H
#define POSTERN_PRIVILEGES_IDENTITY_H

#include "conf/config.h"

#include <stdio.h>
#include <sys/types.h>

enum identity_mode {
    IDENTITY_KEPT,       /* not started as root: its user stays, capabilities that it was given go */
    IDENTITY_STAYS_ROOT, /* `user` is empty on purpose: user and capabilities stay */
    IDENTITY_CHANGES,    /* from root to `user` */
};

struct identity {
    enum identity_mode mode;
    const char *name; /* the rest only where it changes; the configuration's */
    uid_t uid;
    gid_t gid;
};

/* Looks `user` up. Returns 0, or with the reason on `errors` where root was to become a user who does not exist
 * (-ENOENT) or is root (-EINVAL). `config` must outlive *ret_identity. */
int identity_find(const struct config_global *config, FILE *errors, struct identity *ret_identity);

/* Takes it on, for good: user, groups, all capabilities (the bounding and the ambient ones too) and their way back by
 * exec (no_new_privs); and no memory is shown to others of the same user or written to a core file. To be called while
 * there is one thread. Returns 0, or -errno with the reason on `errors`: the process must end then. */
int identity_take(const struct identity *identity, FILE *errors);

#endif
