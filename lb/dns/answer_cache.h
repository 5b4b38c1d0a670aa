/* What the DNS said lately, in little: a result of eight bits and, where there is one, a name. Bounded, of one thread,
 * and without a clock: time is passed in. */
#ifndef POSTERN_DNS_ANSWER_CACHE_H
#define POSTERN_DNS_ANSWER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 65,536 × 24 octets with their keys, and 65,536 × 256 of names that are touched only where there is a name. */
#define ANSWER_CACHE_ENTRIES 65536u
#define ANSWER_NAME_MAX      256u

/* How long an answer is kept: its TTL within these bounds. A failure is kept just so long that a burst of equal
 * questions asks once. */
#define ANSWER_TTL_MIN_S 5u
#define ANSWER_TTL_MAX_S 3600u
#define ANSWER_FAILED_S  3u

struct answer_cache;

/* `seed`: random octets, so that nobody can choose keys that meet. Returns 0 or -ENOMEM. */
int answer_cache_create(const uint8_t seed[16], struct answer_cache **ret_cache);
/* Accepts NULL. */
void answer_cache_destroy(struct answer_cache *cache);

/* The key of a question: SipHash-2-4 of it. Two that differ have the same one in 2^-64 of all cases. `kind` keeps
 * questions of different kinds apart. Never 0. */
uint64_t answer_cache_key(const struct answer_cache *cache, uint8_t kind, const void *question, size_t length);

/* Returns false when nothing is known. *ret_name is valid until the next put. */
bool answer_cache_find(const struct answer_cache *cache, uint64_t key, uint64_t now_ms, uint8_t *ret_result,
                       const char **ret_name);
/* Takes the place of an older answer with this key, else of an expired one, else of the one that expires first.
 * `name` may be "". */
void answer_cache_put(struct answer_cache *cache, uint64_t key, uint8_t result, const char *name, uint64_t keep_ms,
                      uint64_t now_ms);

/* How long an answer with this TTL is kept. */
uint64_t answer_keep_ms(uint32_t ttl_s, bool has_failed);

#endif
