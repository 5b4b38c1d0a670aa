/* FNV-1a, 64 bits: enough to see that a mail has come through whole. */
#ifndef POSTERN_BENCH_HASH_H
#define POSTERN_BENCH_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_octets(uint64_t hash, const void *data, size_t length) {
    const uint8_t *octets = data;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ octets[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
