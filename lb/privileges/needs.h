/* What postern needs of the file system once it has its user's rights, looked at as that user. */
#ifndef POSTERN_PRIVILEGES_NEEDS_H
#define POSTERN_PRIVILEGES_NEEDS_H

#include "lb/privileges/identity.h"

/* Whether the files that a reload reads can be read, state-dir with what is in it and the log can be written, and the
 * control socket be removed. What does not exist is no matter of rights, and left to whoever wants it. Where the
 * identity changes, a child takes it on and looks, so that the caller has given up nothing; to be called while there is
 * one thread. Returns 0, or -errno with everything that is amiss on `errors`, a line each. */
int needs_check(const struct identity *identity, const struct config *config, FILE *errors);

#endif
