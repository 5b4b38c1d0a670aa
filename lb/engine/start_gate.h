/* Threads that begin together, or not at all: each gets ready, waits at the gate, and is told whether to go on. So a
 * start that fails half-way has threads that have touched nothing yet. */
#ifndef POSTERN_ENGINE_START_GATE_H
#define POSTERN_ENGINE_START_GATE_H

#include <pthread.h>
#include <stdbool.h>

enum start_gate_state {
    START_GATE_CLOSED,  /* threads wait */
    START_GATE_OPEN,    /* they go on */
    START_GATE_GIVEN_UP /* they end */
};

struct start_gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned arrived;
    int result; /* the first failure */
    enum start_gate_state state;
};

void start_gate_init(struct start_gate *gate);
void start_gate_finish(struct start_gate *gate);

/* A thread that is ready (`result` 0), or can't be (-errno). Returns true when it is to go on, false when to end. */
bool start_gate_arrive(struct start_gate *gate, int result);

/* Whoever starts them: waits until `count` have arrived. Returns 0, or the -errno of the first that can't go on. */
int start_gate_await(struct start_gate *gate, unsigned count);
/* Lets all go on, or tells all to end; once. */
void start_gate_decide(struct start_gate *gate, bool goes_on);

#endif
