/* Memory in whole pages, for tables that are sized at start: zeroed, and taken from the system page by page as they are
 * touched, so that a bound may be generous. Its owner gives it back with the size that it asked for. */
#ifndef POSTERN_BASE_MEMORY_H
#define POSTERN_BASE_MEMORY_H

#include <stddef.h>

/* Addresses without memory behind them yet. Returns NULL when there are none (RLIMIT_AS), or for 0 octets. */
void *memory_reserve(size_t bytes);
/* The same, with its memory behind it from the beginning. */
void *memory_populate(size_t bytes);
/* Accepts NULL. */
void memory_release(void *memory, size_t bytes);

#endif
