/* What verbs look at and change: parts of the daemon that the manager has made, and the one thing that the manager
 * itself has to do. It is filled in before the control socket is started and stays as it is. */
#ifndef POSTERN_CONTROL_SCOPE_H
#define POSTERN_CONTROL_SCOPE_H

#include <stdint.h>
#include <stdio.h>

struct config;
struct health;
struct io;
struct keeper;
struct lookups;
struct mailbox;
struct questions;
struct reputation;
struct roster;
struct workers_shared;

struct control_scope {
    const struct config *config;
    struct io *io;           /* the manager's ring */
    struct mailbox *mailbox; /* to which workers answer */
    const struct workers_shared *shared;
    struct roster *roster;
    struct health *health;
    struct questions *questions;
    struct reputation *reputation; /* NULL: off; `lookups` is, too, then */
    struct lookups *lookups;
    struct keeper *keeper; /* NULL: nothing is kept */
    uint64_t started_ms;   /* by the ring's clock */
    /* Reads the files anew. Returns how many alarms that left in the log; or -errno, nothing has changed then, and
     * every mistake is on `errors`. */
    int (*reload)(void *context, FILE *errors);
    void *reload_context;
};

#endif
