/* What the DNS said lately: bounded, and never longer than its TTL allows. */
#include "lb/dns/answer_cache.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct answer_cache *make(void) {
    static const uint8_t seed[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct answer_cache *cache;
    cr_assert_eq(answer_cache_create(seed, &cache), 0);
    return cache;
}

static uint64_t key(const struct answer_cache *cache, const char *domain) {
    return answer_cache_key(cache, 0, domain, strlen(domain));
}

/* The result, or -1; *ret_name is "" for -1. */
static int find(const struct answer_cache *cache, const char *domain, uint64_t now_ms, const char **ret_name) {
    uint8_t result;
    *ret_name = "";
    return answer_cache_find(cache, key(cache, domain), now_ms, &result, ret_name) ? result : -1;
}

Test(answer_cache, an_answer_is_found_until_it_expires_and_a_newer_one_takes_its_place) {
    struct answer_cache *cache = make();
    const char *name;
    answer_cache_put(cache, key(cache, "a.test"), 2, "mx.a.test", 5000, 1000);
    cr_assert_eq(find(cache, "a.test", 5999, &name), 2);
    cr_assert_str_eq(name, "mx.a.test");
    cr_assert_eq(find(cache, "b.test", 5999, &name), -1);
    cr_assert_eq(find(cache, "a.test", 6000, &name), -1);
    answer_cache_put(cache, key(cache, "a.test"), 1, "", 5000, 2000);
    cr_assert_eq(find(cache, "a.test", 6999, &name), 1);
    cr_assert_str_eq(name, "");
    answer_cache_destroy(cache);
    answer_cache_destroy(NULL);
}

Test(answer_cache, kinds_and_lengths_are_told_apart) {
    struct answer_cache *cache = make();
    cr_assert_neq(answer_cache_key(cache, 0, "a.test", 6), answer_cache_key(cache, 1, "a.test", 6));
    cr_assert_neq(answer_cache_key(cache, 0, "a\0", 1), answer_cache_key(cache, 0, "a\0", 2));
    cr_assert_neq(answer_cache_key(cache, 0, "01234567", 8), answer_cache_key(cache, 0, "01234567\0", 9));
    answer_cache_destroy(cache);
}

Test(answer_cache, a_flood_of_names_pushes_out_those_that_expire_first) {
    struct answer_cache *cache = make();
    const char *name;
    char domain[32];
    unsigned kept = 0;
    answer_cache_put(cache, key(cache, "busy.test"), 1, "", 3600000, 0);
    for (unsigned i = 0; i < 4 * ANSWER_CACHE_ENTRIES; i++) {
        snprintf(domain, sizeof domain, "n%u.test", i);
        answer_cache_put(cache, key(cache, domain), 0, "", 300000, i / 1000);
    }
    for (unsigned i = 0; i < 4 * ANSWER_CACHE_ENTRIES; i++) {
        snprintf(domain, sizeof domain, "n%u.test", i);
        kept += find(cache, domain, 1000, &name) == 0;
    }
    cr_assert_eq(find(cache, "busy.test", 1000, &name), 1);
    cr_assert(kept > ANSWER_CACHE_ENTRIES * 9 / 10 && kept < ANSWER_CACHE_ENTRIES, "%u", kept);
    answer_cache_destroy(cache);
}

Test(answer_cache, the_ttl_counts_within_bounds_and_failures_are_short) {
    cr_assert_eq(answer_keep_ms(0, false), ANSWER_TTL_MIN_S * 1000);
    cr_assert_eq(answer_keep_ms(300, false), 300000);
    cr_assert_eq(answer_keep_ms(UINT32_MAX, false), ANSWER_TTL_MAX_S * 1000);
    cr_assert_eq(answer_keep_ms(300, true), ANSWER_FAILED_S * 1000);
}
