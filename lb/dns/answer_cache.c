/* Answers for their time to live: the keys are a bounded map, the answers arrays beside it. Pages that hold nothing are
 * never touched. questions.c owns one, on the manager's thread. */
#include "lb/dns/answer_cache.h"

#include "lb/base/bounded_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t expires_ms;
    uint8_t result;
    bool has_name;
};

struct answer_cache {
    uint64_t seed[2];
    struct bounded_map map;
    /* By a key's place in the map. */
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
    if (bounded_map_init(&cache->map, ANSWER_CACHE_ENTRIES) < 0 || cache->entries == NULL || cache->names == NULL) {
        answer_cache_destroy(cache);
        return -ENOMEM;
    }
    *ret_cache = cache;
    return 0;
}

void answer_cache_destroy(struct answer_cache *cache) {
    if (cache == NULL)
        return;
    bounded_map_finish(&cache->map);
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
    uint64_t key = v[0] ^ v[1] ^ v[2] ^ v[3];
    return key != 0 ? key : 1;
}

/* --- the table --- */

bool answer_cache_find(const struct answer_cache *cache, uint64_t key, uint64_t now_ms, uint8_t *ret_result,
                       const char **ret_name) {
    size_t place;
    if (!bounded_map_find(&cache->map, key, &place) || cache->entries[place].expires_ms <= now_ms)
        return false;
    *ret_result = cache->entries[place].result;
    *ret_name = cache->entries[place].has_name ? cache->names[place] : "";
    return true;
}

/* An expired one expires before all others. */
static bool expires_before(const void *context, size_t place, size_t other) {
    const struct answer_cache *cache = context;
    return cache->entries[place].expires_ms < cache->entries[other].expires_ms;
}

void answer_cache_put(struct answer_cache *cache, uint64_t key, uint8_t result, const char *name, uint64_t keep_ms,
                      uint64_t now_ms) {
    static const struct bounded_map_order order = {NULL, expires_before};
    size_t place = 0;
    if (!bounded_map_find(&cache->map, key, &place))
        bounded_map_choose(&cache->map, key, &order, cache, &place); /* each may go */
    cache->entries[place] =
        (struct entry){.expires_ms = now_ms + keep_ms, .result = result, .has_name = name[0] != '\0'};
    if (name[0] != '\0')
        snprintf(cache->names[place], sizeof cache->names[place], "%s", name);
    bounded_map_put(&cache->map, place, key);
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
