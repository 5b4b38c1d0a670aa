/* Who behaved: a bounded table of clients by address (IPv4 /32, IPv6 /64). The manager alone writes it; workers look up
 * one octet, the verdict, without locks. Sized at start, touched as it fills.
 *
 * Clients stand in buckets of eight. A full bucket makes room by dropping whom least is known of; a vetted client never
 * goes for another, so that a flood of new addresses pushes out nobody but itself. */
#ifndef POSTERN_REPUTATION_TABLE_H
#define POSTERN_REPUTATION_TABLE_H

#include "conf/address.h"
#include "lb/reputation/score.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the DNS says of a client. Times in seconds since 1970, 0 = never. */
enum client_name {
    NAME_UNKNOWN,
    NAME_NONE,      /* the DNS has answered: no name, or none that leads back */
    NAME_CONFIRMED, /* a name of its address leads back to it (FCrDNS) */
};
struct client_dns {
    uint64_t domain;      /* key of its organisational domain among parents; 0: none, or a generic name */
    uint32_t name_s;      /* when its name was last answered for */
    uint32_t lists_s;     /* when all lists last answered */
    uint32_t ask_after_s; /* what is known is fresh until then */
    uint16_t listed;      /* a bit for each [dnslist] that lists it */
    uint8_t name;         /* enum client_name */
};

/* What the operator has decided of one client. */
enum decree { DECREE_NONE, DECREE_VETTED, DECREE_REFUSED };

struct client {
    struct evidence evidence;
    struct client_dns dns;
    uint64_t host; /* of an IPv6 client: the lower half of the last address seen */
    uint8_t decree;
    uint32_t allowed_by; /* a number for the domain in allow-file that its confirmed name is of; 0: none */
};

/* Never 0. */
uint64_t reputation_key(const struct address *client);
/* The lower half of an IPv6 address, which its key leaves out; 0 for IPv4. */
uint64_t reputation_host(const struct address *client);
/* The address that a key and a host are of; port 0. */
struct address reputation_key_address(uint64_t key, uint64_t host);

struct reputation_table {
    unsigned buckets; /* a power of two */
    _Atomic uint64_t *keys;
    _Atomic uint8_t *verdicts; /* 1: vetted */
    struct client *clients;
    uint64_t *dirty; /* a bit for each place that has changed */
    unsigned count;
    uint64_t dropped; /* clients that made room for others */
    uint64_t refused; /* clients for whom there was no room */
    /* A client has lost its place to another; may be NULL. */
    void (*on_dropped)(void *context, uint64_t key);
    void *on_dropped_context;
};

/* Room for `entries_max` clients, rounded up to whole buckets. Returns 0 or -ENOMEM. */
int reputation_table_init(struct reputation_table *table, unsigned entries_max);
/* Accepts a zeroed one. */
void reputation_table_finish(struct reputation_table *table);

/* From any thread. */
bool reputation_table_is_vetted(const struct reputation_table *table, uint64_t key);

/* The manager's. The client, or NULL. */
struct client *reputation_table_find(const struct reputation_table *table, uint64_t key);
/* The same, with a place made for it when there is none; NULL: no room. `today` for what is stale. */
struct client *reputation_table_obtain(struct reputation_table *table, uint64_t key, uint16_t today);
bool reputation_table_verdict(const struct reputation_table *table, const struct client *client);
void reputation_table_set_verdict(struct reputation_table *table, const struct client *client, bool is_vetted);
/* Nobody stands there any more. */
void reputation_table_remove(struct reputation_table *table, struct client *client);

/* For walks: `index` < reputation_table_places(). NULL: nobody there. */
unsigned reputation_table_places(const struct reputation_table *table);
struct client *reputation_table_at(const struct reputation_table *table, unsigned index, uint64_t *ret_key);

void reputation_table_mark(struct reputation_table *table, const struct client *client);
/* The next marked client at or behind *index, its mark taken off and *index set behind it; NULL: none up to the end. */
struct client *reputation_table_next_marked(struct reputation_table *table, unsigned *index, uint64_t *ret_key);

#endif
