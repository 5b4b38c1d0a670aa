/* Backends that are given by name. Each has an entry, which asks the DNS for A and for AAAA and sleeps for the answers'
 * TTL. All addresses of both are candidates, A's first. As long as the current one is among them nothing changes, so
 * that a server which turns its records round moves nobody; but when its probes fail the next one takes its place, so
 * that a dead address does not hide one that answers. An answer that can't be a backend's (0.0.0.0, a loopback address,
 * multicast, postern itself) is left out with an alarm: a resolver that lies, or a blocked domain, must not take a
 * backend away.
 *
 * It stands between the resolver and the roster, on the manager's ring, and owns the entries. Nothing is fatal here: on
 * a failure the last address stays. */
#include "backends/names.h"

#include "conf/backend_host.h"
#include "lb/engine/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A TTL of 0 is no order to ask all the time; a long one must not make an operator wait for a day. */
#define TTL_MIN_MS  1000u
#define TTL_MAX_MS  3600000u
#define RETRY_MS    5000u
#define ID_RETRY_MS 1000u
/* How often the health of a backend with several addresses is looked at, and how long it stays at one that is dead when
 * all have been tried: longer than a probe takes by default. */
#define WATCH_MS 500u
#define ROUND_MS 10000u
/* Of one family; a host has a few. */
#define FAMILY_ADDRESSES_MAX 16u

/* The last answer for one type that could be used. */
struct family {
    struct address addresses[FAMILY_ADDRESSES_MAX]; /* with the backend's port */
    unsigned count;
    char alarm[200]; /* what was wrong with an address of the last answer, "" = nothing */
};

struct name_entry {
    struct name_entry *next;
    struct names *names;
    struct backend *backend;
    struct dns_query query;
    enum dns_type type;
    struct family families[2]; /* A, AAAA */
    uint64_t wait_ms;          /* the least that the answers of this round allow */
    bool has_answer;           /* one type of this round gave an address that can be used */
    const char *error;         /* of a type in this round that gave none */
    struct timer timer;        /* asks again */
    struct timer watch;        /* while there are several candidates */
    unsigned moves;            /* from one dead address to the next, since it was last up */
    uint64_t moved_ms;
    bool is_replacing; /* the backend is being exchanged for one with the new address */
};

struct names {
    struct io *io;
    struct resolver *resolver;
    struct roster *roster;
    const struct config *config;
    struct name_entry *entries;
};

static void sleep_for(struct name_entry *entry, uint64_t wait_ms) {
    timer_set(io_timers(entry->names->io), &entry->timer, io_now_ms(entry->names->io) + wait_ms);
}

/* --- candidates --- */

static unsigned count_candidates(const struct name_entry *entry) {
    return entry->families[0].count + entry->families[1].count;
}

static const struct address *candidate(const struct name_entry *entry, unsigned number) {
    unsigned first = entry->families[0].count;
    return number < first ? &entry->families[0].addresses[number] : &entry->families[1].addresses[number - first];
}

/* Returns the count of candidates when it is none of them. */
static unsigned number_of(const struct name_entry *entry, const struct address *address) {
    unsigned number = 0;
    while (number < count_candidates(entry) && !address_equal(candidate(entry, number), address))
        number++;
    return number;
}

/* RFC 6761 §6.3: these are loopback addresses by definition. */
static bool is_localhost(const char *name) {
    static const char localhost[] = "localhost";
    size_t length = strlen(name), tail = sizeof localhost - 1;
    return length >= tail && strcasecmp(name + length - tail, localhost) == 0 &&
           (length == tail || name[length - tail - 1] == '.');
}

static bool has_source(const struct backend *backend, const struct address *address) {
    for (size_t i = 0; i < backend->source.count; i++)
        if (backend->source.items[i].sa.sa_family == address->sa.sa_family)
            return true;
    return backend->source.count == 0;
}

/* A name may lead to this host from its first answer on. One that led elsewhere before does not: that is what resolvers
 * say of domains that they block, and a server here may trust whoever comes from here. */
static bool may_be_loopback(const struct name_entry *entry) {
    const struct address *current = &entry->backend->address;
    return is_localhost(entry->backend->host_name) || current->sa.sa_family == 0 || address_is_loopback(current);
}

