/* The gate at which workers wait for each other at the start. One mutex and one condition are enough, since it is
 * passed once. It may block; nothing serves yet. */
#include "lb/engine/start_gate.h"

void start_gate_init(struct start_gate *gate) {
    *gate = (struct start_gate){.state = START_GATE_CLOSED};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

void start_gate_finish(struct start_gate *gate) {
    pthread_mutex_destroy(&gate->mutex);
    pthread_cond_destroy(&gate->changed);
}

bool start_gate_arrive(struct start_gate *gate, int result) {
    pthread_mutex_lock(&gate->mutex);
    gate->arrived++;
    if (gate->result == 0)
        gate->result = result;
    pthread_cond_broadcast(&gate->changed);
    while (gate->state == START_GATE_CLOSED)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    bool goes_on = gate->state == START_GATE_OPEN;
    pthread_mutex_unlock(&gate->mutex);
    return goes_on;
}

int start_gate_await(struct start_gate *gate, unsigned count) {
    pthread_mutex_lock(&gate->mutex);
    while (gate->arrived < count)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    int result = gate->result;
    pthread_mutex_unlock(&gate->mutex);
    return result;
}

void start_gate_decide(struct start_gate *gate, bool goes_on) {
    pthread_mutex_lock(&gate->mutex);
    gate->state = goes_on ? START_GATE_OPEN : START_GATE_GIVEN_UP;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}
