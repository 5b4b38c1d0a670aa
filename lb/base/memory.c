/* Whole pages of memory by mmap(2), for tables and pools that are sized at start. The caller owns what it gets. Nothing
 * is fatal here: where there is no memory the caller gets NULL. */
#include "lb/base/memory.h"

#include <sys/mman.h>

static void *map(size_t bytes, int flags) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void *memory_reserve(size_t bytes) {
    return map(bytes, MAP_NORESERVE);
}

void *memory_populate(size_t bytes) {
    return map(bytes, MAP_POPULATE);
}

void memory_release(void *memory, size_t bytes) {
    if (memory != NULL)
        munmap(memory, bytes);
}