/* Returns false, with why, when the backend can't be there. */
static bool is_usable(const struct name_entry *entry, const struct address *address, char *ret_why, size_t why_size) {
    char text[ADDRESS_TEXT_MAX];
    bool is_good = false;
    if (!config_can_be_backend(entry->names->config, address, ret_why, why_size))
        return false;
    address_format_host(address, text);
    if (address_is_loopback(address) && !may_be_loopback(entry))
        snprintf(ret_why, why_size, "%s is this host", text);
    else if (address_is_link_local(address))
        snprintf(ret_why, why_size, "%s is of an interface that is not known", text);
    else if (!has_source(entry->backend, address))
        snprintf(ret_why, why_size, "%s: no source address is of its family", text);
    else
        is_good = true;
    return is_good;
}

/* Said when it is new. */
static void note_alarm(const struct name_entry *entry, struct family *family, const char *why) {
    if (why[0] != '\0' && strcmp(family->alarm, why) != 0)
        log_warning("server %s: DNS: an address of %s is not used: %s", entry->backend->name, entry->backend->host_name,
                    why);
    snprintf(family->alarm, sizeof family->alarm, "%s", why);
}

/* Returns false when none of them can be used: the last answer stays. */
static bool take_addresses(struct name_entry *entry, struct family *family, const struct dns_answer *answer) {
    struct address usable[FAMILY_ADDRESSES_MAX];
    unsigned count = 0;
    char first_why[200] = "", why[200];
    for (unsigned i = 0; i < answer->count; i++) {
        struct address address = answer->addresses[i];
        address_set_port(&address, entry->backend->host_port);
        address_unmap(&address);
        bool is_current = address_equal(&address, &entry->backend->address);
        bool can_be = is_usable(entry, &address, why, sizeof why);
        if (!can_be && first_why[0] == '\0')
            memcpy(first_why, why, sizeof first_why);
        if (!can_be)
            continue;
        if (count < FAMILY_ADDRESSES_MAX)
            usable[count++] = address;
        else if (is_current)
            usable[count - 1] = address;
    }
    note_alarm(entry, family, first_why);
    if (count == 0)
        return false;
    memcpy(family->addresses, usable, count * sizeof usable[0]);
    family->count = count;
    return true;
}

/* --- the address --- */

static bool move_to(struct name_entry *entry, const struct address *address) {
    struct names *names = entry->names;
    bool is_odd = address_is_loopback(address) && !is_localhost(entry->backend->host_name);
    entry->is_replacing = true;
    int result = roster_replace(names->roster, entry->backend, address, io_now_ms(names->io));
    entry->is_replacing = false;
    entry->moved_ms = io_now_ms(names->io);
    if (result < 0)
        log_warning("server %s: its new address is not in use yet: %s", entry->backend->name, strerror(-result));
    else if (is_odd)
        log_warning("server %s: DNS: the address of %s is this host's own", entry->backend->name,
                    entry->backend->host_name);
    return result == 0;
}

/* Goes on to the next candidate when the current one is dead. */
static void on_watch(struct timer *timer) {
    struct name_entry *entry = container_of(timer, struct name_entry, watch);
    struct backend *backend = entry->backend;
    uint64_t now = io_now_ms(entry->names->io);
    unsigned count = count_candidates(entry), current = number_of(entry, &backend->address);
    if (count < 2)
        return;
    timer_set(io_timers(entry->names->io), &entry->watch, now + WATCH_MS);
    if (backend->health == HEALTH_UP || backend->health == HEALTH_GOING_DOWN)
        entry->moves = 0;
    bool is_dead = backend->health == HEALTH_DOWN && backend->admin != BACKEND_MAINT && current < count;
    bool is_round_over = entry->moves + 1 >= count;
    if (!is_dead || (is_round_over && now - entry->moved_ms < ROUND_MS))
        return;
    log_info("server %s: its address is down, the next one of %s is tried", backend->name, backend->host_name);
    entry->moves++;
    move_to(entry, candidate(entry, (current + 1) % count));
}

static void on_no_address(struct name_entry *entry, const char *error) {
    struct backend *backend = entry->backend;
    bool is_new = strcmp(backend->host_error, error) != 0;
    snprintf(backend->host_error, sizeof backend->host_error, "%s", error);
    if (is_new)
        log_warning("server %s: DNS: %s: %s%s", backend->name, backend->host_name, error,
                    backend->address.sa.sa_family != 0 ? "; the last address stays" : "");
}

/* Returns false when the new address is not in use yet. */
static bool choose(struct name_entry *entry) {
    unsigned count = count_candidates(entry);
    entry->backend->host_error[0] = '\0';
    if (count > 1 && !timer_is_set(&entry->watch))
        timer_set(io_timers(entry->names->io), &entry->watch, io_now_ms(entry->names->io) + WATCH_MS);
    return number_of(entry, &entry->backend->address) < count || move_to(entry, candidate(entry, 0));
}

/* --- a round of questions: A, then AAAA --- */

