/* DNS for the manager's ring: c-ares does the protocol, the ring waits for its sockets, and the wheel holds each query
 * to its deadline. Nothing here blocks, and workers never call it. */
#ifndef POSTERN_DNS_RESOLVER_H
#define POSTERN_DNS_RESOLVER_H

#include "conf/config.h"
#include "lb/engine/io.h"

#include <stdbool.h>
#include <stdint.h>

/* Queries in flight; one more fails at once. */
#define DNS_QUERIES_MAX 2048u
/* Of an answer's records so many are kept: as many addresses as fit where the names stand, and as many names as a
 * verifier looks at (RFC 7208 §5.5). */
#define DNS_ADDRESSES_MAX 90u
#define DNS_NAMES_MAX     10u
#define DNS_NAME_MAX      254u

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_AAAA = 28 };

enum dns_status {
    DNS_FOUND,
    DNS_NONE,   /* the name or the type is not there: a valid answer */
    DNS_FAILED, /* no answer in time, SERVFAIL, REFUSED, or an answer that makes no sense */
};

struct dns_answer {
    enum dns_status status;
    const char *error; /* of DNS_FAILED and DNS_NONE, for a log line */
    uint32_t ttl_s;    /* the least of the records; of DNS_NONE what RFC 2308 §5 says, 0 when nothing does */
    bool has_no_name;  /* of DNS_NONE: NXDOMAIN, so that no other type is there either (RFC 8020) */
    bool is_null_mx;   /* of DNS_MX: the one record is "." (RFC 7505), the domain takes no mail */
    unsigned count;    /* more records than there is room for are left out, but for a wanted one (struct dns_wanted) */
    union {
        struct address addresses[DNS_ADDRESSES_MAX];  /* of DNS_A and DNS_AAAA; port 0 */
        char names[DNS_NAMES_MAX][DNS_NAME_MAX + 1u]; /* of DNS_PTR and DNS_MX (the exchanges, in no
                                                         order); lower case, no dot at the end */
    };
};

/* An address that its asker looks for: it is among those of the answer if it was there, however many came with it. */
struct dns_wanted {
    bool (*is_wanted)(const void *context, const struct address *address); /* NULL: none; port 0 */
    const void *context;
};

struct dns_request;

/* One question, embedded in its owner. */
struct dns_query {
    /* Called once, in a later turn or from within resolver_ask(); the query may be asked again from it. */
    void (*on_answer)(struct dns_query *query, const struct dns_answer *answer);
    struct dns_request *request; /* NULL: not being asked */
    struct dns_wanted wanted;
    /* May be NULL. Counts the places that queries of this asker take, which c-ares may hold past their deadlines; lives
     * as long as the resolver is asked. */
    unsigned *places;
};

struct resolver;

/* `config`: servers (empty: the system's), timeout of a try, tries. Returns 0, or -errno with a sentence. */
int resolver_create(struct io *io, const struct config_dns *config, struct resolver **ret_resolver, char *ret_error,
                    size_t error_size);
/* After the loop has ended; open questions get no answer. Accepts NULL. */
void resolver_destroy(struct resolver *resolver);
/* Asks; not while this query is being asked. */
void resolver_ask(struct resolver *resolver, struct dns_query *query, const char *name, enum dns_type type);
/* What a DNS message of the wire answers to a question of this type. Pure. */
void dns_read_reply(enum dns_type type, const unsigned char *reply, int length, const struct dns_wanted *wanted,
                    struct dns_answer *ret_answer);
/* No answer will come. Harmless when none is awaited. */
void resolver_cancel(struct dns_query *query);

#endif
