/* All workers together: begun, woken, stopped, cut and joined as one. manager.c and stop.c call it; main.c has made the
 * workers. Fatal at the start is a worker that cannot begin: then none does. */
#include "lb/manager/workers.h"

int workers_start(struct workers *workers) {
    struct workers_shared *shared = &workers->shared;
    unsigned started = 0;
    int result = 0;
    while (result == 0 && started < shared->workers_count) {
        result = worker_start(shared->workers[started]);
        started += result == 0;
    }
    int ready = start_gate_await(&shared->start, started);
    if (result == 0)
        result = ready;
    start_gate_decide(&shared->start, result == 0);
    workers->run = result == 0;
    for (unsigned i = 0; result < 0 && i < started; i++)
        worker_join(shared->workers[i]);
    return result;
}

void workers_wake(struct workers *workers) {
    for (unsigned i = 0; workers->run && i < workers->shared.workers_count; i++)
        worker_wake(workers->shared.workers[i]);
}

bool workers_are_serving(const struct workers *workers) {
    for (unsigned i = 0; i < workers->shared.workers_count; i++)
        if (!worker_is_serving(workers->shared.workers[i]))
            return false;
    return true;
}

void workers_stop(struct workers *workers, uint64_t timeout_ms) {
    for (unsigned i = 0; i < workers->shared.workers_count; i++)
        worker_stop(workers->shared.workers[i], timeout_ms);
}

void workers_cut(struct workers *workers) {
    for (unsigned i = 0; i < workers->shared.workers_count; i++)
        worker_cut(workers->shared.workers[i]);
}

bool workers_have_ended(const struct workers *workers) {
    for (unsigned i = 0; i < workers->shared.workers_count; i++)
        if (!worker_has_ended(workers->shared.workers[i]))
            return false;
    return true;
}

void workers_read_waits(const struct workers *workers, struct worker_waits *ret_waits) {
    *ret_waits = (struct worker_waits){0};
    for (unsigned i = 0; i < workers->shared.workers_count; i++) {
        struct worker_waits waits;
        worker_read_waits(workers->shared.workers[i], &waits);
        ret_waits->content += waits.content;
        ret_waits->final_reply += waits.final_reply;
        ret_waits->tls += waits.tls;
        ret_waits->others += waits.others;
    }
}

uint64_t workers_join(struct workers *workers) {
    uint64_t doubled = 0;
    for (unsigned i = 0; i < workers->shared.workers_count; i++) {
        struct worker_counters counters;
        worker_join(workers->shared.workers[i]);
        worker_read_counters(workers->shared.workers[i], &counters);
        doubled += counters.doubled_total;
    }
    return doubled;
}
