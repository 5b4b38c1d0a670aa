/* The list of all agents (clients and backends' processes), and of those that are ready to act. Both are small; an
 * agent that rests costs nothing here. */
#include "tests/sim/agents.h"

#include "tests/sim/sim.h"

#include <assert.h>
#include <stddef.h>

#define AGENTS_MAX 4096u

static struct agent *all[AGENTS_MAX], *ready[AGENTS_MAX]; /* NULL: it has left since */
static unsigned all_count, ready_count;
static uint64_t next_ms; /* nobody's time comes before */

void agents_begin(void) {
    all_count = ready_count = 0;
    next_ms = UINT64_MAX;
}

void agent_join(struct agent *agent) {
    assert(all_count < AGENTS_MAX);
    agent->is_there = true;
    agent->is_ready = false;
    agent->wake_ms = UINT64_MAX;
    agent->place = all_count;
    all[all_count++] = agent;
    agent_rouse(agent);
}

void agent_leave(struct agent *agent) {
    agent->is_there = false;
    all[agent->place] = all[--all_count];
    all[agent->place]->place = agent->place;
    for (unsigned i = 0; agent->is_ready && i < ready_count; i++)
        if (ready[i] == agent)
            ready[i] = NULL;
    agent->is_ready = false;
}

void agent_rouse(struct agent *agent) {
    if (agent == NULL || agent->is_ready || !agent->is_there)
        return;
    agent->is_ready = true;
    assert(ready_count < AGENTS_MAX);
    ready[ready_count++] = agent;
}

static void rest(struct agent *agent) {
    if (agent->is_ready || !agent->is_there)
        return;
    if (agent->wake_ms <= sim_now_ms())
        agent_rouse(agent);
    else if (agent->wake_ms < next_ms)
        next_ms = agent->wake_ms;
}

bool agents_act(void) {
    unsigned count = ready_count, kept = 0;
    for (unsigned i = 0; i < count; i++) {
        struct agent *agent = ready[i];
        if (agent == NULL)
            continue;
        if (sim_once_in(3)) {
            ready[kept++] = agent;
            continue;
        }
        ready[i] = NULL;
        agent->is_ready = false;
        bool has_acted = agent->act(agent);
        if (has_acted)
            agent_rouse(agent); /* behind the others */
        else
            rest(agent);
    }
    for (unsigned i = count; i < ready_count; i++)
        if (ready[i] != NULL)
            ready[kept++] = ready[i];
    ready_count = kept;
    return ready_count > 0;
}

void agents_wake(void) {
    if (sim_now_ms() < next_ms)
        return;
    next_ms = UINT64_MAX;
    for (unsigned i = 0; i < all_count; i++) {
        if (all[i]->wake_ms <= sim_now_ms())
            agent_rouse(all[i]);
        else if (all[i]->wake_ms < next_ms)
            next_ms = all[i]->wake_ms;
    }
}

uint64_t agents_next_ms(void) {
    return next_ms;
}
