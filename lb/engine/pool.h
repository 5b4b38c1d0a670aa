/* Objects of one size, as many as are sized at start: no allocation on the data path, and memory that was never needed
 * is never touched. Belongs to one thread. */
#ifndef POSTERN_ENGINE_POOL_H
#define POSTERN_ENGINE_POOL_H

#include <stddef.h>

struct pool {
    unsigned char *objects;
    size_t object_bytes;
    unsigned capacity;
    unsigned touched; /* objects [0, touched) have been used at some time */
    unsigned in_use;
    void *free_list; /* linked through each free object's first word */
};

/* Returns 0 or -ENOMEM. */
int pool_init(struct pool *pool, size_t object_bytes, unsigned capacity);
void pool_finish(struct pool *pool);
/* Returns an object with undefined contents, or NULL when all are in use. */
void *pool_get(struct pool *pool);
/* The first word of the object is overwritten, the rest keeps its contents. */
void pool_put(struct pool *pool, void *object);
/* For walks over all objects: `index` < pool->touched; free ones are among them. */
void *pool_at(const struct pool *pool, unsigned index);
/* The index of an object of the pool's. */
unsigned pool_index(const struct pool *pool, const void *object);

#endif
