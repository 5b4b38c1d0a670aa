/* The gate at which threads wait for each other's success. */
#include "lb/engine/start_gate.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#define THREADS 8u

static struct start_gate gate;
static int results[THREADS];
static bool has_gone_on[THREADS];

static void *arrive(void *argument) {
    unsigned number = (unsigned)((int *)argument - results);
    has_gone_on[number] = start_gate_arrive(&gate, results[number]);
    return NULL;
}

static int start_all(bool goes_on_if_well) {
    pthread_t threads[THREADS];
    start_gate_init(&gate);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, arrive, &results[i]), 0);
    int result = start_gate_await(&gate, THREADS);
    start_gate_decide(&gate, result == 0 && goes_on_if_well);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    start_gate_finish(&gate);
    return result;
}

Test(start_gate, all_begin_when_all_are_ready) {
    cr_assert_eq(start_all(true), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert(has_gone_on[i]);
}

Test(start_gate, none_begins_when_one_is_not_ready_or_another_thread_is_missing) {
    cr_assert_eq(start_all(false), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_not(has_gone_on[i]);
    results[5] = -ENOMEM;
    cr_assert_eq(start_all(true), -ENOMEM);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_not(has_gone_on[i]);
}
