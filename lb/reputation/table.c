/* The table of clients: a bounded map, and arrays beside it. A reader sees a key and then its verdict; while a place
 * changes hands its verdict is 0, so that the worst a race can do is to take a client for unknown once. The manager
 * writes it, by reputation.c; workers read verdicts. Owns the map and the arrays. */
#include "lb/reputation/table.h"

#include "lb/base/memory.h"

#include <errno.h>
#include <string.h>

/* What was seen on one day only, and nothing for this long, makes room for a newcomer even on several days. */
#define STALE_DAYS 90u

/* IPv4 in a part of ff00::/8, where no client has its address. */
#define IPV4_PREFIX (UINT64_C(0xffffffff) << 32)

/* ::/64, which 0 would be the key of. */
#define LOOPBACK_KEY 1u

uint64_t reputation_key(const struct address *client) {
    if (client->sa.sa_family == AF_INET)
        return IPV4_PREFIX | ntohl(client->in4.sin_addr.s_addr);
    uint64_t key = 0;
    for (unsigned i = 0; i < 8; i++)
        key = key << 8 | client->in6.sin6_addr.s6_addr[i];
    return key != 0 ? key : LOOPBACK_KEY;
}

bool reputation_key_is_ipv4(uint64_t key) {
    return (key & IPV4_PREFIX) == IPV4_PREFIX;
}

uint64_t reputation_host(const struct address *client) {
    uint64_t host = 0;
    if (client->sa.sa_family == AF_INET)
        return 0;
    for (unsigned i = 8; i < 16; i++)
        host = host << 8 | client->in6.sin6_addr.s6_addr[i];
    return host;
}

struct address reputation_key_address(uint64_t key, uint64_t host) {
    struct address address = {0};
    if (reputation_key_is_ipv4(key)) {
        address.in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl((uint32_t)key)};
        return address;
    }
    address.in6.sin6_family = AF_INET6;
    if (key == LOOPBACK_KEY && host == 0) /* :: is nobody's address */
        host = 1;
    for (unsigned i = 0; i < 8; i++) {
        address.in6.sin6_addr.s6_addr[i] = (uint8_t)((key == LOOPBACK_KEY ? 0 : key) >> (56 - 8 * i));
        address.in6.sin6_addr.s6_addr[i + 8] = (uint8_t)(host >> (56 - 8 * i));
    }
    return address;
}

static size_t dirty_bytes(const struct reputation_table *table) {
    return (bounded_map_places(&table->map) + 63) / 64 * sizeof *table->dirty;
}

int reputation_table_init(struct reputation_table *table, unsigned entries_max) {
    memset(table, 0, sizeof *table);
    int result = bounded_map_init(&table->map, entries_max);
    size_t places = bounded_map_places(&table->map);
    table->verdicts = memory_reserve(places);
    table->hosts = memory_reserve(places * CLIENT_HOSTS * sizeof *table->hosts);
    table->clients = memory_reserve(places * sizeof *table->clients);
    table->dirty = memory_reserve(dirty_bytes(table));
    if (result == 0 && table->verdicts != NULL && table->hosts != NULL && table->clients != NULL &&
        table->dirty != NULL)
        return 0;
    reputation_table_finish(table);
    return -ENOMEM;
}

void reputation_table_finish(struct reputation_table *table) {
    size_t places = bounded_map_places(&table->map);
    memory_release((void *)table->verdicts, places);
    memory_release((void *)table->hosts, places * CLIENT_HOSTS * sizeof *table->hosts);
    memory_release(table->clients, places * sizeof *table->clients);
    memory_release(table->dirty, dirty_bytes(table));
    bounded_map_finish(&table->map);
    memset(table, 0, sizeof *table);
}

static _Atomic uint64_t *hosts_at(const struct reputation_table *table, size_t place) {
    return &table->hosts[place * CLIENT_HOSTS];
}

/* The bit of this address among those of the verdict that is read into *ret_verdict. While a place goes from one
 * address to another the verdict knows neither, so that an address which is still there behind the verdict is the one
 * meant. */
static unsigned read_verdict(const struct reputation_table *table, size_t place, uint64_t host, unsigned *ret_verdict) {
    _Atomic uint64_t *hosts = hosts_at(table, place);
    *ret_verdict = atomic_load_explicit(&table->verdicts[place], memory_order_acquire);
    for (unsigned i = 0; i < CLIENT_HOSTS; i++) {
        if (atomic_load_explicit(&hosts[i], memory_order_acquire) != host)
            continue;
        unsigned verdict = atomic_load_explicit(&table->verdicts[place], memory_order_acquire);
        if ((verdict & VERDICT_KNOWN(i)) == 0)
            continue;
        *ret_verdict = verdict;
        return atomic_load_explicit(&hosts[i], memory_order_acquire) == host ? VERDICT_HOST(i) : 0;
    }
    return VERDICT_OTHERS;
}

