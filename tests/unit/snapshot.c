/* Snapshots: nothing is freed while a worker may still read it, everything is when none can. */
#include "lb/engine/snapshot.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

struct object {
    struct retired retired;
    uint64_t value;
};

static unsigned released;

static void release(struct retired *retired) {
    struct object *object = container_of(retired, struct object, retired);
    object->value = 0;
    released++;
    free(object);
}

static struct object *make(uint64_t value) {
    struct object *object = calloc(1, sizeof *object);
    object->value = value;
    return object;
}

Test(snapshot, an_old_object_lives_as_long_as_one_reader_is_in_the_turn_that_saw_it) {
    struct snapshots snapshots;
    struct object *first = make(1), *second = make(2);
    released = 0;
    snapshots_init(&snapshots, 2);
    snapshots_publish(&snapshots, first);
    cr_assert_eq(snapshots_online(&snapshots, 0), first);
    snapshots_publish(&snapshots, second);
    snapshots_retire(&snapshots, &first->retired, release);
    cr_assert(snapshots_reclaim(&snapshots), "reader 0 still holds the first");
    cr_assert_eq(released, 0);
    cr_assert_eq(snapshots_online(&snapshots, 1), second);
    cr_assert(snapshots_reclaim(&snapshots));
    cr_assert_eq(snapshots_online(&snapshots, 0), second);
    cr_assert_not(snapshots_reclaim(&snapshots));
    cr_assert_eq(released, 1);
    snapshots_retire(&snapshots, &second->retired, release);
    snapshots_offline(&snapshots, 0);
    snapshots_offline(&snapshots, 1);
    cr_assert_not(snapshots_reclaim(&snapshots));
    cr_assert_eq(released, 2);
}

static struct snapshots shared;
static atomic_bool stop;
static atomic_uint seen_bad, seen[3];
/* So often each reader must have looked, however late a busy machine lets it begin. */
#define LOOKS_LEAST 1000u

static void *read_on(void *argument) {
    unsigned reader = (unsigned)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        const struct object *object = snapshots_online(&shared, reader);
        for (unsigned i = 0; i < 20; i++)
            if (object->value == 0)
                atomic_fetch_add(&seen_bad, 1);
        snapshots_offline(&shared, reader);
        atomic_fetch_add(&seen[reader], 1);
    }
    return NULL;
}

static bool all_have_looked(void) {
    return atomic_load(&seen[0]) >= LOOKS_LEAST && atomic_load(&seen[1]) >= LOOKS_LEAST &&
           atomic_load(&seen[2]) >= LOOKS_LEAST;
}

Test(snapshot, readers_at_full_speed_never_see_a_freed_object) {
    pthread_t threads[3];
    struct object *current = make(1);
    released = 0;
    snapshots_init(&shared, 3);
    snapshots_publish(&shared, current);
    for (uintptr_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, read_on, (void *)i);
    unsigned count = 0;
    for (; count < 20000 || !all_have_looked(); count++) {
        struct object *old = current;
        current = make(count + 2);
        snapshots_publish(&shared, current);
        snapshots_retire(&shared, &old->retired, release);
        snapshots_reclaim(&shared);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_assert_not(snapshots_reclaim(&shared));
    cr_assert_eq(released, count);
    cr_assert_eq(atomic_load(&seen_bad), 0);
    free(current);
}
