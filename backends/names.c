/* An entry for each backend with a name: asks for A, then, if there is none, for AAAA, and sleeps for the answer's TTL.
 * As long as the current address is among the answers nothing changes, so that a server which turns its records round
 * moves nobody. */
#include "backends/names.h"

#include "lb/engine/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A TTL of 0 is no order to ask all the time; a long one must not make an operator wait for a day. */
#define TTL_MIN_MS  1000u
#define TTL_MAX_MS  3600000u
#define RETRY_MS    5000u
#define ID_RETRY_MS 1000u

struct name_entry {
    struct name_entry *next;
    struct names *names;
    struct backend *backend;
    struct dns_query query;
    enum dns_type type;
    struct timer timer;
    bool is_replacing; /* the backend is being exchanged for one with the new address */
};

struct names {
    struct io *io;
    struct resolver *resolver;
    struct roster *roster;
    struct name_entry *entries;
};

static void sleep_for(struct name_entry *entry, uint64_t wait_ms) {
    timer_set(io_timers(entry->names->io), &entry->timer, io_now_ms(entry->names->io) + wait_ms);
}

static void ask(struct name_entry *entry, enum dns_type type) {
    entry->type = type;
    resolver_ask(entry->names->resolver, &entry->query, entry->backend->host_name, type);
}

static void on_timer(struct timer *timer) {
    ask(container_of(timer, struct name_entry, timer), DNS_A);
}

static bool has_address(const struct dns_answer *answer, const struct address *current) {
    struct address bare = *current;
    address_set_port(&bare, 0);
    for (unsigned i = 0; i < answer->count; i++)
        if (address_equal(&answer->addresses[i], &bare))
            return true;
    return false;
}

static void on_failure(struct name_entry *entry, const struct dns_answer *answer) {
    struct backend *backend = entry->backend;
    bool is_new = strcmp(backend->host_error, answer->error) != 0;
    snprintf(backend->host_error, sizeof backend->host_error, "%s", answer->error);
    if (is_new)
        log_warning("server %s: DNS: %s: %s%s", backend->name, backend->host_name, answer->error,
                    backend->address.sa.sa_family != 0 ? "; the last address stays" : "");
    sleep_for(entry, RETRY_MS);
}

static void on_addresses(struct name_entry *entry, const struct dns_answer *answer) {
    struct names *names = entry->names;
    struct address address = answer->addresses[0];
    uint64_t wait_ms = (uint64_t)answer->ttl_s * 1000;
    entry->backend->host_error[0] = '\0';
    if (!has_address(answer, &entry->backend->address)) {
        address_set_port(&address, entry->backend->host_port);
        entry->is_replacing = true;
        int result = roster_replace(names->roster, entry->backend, &address, io_now_ms(names->io));
        entry->is_replacing = false;
        if (result < 0) {
            log_warning("server %s: its new address is not in use yet: %s", entry->backend->name, strerror(-result));
            wait_ms = ID_RETRY_MS;
        }
    }
    sleep_for(entry, wait_ms < TTL_MIN_MS ? TTL_MIN_MS : wait_ms > TTL_MAX_MS ? TTL_MAX_MS : wait_ms);
}

static void on_answer(struct dns_query *query, const struct dns_answer *answer) {
    struct name_entry *entry = container_of(query, struct name_entry, query);
    if (answer->status == DNS_FOUND)
        on_addresses(entry, answer);
    else if (answer->status == DNS_NONE && entry->type == DNS_A)
        ask(entry, DNS_AAAA);
    else
        on_failure(entry, answer);
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
    entry->next = names->entries;
    names->entries = entry;
    sleep_for(entry, 0);
}

static void free_entry(struct name_entry **link) {
    struct name_entry *entry = *link;
    *link = entry->next;
    resolver_cancel(&entry->query);
    timer_cancel(&entry->timer);
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

int names_create(struct io *io, struct resolver *resolver, struct roster *roster, struct names **ret_names) {
    struct names *names = calloc(1, sizeof *names);
    if (names == NULL)
        return -ENOMEM;
    names->io = io;
    names->resolver = resolver;
    names->roster = roster;
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