bool reputation_table_is_vetted(const struct reputation_table *table, uint64_t key, uint64_t host) {
    size_t place;
    unsigned verdict;
    if (table->map.keys == NULL || !bounded_map_find(&table->map, key, &place))
        return false;
    unsigned bit = read_verdict(table, place, host, &verdict);
    return (verdict & bit) != 0 && bounded_map_key(&table->map, place) == key;
}

struct client *reputation_table_find(const struct reputation_table *table, uint64_t key) {
    size_t place;
    return bounded_map_find(&table->map, key, &place) ? &table->clients[place] : NULL;
}

/* Who wants a place, and when. */
struct newcomer {
    const struct reputation_table *table;
    uint16_t today;
};

static bool may_go(const void *context, size_t place) {
    const struct newcomer *newcomer = context;
    const struct reputation_table *table = newcomer->table;
    const struct evidence *evidence = &table->clients[place].evidence;
    if ((atomic_load_explicit(&table->verdicts[place], memory_order_relaxed) & VERDICT_VETTED) != 0 ||
        table->clients[place].decree != DECREE_NONE)
        return false;
    return evidence->days <= 1 || (unsigned)(newcomer->today - evidence->day) >= STALE_DAYS;
}

/* Less is known of the one at `place` than of the other. */
static bool is_less_known(const void *context, size_t place, size_t other) {
    const struct reputation_table *table = ((const struct newcomer *)context)->table;
    const struct evidence *a = &table->clients[place].evidence, *b = &table->clients[other].evidence;
    return a->days != b->days ? a->days < b->days : a->day < b->day;
}

/* An empty place, else that of whom least is known of. */
static bool make_place(struct reputation_table *table, uint64_t key, uint16_t today, size_t *ret_place) {
    static const struct bounded_map_order order = {may_go, is_less_known};
    if (!bounded_map_choose(&table->map, key, &order, &(struct newcomer){table, today}, ret_place)) {
        table->refused++;
        return false;
    }
    uint64_t dropped = bounded_map_key(&table->map, *ret_place);
    if (dropped == 0) {
        table->count++;
        return true;
    }
    table->dropped++;
    if (table->on_dropped != NULL)
        table->on_dropped(table->on_dropped_context, dropped);
    return true;
}

static void clear_place(struct reputation_table *table, size_t place, uint64_t key) {
    atomic_store_explicit(&table->verdicts[place], 0, memory_order_release);
    table->clients[place] = (struct client){0};
    table->dirty[place / 64] &= ~(UINT64_C(1) << place % 64);
    bounded_map_put(&table->map, place, key);
}

struct client *reputation_table_obtain(struct reputation_table *table, uint64_t key, uint16_t today) {
    size_t place;
    if (bounded_map_find(&table->map, key, &place))
        return &table->clients[place];
    if (!make_place(table, key, today, &place))
        return NULL;
    clear_place(table, place, key);
    return &table->clients[place];
}

void reputation_table_remove(struct reputation_table *table, struct client *client) {
    clear_place(table, (size_t)(client - table->clients), 0);
    table->count--;
}

uint8_t reputation_table_verdict(const struct reputation_table *table, const struct client *client) {
    return atomic_load_explicit(&table->verdicts[client - table->clients], memory_order_relaxed);
}

void reputation_table_set_verdict(struct reputation_table *table, const struct client *client, uint8_t verdict) {
    size_t place = (size_t)(client - table->clients);
    _Atomic uint64_t *hosts = hosts_at(table, place);
    for (unsigned i = 0; i < CLIENT_HOSTS; i++) {
        if (atomic_load_explicit(&hosts[i], memory_order_relaxed) == client->dns[i].host)
            continue;
        atomic_fetch_and(&table->verdicts[place], (uint8_t) ~(VERDICT_HOST(i) | VERDICT_KNOWN(i)));
        atomic_store(&hosts[i], client->dns[i].host);
    }
    atomic_store_explicit(&table->verdicts[place], verdict, memory_order_release);
}

unsigned reputation_table_places(const struct reputation_table *table) {
    return (unsigned)bounded_map_places(&table->map);
}

struct client *reputation_table_at(const struct reputation_table *table, unsigned index, uint64_t *ret_key) {
    *ret_key = bounded_map_key(&table->map, index);
    return *ret_key == 0 ? NULL : &table->clients[index];
}

void reputation_table_mark(struct reputation_table *table, const struct client *client) {
    size_t place = (size_t)(client - table->clients);
    table->dirty[place / 64] |= UINT64_C(1) << place % 64;
}

struct client *reputation_table_next_marked(struct reputation_table *table, unsigned *index, uint64_t *ret_key) {
    for (size_t word = *index / 64; word < dirty_bytes(table) / sizeof *table->dirty; word++) {
        uint64_t marks = table->dirty[word];
        if (word == *index / 64)
            marks &= ~UINT64_C(0) << *index % 64;
        if (marks == 0)
            continue;
        unsigned place = (unsigned)word * 64 + (unsigned)__builtin_ctzll(marks);
        table->dirty[word] &= ~(UINT64_C(1) << place % 64);
        *index = place + 1;
        return reputation_table_at(table, place, ret_key);
    }
    return NULL;
}
