/* The object pool: as many as were asked for, then a clear no, and all of them again after they came back. */
#include "lb/engine/pool.h"

#include <criterion/criterion.h>
#include <stdint.h>

Test(pool, gives_its_capacity_of_distinct_objects_and_then_none) {
    struct pool pool;
    void *objects[10];
    cr_assert_eq(pool_init(&pool, 100, 10), 0);
    for (unsigned i = 0; i < 10; i++) {
        objects[i] = pool_get(&pool);
        cr_assert_not_null(objects[i]);
        memset(objects[i], (int)i, 100);
        cr_assert_eq((uintptr_t)objects[i] % 16, 0);
    }
    cr_assert_null(pool_get(&pool));
    for (unsigned i = 0; i < 10; i++)
        for (unsigned at = 0; at < 100; at++)
            cr_assert_eq(((unsigned char *)objects[i])[at], i);
    cr_assert_eq(pool.in_use, 10);
    pool_finish(&pool);
}

Test(pool, what_came_back_is_given_again_before_fresh_memory_is_touched) {
    struct pool pool;
    cr_assert_eq(pool_init(&pool, 64, 1000), 0);
    for (unsigned i = 0; i < 5000; i++) {
        void *a = pool_get(&pool), *b = pool_get(&pool);
        pool_put(&pool, a);
        pool_put(&pool, b);
    }
    cr_assert_eq(pool.touched, 2);
    cr_assert_eq(pool.in_use, 0);
    cr_assert_eq(pool_at(&pool, 1), (unsigned char *)pool_at(&pool, 0) + pool.object_bytes);
    pool_finish(&pool);
    pool_finish(&pool);
}
