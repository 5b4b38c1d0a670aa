/* A set-associative table: a key's hash chooses a set, its ways are looked through in a row. Pages that hold nothing
 * are never touched. */
#include "lb/dns/answer_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETS (ANSWER_CACHE_ENTRIES / ANSWER_CACHE_WAYS)

struct entry {
    uint64_t key;
    uint64_t expires_ms; /* 0: unused */
    uint8_t result;
    bool has_name;
};

struct answer_cache {
    uint64_t seed[2];
    struct entry *entries;
    char (*names)[ANSWER_NAME_MAX];
};

int answer_cache_create(const uint8_t seed[16], struct answer_cache **ret_cache) {
    struct answer_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return -ENOMEM;
    memcpy(cache->seed, seed, sizeof cache->seed);
    cache->entries = calloc(ANSWER_CACHE_ENTRIES, sizeof *cache->entries);
    cache->names = calloc(ANSWER_CACHE_ENTRIES, sizeof *cache->names);
    if (cache->entries == NULL || cache->names == NULL) {
        answer_cache_destroy(cache);
        return -ENOMEM;
    }
    *ret_cache = cache;
    return 0;
}

void answer_cache_destroy(struct answer_cache *cache) {
    if (cache == NULL)
        return;
    free(cache->entries);
    free(cache->names);
    free(cache);
}

/* --- SipHash-2-4 (Aumasson and Bernstein, 2012) --- */

static uint64_t rotate(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

/* The kind goes into the last word, where SipHash has the length: a question is shorter than 2^8 words. */
uint64_t answer_cache_key(const struct answer_cache *cache, uint8_t kind, const void *question, size_t length) {
    const uint8_t *octets = question;
    uint64_t v[4] = {cache->seed[0] ^ UINT64_C(0x736f6d6570736575), cache->seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     cache->seed[0] ^ UINT64_C(0x6c7967656e657261), cache->seed[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t word;
    size_t at = 0;
    for (; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, octets + at, sizeof word);
        sip_word(v, word);
    }
    word = 0;
    memcpy(&word, octets + at, length - at);
    sip_word(v, word);
    sip_word(v, (uint64_t)length << 8 | kind);
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* --- the table --- */

static size_t first_way(uint64_t key) {
    return (size_t)(key % SETS) * ANSWER_CACHE_WAYS;
}

bool answer_cache_find(const struct answer_cache *cache, uint64_t key, uint64_t now_ms, uint8_t *ret_result,
                       const char **ret_name) {
    size_t first = first_way(key);
    for (size_t i = first; i < first + ANSWER_CACHE_WAYS; i++) {
        const struct entry *entry = &cache->entries[i];
        if (entry->key != key || entry->expires_ms <= now_ms)
            continue;
        *ret_result = entry->result;
        *ret_name = entry->has_name ? cache->names[i] : "";
        return true;
    }
    return false;
}

/* An expired one expires before all others, and an unused one before those. */
static size_t choose_way(const struct answer_cache *cache, uint64_t key) {
    size_t first = first_way(key), chosen = first;
    for (size_t i = first; i < first + ANSWER_CACHE_WAYS; i++) {
        if (cache->entries[i].key == key && cache->entries[i].expires_ms != 0)
            return i;
        if (cache->entries[i].expires_ms < cache->entries[chosen].expires_ms)
            chosen = i;
    }
    return chosen;
}

void answer_cache_put(struct answer_cache *cache, uint64_t key, uint8_t result, const char *name, uint64_t keep_ms,
                      uint64_t now_ms) {
    size_t way = choose_way(cache, key);
    cache->entries[way] =
        (struct entry){.key = key, .expires_ms = now_ms + keep_ms, .result = result, .has_name = name[0] != '\0'};
    if (name[0] != '\0')
        snprintf(cache->names[way], sizeof cache->names[way], "%s", name);
}

uint64_t answer_keep_ms(uint32_t ttl_s, bool has_failed) {
    uint64_t seconds = ttl_s;
    if (has_failed)
        seconds = ANSWER_FAILED_S;
    else if (ttl_s < ANSWER_TTL_MIN_S)
        seconds = ANSWER_TTL_MIN_S;
    else if (ttl_s > ANSWER_TTL_MAX_S)
        seconds = ANSWER_TTL_MAX_S;
    return seconds * 1000;
}
