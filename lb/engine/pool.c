/* Objects of one size in one lazily touched mapping; a free object holds the link to the next in its first word.
 * Sessions and what belongs to them come from pools of their worker. A pool owns the mapping, and whoever took an
 * object owns that. Fatal here, by asserts, is an index that is out of bounds, or more given back than was taken. */
#include "lb/engine/pool.h"

#include "lb/base/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int pool_init(struct pool *pool, size_t object_bytes, unsigned capacity) {
    memset(pool, 0, sizeof *pool);
    /* malloc(3)'s alignment. Whole cache lines would cost an idle session 100 octets; one thread uses a pool. */
    pool->object_bytes = (object_bytes + 15) / 16 * 16;
    pool->capacity = capacity;
    pool->objects = memory_reserve(pool->object_bytes * capacity);
    return pool->objects != NULL ? 0 : -ENOMEM;
}

void pool_finish(struct pool *pool) {
    memory_release(pool->objects, pool->object_bytes * pool->capacity);
    memset(pool, 0, sizeof *pool);
}

void *pool_at(const struct pool *pool, unsigned index) {
    assert(index < pool->capacity);
    return pool->objects + index * pool->object_bytes;
}

unsigned pool_index(const struct pool *pool, const void *object) {
    return (unsigned)((size_t)((const unsigned char *)object - pool->objects) / pool->object_bytes);
}

void *pool_get(struct pool *pool) {
    void *object = pool->free_list;
    if (object != NULL)
        memcpy(&pool->free_list, object, sizeof(void *));
    else if (pool->touched < pool->capacity)
        object = pool_at(pool, pool->touched++);
    else
        return NULL;
    pool->in_use++;
    return object;
}

void pool_put(struct pool *pool, void *object) {
    assert(pool->in_use > 0);
    memcpy(object, &pool->free_list, sizeof(void *));
    pool->free_list = object;
    pool->in_use--;
}
