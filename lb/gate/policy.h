/* What the gate goes by beside what the client says: whom it speaks with, what the operator wants, what the host behind
 * takes, and how long it waits for whom. Pure. */
#ifndef POSTERN_GATE_POLICY_H
#define POSTERN_GATE_POLICY_H

#include "backends/view.h"
#include "conf/config.h"
#include "lb/gate/tables.h"

#include <stdbool.h>
#include <stdint.h>

/* The DNS has its own deadlines ([dns] timeout, tries); this only covers a lost answer. */
#define GATE_FACT_MS 30000u

/* Whom the gate speaks with. Which rules judge whom stands in rules.def. */
enum gate_standing {
    STANDING_ADMITTED,   /* a client that the host behind is to serve */
    STANDING_NOT_VETTED, /* a client that is not admitted: each recipient hears 450, so that its sender's log names them
                          */
    STANDING_CHECK,      /* the health check of a balancer before postern: heard up to MAIL */
};

/* What the caller knows at the time of a call. */
struct gate_policy {
    const struct config_gate *config;
    const struct gate_tables *tables;
    const char *hostname;
    const char *offer; /* the host's EHLO keywords, a line each (lb/smtp/ehlo.h); nobody else's than ADMITTED's */
    const struct address *client;
    enum gate_standing standing; /* the same in all calls for a session */
    uint64_t usual_size_max;     /* what the tiers before this one take; 0 = no limit, or not known */
    bool is_stressed;            /* many sessions: be short with them */
    bool minds_early_talk;       /* nobody has invited clients to talk on behind EHLO (enum early_talk) */
};

static inline bool gate_admits(const struct gate_policy *policy) {
    return policy->standing == STANDING_ADMITTED;
}

/* The largest mail that the hosts of the tiers before this one take; 0: they do not say. */
uint64_t gate_usual_size(const struct view *view, unsigned tier);
/* More than four fifths of max-sessions are there. */
bool gate_is_stressed(uint64_t sessions, uint64_t sessions_max);
/* How long a client has to keep silent before the greeting. */
uint64_t gate_pregreet_ms(const struct config_gate *config, bool is_stressed);
/* In which a whole command has to come. `client_ms`: of [timeouts]. */
uint64_t gate_command_ms(enum gate_standing standing, uint64_t client_ms, bool is_stressed);

#endif
