/* The manager of a simulated world: postern's own roster, probes, ejections, reputation and questions to the DNS on a
 * ring of their own, without signals and control socket. */
#ifndef POSTERN_TESTS_SIM_MANAGER_H
#define POSTERN_TESTS_SIM_MANAGER_H

#include "backends/roster.h"
#include "health/health.h"
#include "lb/dns/questions.h"
#include "lb/gate/tables.h"
#include "lb/relay/worker.h"
#include "lb/reputation/lookups.h"

struct sim_manager {
    const struct config *config;
    struct io *io;
    struct mailbox mailbox;
    struct roster *roster;
    struct health *health; /* NULL: not begun */
    struct resolver *resolver;
    struct questions *questions; /* NULL: no tier needs them */
    struct reputation reputation;
    struct lookups *lookups;
    struct access *access;
    struct gate_tables *gate_tables;
    struct timer tick;
    struct workers_shared shared;
};

/* Makes all but the workers; ends the program when it can't. */
void sim_manager_begin(struct sim_manager *manager, const struct config *config);
/* When the workers are there. */
void sim_manager_start(struct sim_manager *manager);
/* One turn of its loop. */
void sim_manager_turn(struct sim_manager *manager);
/* allow-file, deny-file and the gate's files are read anew. */
void sim_manager_reload(struct sim_manager *manager);
/* After the workers' end. */
void sim_manager_finish(struct sim_manager *manager);
/* Which of sim_backends it is. */
unsigned sim_number_of(const struct backend *backend);
/* Seconds since 1970, as the world's clock has them. */
uint32_t sim_now_s(void);

#endif
