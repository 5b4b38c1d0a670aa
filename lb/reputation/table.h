/* Who behaved: a bounded table of clients by address (IPv4 /32, IPv6 /64). The manager alone writes it; workers look up
 * one octet, the verdict, without locks. Sized at start, touched as it fills.
 *
 * Clients stand in buckets of eight. A full bucket makes room by dropping whom least is known of; a vetted client never
 * goes for another, so that a flood of new addresses pushes out nobody but itself. */
#ifndef POSTERN_REPUTATION_TABLE_H
#define POSTERN_REPUTATION_TABLE_H

#include "lb/base/address.h"
#include "lb/base/bounded_map.h"
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
/* Addresses of one client of which results are kept; of an IPv4 client only the first place is used. */
#define CLIENT_HOSTS 3u

struct client_dns {
    uint64_t host;        /* the lower half of the IPv6 address that was asked for; 0 for IPv4 */
    uint64_t domain;      /* key of its organisational domain among parents; 0: none, or a generic name */
    uint32_t name_s;      /* when its name was last answered for */
    uint32_t lists_s;     /* when all lists last answered */
    uint32_t ask_after_s; /* what is known is fresh until then */
    uint32_t allowed_by;  /* a number for the domain in allow-file that its confirmed name is of; 0: none */
    uint16_t listed;      /* a bit for each [dnslist] that lists it */
    uint8_t name;         /* enum client_name */
    bool is_used;
};

/* What the operator has decided of one client. */
enum decree { DECREE_NONE, DECREE_VETTED, DECREE_REFUSED };

struct client {
    struct evidence evidence;
    struct client_dns dns[CLIENT_HOSTS];
    uint64_t host; /* of an IPv6 client: the lower half of the last address seen */
    uint8_t decree;
};

/* A client's verdict: who of its addresses is vetted. */
#define VERDICT_OTHERS   1u           /* those of which no results are kept */
#define VERDICT_HOST(i)  (2u << (i))  /* the one at this place of client.dns */
#define VERDICT_KNOWN(i) (16u << (i)) /* there is one at this place */
#define VERDICT_VETTED   15u          /* any of them */

/* Never 0. */
uint64_t reputation_key(const struct address *client);
/* The key is that of one address, and not of a network. */
bool reputation_key_is_ipv4(uint64_t key);
/* The lower half of an IPv6 address, which its key leaves out; 0 for IPv4. */
uint64_t reputation_host(const struct address *client);
/* The address that a key and a host are of; port 0. */
struct address reputation_key_address(uint64_t key, uint64_t host);

struct reputation_table {
    struct bounded_map map;
    /* By a client's place in the map. */
    _Atomic uint8_t *verdicts;
    _Atomic uint64_t *hosts; /* CLIENT_HOSTS a place, of those that the verdict knows */
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

/* From any thread: whether this address (reputation_key(), reputation_host()) is vetted. */
bool reputation_table_is_vetted(const struct reputation_table *table, uint64_t key, uint64_t host);

/* The manager's. The client, or NULL. */
struct client *reputation_table_find(const struct reputation_table *table, uint64_t key);
/* The same, with a place made for it when there is none; NULL: no room. `today` for what is stale. */
struct client *reputation_table_obtain(struct reputation_table *table, uint64_t key, uint16_t today);
uint8_t reputation_table_verdict(const struct reputation_table *table, const struct client *client);
/* For the addresses at client->dns as they are now. */
void reputation_table_set_verdict(struct reputation_table *table, const struct client *client, uint8_t verdict);
/* Nobody stands there any more. */
void reputation_table_remove(struct reputation_table *table, struct client *client);

/* For walks: `index` < reputation_table_places(). NULL: nobody there. */
unsigned reputation_table_places(const struct reputation_table *table);
struct client *reputation_table_at(const struct reputation_table *table, unsigned index, uint64_t *ret_key);

void reputation_table_mark(struct reputation_table *table, const struct client *client);
/* The next marked client at or behind *index, its mark taken off and *index set behind it; NULL: none up to the end. */
struct client *reputation_table_next_marked(struct reputation_table *table, unsigned *index, uint64_t *ret_key);

#endif
