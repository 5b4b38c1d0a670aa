/* Names for addresses: what to ask the DNS for, and the walk that confirms a client's name (FCrDNS): its PTR names,
 * then the addresses of each in turn until one leads back. The walk is pure; its owner asks and hands the answers in.
 */
#ifndef POSTERN_DNS_CLIENT_NAME_H
#define POSTERN_DNS_CLIENT_NAME_H

#include "lb/dns/resolver.h"

/* Of a client's names, these are tried (RFC 7208 §5.5: at most ten), and none is begun with when so much time has
 * passed (RFC 7208 §4.6.4: 20 s at least for all that is asked). */
#define CLIENT_NAMES_TRIED_MAX DNS_NAMES_MAX
#define CLIENT_NAME_TIME_MS    20000u
/* 32 nibbles with their dots, "ip6.arpa" and a NUL are 73 octets. */
#define POINTER_NAME_MAX 80u

/* Writes the address's octets (IPv6: nibbles) backwards and `zone` behind them: "1.2.0.192.in-addr.arpa" or, of a list,
 * RFC 5782 §2.1 and §2.4. Returns false when it does not fit. */
bool dns_reverse_name(const struct address *address, const char *zone, char *ret_name, size_t size);
/* The name to ask PTR of. */
void dns_pointer_name(const struct address *address, char ret_name[POINTER_NAME_MAX]);

enum client_name_result {
    CLIENT_NAME_CONFIRMED, /* it is in `name` */
    CLIENT_NAME_NONE,
    CLIENT_NAME_FAILED, /* the DNS gave no answer, or none to some of its names while the others lead elsewhere */
};

struct client_name_walk {
    const char *name; /* to be asked next, with `type`; at the end the confirmed one */
    enum dns_type type;
    enum client_name_result result;
    uint32_t ttl_s; /* the least of all answers; UINT32_MAX while there is none */
    uint64_t begun_ms;
    bool has_failure; /* the addresses of a name could not be told */
    struct address address;
    char pointer[POINTER_NAME_MAX];
    char names[CLIENT_NAMES_TRIED_MAX][DNS_NAME_MAX + 1];
    unsigned names_count, name_at;
};

/* Sets the first question. `now_ms`: of any clock. */
void client_name_begin(struct client_name_walk *walk, const struct address *address, uint64_t now_ms);
/* Takes the answer to the last question. Returns true at the end of the walk, else the next question is set. */
bool client_name_take(struct client_name_walk *walk, const struct dns_answer *answer, uint64_t now_ms);
/* What a query of the walk must not miss: the client's address among many. The walk outlives the query. */
struct dns_wanted client_name_wanted(const struct client_name_walk *walk);

#endif
