/* The one hash of this project, FNV-1a (Fowler, Noll and Vo), and the one mix, MurmurHash3's finish (Appleby). Neither
 * has a secret: where peers choose what is hashed and could make it meet, see lb/dns/answer_cache.h. Some of these
 * values are kept on disk or known to benches, so none of these functions may give others than it does. Pure. */
#ifndef POSTERN_BASE_HASH_H
#define POSTERN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The hash of nothing; what is hashed after it goes on from there. */
#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_octet(uint64_t hash, uint8_t octet) {
    return (hash ^ octet) * UINT64_C(0x100000001b3);
}

static inline uint64_t hash_octets(uint64_t hash, const void *data, size_t length) {
    const uint8_t *octets = data;
    for (size_t i = 0; i < length; i++)
        hash = hash_octet(hash, octets[i]);
    return hash;
}

/* Up to the NUL, which does not count. */
static inline uint64_t hash_text(uint64_t hash, const char *text) {
    for (; *text != '\0'; text++)
        hash = hash_octet(hash, (uint8_t)*text);
    return hash;
}

/* The narrow form, of 32 bits, for a number of which a record has no more room. */
static inline uint32_t hash_text_narrow(const char *text) {
    uint32_t hash = 2166136261u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    return hash;
}

/* Each bit of the result depends on all of the key's: for keys that are alike, and since the hash's high bits are weak
 * on short texts. 0 stays 0, and no two keys have the same result. */
static inline uint64_t hash_mix(uint64_t key) {
    key ^= key >> 33;
    key *= UINT64_C(0xff51afd7ed558ccd);
    key ^= key >> 33;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ key >> 33;
}

/* The key that hash_mix() has made this of. */
static inline uint64_t hash_unmix(uint64_t mixed) {
    mixed ^= mixed >> 33;
    mixed *= UINT64_C(0x9cb4b2f8129337db); /* the inverses of the mix's factors, modulo 2^64 */
    mixed ^= mixed >> 33;
    mixed *= UINT64_C(0x4f74430c22a54005);
    return mixed ^ mixed >> 33;
}

#endif
