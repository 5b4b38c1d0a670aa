/* Backends given by name: resolved without delaying the start, and again when the answer's time to live is over. A
 * changed address drains the old one: it gets no more sessions, those that it has finish. Of several addresses one is
 * in use, and the next takes its place when its probes fail. On the manager's ring. */
#ifndef POSTERN_BACKENDS_NAMES_H
#define POSTERN_BACKENDS_NAMES_H

#include "backends/roster.h"
#include "lb/dns/resolver.h"

struct names;

/* Follows all of the roster's backends that have a name. `config`: whose listeners are no backends. Returns 0 or
 * -ENOMEM. All four outlive it. */
int names_create(struct io *io, struct resolver *resolver, struct roster *roster, const struct config *config,
                 struct names **ret_names);
/* After the loop has ended. Accepts NULL. */
void names_destroy(struct names *names);
/* The roster's events; backends without a name are no concern. */
void names_on_added(struct names *names, struct backend *backend);
void names_on_removed(struct names *names, struct backend *backend);

#endif
