/* Whether a domain takes mail (RFC 5321 §5.1): by its MX records or, where it has none, by an address of its own. The
 * walk is pure; its owner asks and hands the answers in. */
#ifndef POSTERN_DNS_MAIL_DOMAIN_H
#define POSTERN_DNS_MAIL_DOMAIN_H

#include "lb/dns/resolver.h"

enum mail_domain {
    MAIL_DOMAIN_TAKES_MAIL,
    MAIL_DOMAIN_UNKNOWN, /* neither MX nor A nor AAAA: NXDOMAIN or no such record */
    MAIL_DOMAIN_NULL_MX, /* RFC 7505 */
    MAIL_DOMAIN_FAILED,  /* no answer, SERVFAIL … */
};

struct mail_domain_walk {
    enum dns_type type; /* to be asked next */
    enum mail_domain result;
    uint32_t ttl_s; /* the least of all answers */
};

/* Sets the first question. */
void mail_domain_begin(struct mail_domain_walk *walk);
/* Takes the answer to the last question. Returns true at the end of the walk, else the next question is set. */
bool mail_domain_take(struct mail_domain_walk *walk, const struct dns_answer *answer);

/* True for what is no name in the DNS and is taken to take mail: an address literal, and a domain beyond ASCII, whose
 * form for the DNS (RFC 5890) is not made here. */
bool mail_domain_is_not_asked(const char *domain);

#endif
