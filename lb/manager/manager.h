/* The manager: one thread with its own ring that owns everything workers only read: the roster, probes, the control
 * socket, signals, the clock of tiers. */
#ifndef POSTERN_MANAGER_MANAGER_H
#define POSTERN_MANAGER_MANAGER_H

#include "backends/names.h"
#include "backends/roster.h"
#include "health/health.h"
#include "lb/control/scope.h"
#include "lb/dns/questions.h"
#include "lb/engine/io.h"
#include "lb/engine/mailbox.h"
#include "lb/manager/files.h"
#include "lb/manager/signals.h"
#include "lb/manager/stop.h"
#include "lb/manager/workers.h"
#include "lb/reputation/keeper.h"
#include "lb/reputation/lookups.h"

struct control;
struct feedback;

struct manager {
    const struct config *config;
    struct io *io;
    struct roster *roster;
    struct health *health;
    struct resolver *resolver;
    struct questions *questions; /* of workers, to the resolver */
    struct names *names;
    struct reputation reputation;
    struct lookups *lookups;
    struct keeper *keeper; /* NULL: nothing is kept */
    struct files files;
    struct control *control;
    struct control_scope scope; /* what its verbs reach */
    struct feedback *feedback;  /* NULL: off */
    struct workers workers;
    struct mailbox mailbox;
    struct timer tick;
    struct signals signals;
    struct stop stop;
    bool is_serving; /* all workers, and the control socket */
    uint64_t started_ms;
};

/* The bound on sessions over all workers: `auto` is what descriptors allow, 20000 at most; a number must fit. Returns
 * 0, or -EINVAL with the arithmetic in `ret_error` (DESIGN §4). Pure. */
int sessions_max_compute(uint32_t wanted, unsigned workers, uint64_t descriptors, uint32_t *ret_max, char *ret_error,
                         size_t error_size);

/* Makes ring, resolver and roster. `config` outlives it. Returns 0 or -errno with a sentence in `ret_error`; either
 * way, manager_finish() ends it. */
int manager_init(struct manager *manager, const struct config *config, unsigned workers, char *ret_error,
                 size_t error_size);
/* Makes what is still missing and starts the workers, which must have been created. Returns 0, or -errno with a
 * sentence in `ret_error`: no worker runs then. */
int manager_start(struct manager *manager, char *ret_error, size_t error_size);
/* Runs on the calling thread until SIGTERM or SIGINT, and then until the workers have ended. */
void manager_run(struct manager *manager);
/* Accepts a zeroed one. */
void manager_finish(struct manager *manager);

#endif
