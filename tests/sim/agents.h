/* Clients and backends' processes, as the simulator turns them: each acts while it has something to do, then rests
 * until its connection changes or its time comes. */
#ifndef POSTERN_TESTS_SIM_AGENTS_H
#define POSTERN_TESTS_SIM_AGENTS_H

#include <stdbool.h>
#include <stdint.h>

/* Embedded in its owner. */
struct agent {
    /* Does one thing; false when there was nothing to do: wake_ms then says when it is to be tried again at the latest
     * (UINT64_MAX: never). */
    bool (*act)(struct agent *agent);
    uint64_t wake_ms;
    bool is_there, is_ready;
    unsigned place; /* among all */
};

void agents_begin(void);
/* `act` must be set. It is ready. */
void agent_join(struct agent *agent);
/* From within its `act` or from elsewhere. */
void agent_leave(struct agent *agent);
/* Something has changed for it. Accepts NULL. */
void agent_rouse(struct agent *agent);
/* Most of those that are ready act; true while any is. */
bool agents_act(void);
/* The clock has moved: whose time has come is ready. */
void agents_wake(void);
/* The earliest time of those that rest. */
uint64_t agents_next_ms(void);

#endif