static bool is_current(const void *context, const struct address *address) {
    const struct name_entry *entry = context;
    struct address bare = entry->backend->address;
    address_set_port(&bare, 0);
    return address_equal(address, &bare);
}

static void ask(struct name_entry *entry, enum dns_type type) {
    entry->type = type;
    entry->query.wanted = (struct dns_wanted){is_current, entry};
    resolver_ask(entry->names->resolver, &entry->query, entry->backend->host_name, type);
}

static void on_timer(struct timer *timer) {
    struct name_entry *entry = container_of(timer, struct name_entry, timer);
    entry->has_answer = false;
    entry->wait_ms = TTL_MAX_MS;
    entry->error = NULL;
    ask(entry, DNS_A);
}

static void wait_at_most(struct name_entry *entry, uint64_t wait_ms) {
    entry->wait_ms = wait_ms < entry->wait_ms ? wait_ms : entry->wait_ms;
}

static void end_round(struct name_entry *entry) {
    if (!entry->has_answer) {
        on_no_address(entry, entry->error);
        wait_at_most(entry, RETRY_MS);
    }
    sleep_for(entry, entry->wait_ms < TTL_MIN_MS ? TTL_MIN_MS : entry->wait_ms);
}

static void on_found(struct name_entry *entry, struct family *family, const struct dns_answer *answer) {
    wait_at_most(entry, (uint64_t)answer->ttl_s * 1000);
    if (!take_addresses(entry, family, answer)) {
        entry->error = "none of its addresses can be used";
        return;
    }
    entry->has_answer = true;
    if (!choose(entry))
        wait_at_most(entry, ID_RETRY_MS);
}

/* What a failed question leaves unknown stays as it was. Of two errors the one that tells of trouble is kept. */
static void on_not_found(struct name_entry *entry, struct family *family, const struct dns_answer *answer) {
    if (entry->error == NULL || answer->status == DNS_FAILED)
        entry->error = answer->error;
    if (answer->status == DNS_NONE)
        family->count = 0;
    else if (family->count > 0)
        wait_at_most(entry, RETRY_MS);
}

static void on_answer(struct dns_query *query, const struct dns_answer *answer) {
    struct name_entry *entry = container_of(query, struct name_entry, query);
    bool is_first = entry->type == DNS_A, has_no_name = answer->status == DNS_NONE && answer->has_no_name;
    struct family *family = &entry->families[is_first ? 0 : 1];
    if (answer->status == DNS_FOUND)
        on_found(entry, family, answer);
    else
        on_not_found(entry, family, answer);
    if (has_no_name) /* nor any other type (RFC 8020) */
        entry->families[1].count = 0;
    if (is_first && !has_no_name)
        ask(entry, DNS_AAAA);
    else
        end_round(entry);
}

void names_on_added(struct names *names, struct backend *backend) {
    if (backend->host_name[0] == '\0')
        return;
    for (struct name_entry *entry = names->entries; entry != NULL; entry = entry->next) {
        if (entry->is_replacing) {
            entry->backend = backend;
            return;
        }
    }
    struct name_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        log_error("server %s: out of memory: its name is not resolved", backend->name);
        return;
    }
    entry->names = names;
    entry->backend = backend;
    entry->query.on_answer = on_answer;
    entry->timer.expire = on_timer;
    entry->watch.expire = on_watch;
    entry->next = names->entries;
    names->entries = entry;
    sleep_for(entry, 0);
}

static void free_entry(struct name_entry **link) {
    struct name_entry *entry = *link;
    *link = entry->next;
    resolver_cancel(&entry->query);
    timer_cancel(&entry->timer);
    timer_cancel(&entry->watch);
    free(entry);
}

void names_on_removed(struct names *names, struct backend *backend) {
    for (struct name_entry **link = &names->entries; *link != NULL; link = &(*link)->next) {
        if ((*link)->backend != backend)
            continue;
        if (!(*link)->is_replacing)
            free_entry(link);
        return;
    }
}

int names_create(struct io *io, struct resolver *resolver, struct roster *roster, const struct config *config,
                 struct names **ret_names) {
    struct names *names = calloc(1, sizeof *names);
    if (names == NULL)
        return -ENOMEM;
    names->io = io;
    names->resolver = resolver;
    names->roster = roster;
    names->config = config;
    for (unsigned i = 0; i < roster_count(roster); i++)
        names_on_added(names, roster_at(roster, i));
    *ret_names = names;
    return 0;
}

void names_destroy(struct names *names) {
    if (names == NULL)
        return;
    while (names->entries != NULL)
        free_entry(&names->entries);
    free(names);
}
