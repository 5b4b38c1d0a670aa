/* Buckets of eight keys: one cache line. A reader sees a key and then its verdict; while a place changes hands its
 * verdict is 0, so that the worst a race can do is to take a client for unknown once. */
#include "lb/reputation/table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WAYS 8u
/* What was seen on one day only, and nothing for this long, makes room for a newcomer even on several days. */
#define STALE_DAYS 90u

/* IPv4 in a part of ff00::/8, where no client has its address. */
#define IPV4_PREFIX (UINT64_C(0xffffffff) << 32)

uint64_t reputation_key(const struct address *client) {
    if (client->sa.sa_family == AF_INET)
        return IPV4_PREFIX | ntohl(client->in4.sin_addr.s_addr);
    uint64_t key = 0;
    for (unsigned i = 0; i < 8; i++)
        key = key << 8 | client->in6.sin6_addr.s6_addr[i];
    return key != 0 ? key : 1; /* ::/64 holds loopback */
}

struct address reputation_key_address(uint64_t key) {
    struct address address = {0};
    if ((key & IPV4_PREFIX) == IPV4_PREFIX) {
        address.in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl((uint32_t)key)};
        return address;
    }
    address.in6.sin6_family = AF_INET6;
    for (unsigned i = 0; i < 8; i++)
        address.in6.sin6_addr.s6_addr[i] = (uint8_t)(key >> (56 - 8 * i));
    return address;
}

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int reputation_table_init(struct reputation_table *table, unsigned entries_max) {
    memset(table, 0, sizeof *table);
    table->buckets = 1;
    while (table->buckets < UINT32_MAX / WAYS / 2 && table->buckets * WAYS < entries_max)
        table->buckets *= 2;
    size_t places = (size_t)table->buckets * WAYS;
    table->keys = map(places * sizeof *table->keys);
    table->verdicts = map(places);
    table->evidence = map(places * sizeof *table->evidence);
    if (table->keys != NULL && table->verdicts != NULL && table->evidence != NULL)
        return 0;
    reputation_table_finish(table);
    return -ENOMEM;
}

void reputation_table_finish(struct reputation_table *table) {
    size_t places = (size_t)table->buckets * WAYS;
    if (table->keys != NULL)
        munmap((void *)table->keys, places * sizeof *table->keys);
    if (table->verdicts != NULL)
        munmap((void *)table->verdicts, places);
    if (table->evidence != NULL)
        munmap(table->evidence, places * sizeof *table->evidence);
    memset(table, 0, sizeof *table);
}

/* MurmurHash3's finishing mix. */
static size_t first_place(const struct reputation_table *table, uint64_t key) {
    key ^= key >> 33;
    key *= UINT64_C(0xff51afd7ed558ccd);
    key ^= key >> 33;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    key ^= key >> 33;
    return (size_t)(key & (table->buckets - 1)) * WAYS;
}

static bool find_place(const struct reputation_table *table, uint64_t key, size_t *ret_place) {
    size_t first = first_place(table, key);
    for (size_t place = first; place < first + WAYS; place++) {
        if (atomic_load_explicit(&table->keys[place], memory_order_acquire) == key) {
            *ret_place = place;
            return true;
        }
    }
    return false;
}

bool reputation_table_is_vetted(const struct reputation_table *table, uint64_t key) {
    size_t place;
    if (table->keys == NULL || !find_place(table, key, &place))
        return false;
    bool is_vetted = atomic_load_explicit(&table->verdicts[place], memory_order_acquire) != 0;
    return is_vetted && atomic_load_explicit(&table->keys[place], memory_order_acquire) == key;
}

struct evidence *reputation_table_find(const struct reputation_table *table, uint64_t key) {
    size_t place;
    return find_place(table, key, &place) ? &table->evidence[place] : NULL;
}

static bool may_go(const struct reputation_table *table, size_t place, uint16_t today) {
    const struct evidence *evidence = &table->evidence[place];
    if (atomic_load_explicit(&table->verdicts[place], memory_order_relaxed) != 0)
        return false;
    return evidence->days <= 1 || (unsigned)(today - evidence->day) >= STALE_DAYS;
}

/* True when less is known of `a` than of `b`. */
static bool is_less_known(const struct evidence *a, const struct evidence *b) {
    return a->days != b->days ? a->days < b->days : a->day < b->day;
}

/* An empty place, else that of whom least is known of. */
static bool make_place(struct reputation_table *table, uint64_t key, uint16_t today, size_t *ret_place) {
    size_t first = first_place(table, key), victim = SIZE_MAX;
    for (size_t place = first; place < first + WAYS; place++) {
        if (atomic_load_explicit(&table->keys[place], memory_order_relaxed) == 0) {
            table->count++;
            *ret_place = place;
            return true;
        }
        if (may_go(table, place, today) &&
            (victim == SIZE_MAX || is_less_known(&table->evidence[place], &table->evidence[victim])))
            victim = place;
    }
    if (victim == SIZE_MAX) {
        table->refused++;
        return false;
    }
    table->dropped++;
    *ret_place = victim;
    return true;
}

struct evidence *reputation_table_obtain(struct reputation_table *table, uint64_t key, uint16_t today) {
    size_t place;
    if (find_place(table, key, &place))
        return &table->evidence[place];
    if (!make_place(table, key, today, &place))
        return NULL;
    atomic_store_explicit(&table->verdicts[place], 0, memory_order_release);
    memset(&table->evidence[place], 0, sizeof table->evidence[place]);
    atomic_store_explicit(&table->keys[place], key, memory_order_release);
    return &table->evidence[place];
}

void reputation_table_set_verdict(struct reputation_table *table, const struct evidence *evidence, bool is_vetted) {
    atomic_store_explicit(&table->verdicts[evidence - table->evidence], is_vetted, memory_order_release);
}

struct evidence *reputation_table_at(const struct reputation_table *table, unsigned index, uint64_t *ret_key) {
    *ret_key = atomic_load_explicit(&table->keys[index], memory_order_relaxed);
    return *ret_key == 0 ? NULL : &table->evidence[index];
}
