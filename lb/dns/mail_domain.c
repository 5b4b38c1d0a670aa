/* The walk that tells whether a domain takes mail: MX, then A, then AAAA. A name that does not exist has none of them,
 * so the walk ends at NXDOMAIN. questions.c takes it. Pure. */
#include "lb/dns/mail_domain.h"

void mail_domain_begin(struct mail_domain_walk *walk) {
    *walk = (struct mail_domain_walk){.type = DNS_MX, .ttl_s = UINT32_MAX};
}

static bool end(struct mail_domain_walk *walk, enum mail_domain result) {
    walk->result = result;
    return true;
}

bool mail_domain_take(struct mail_domain_walk *walk, const struct dns_answer *answer) {
    if (answer->status == DNS_FAILED)
        return end(walk, MAIL_DOMAIN_FAILED);
    if (answer->ttl_s < walk->ttl_s)
        walk->ttl_s = answer->ttl_s;
    if (answer->status == DNS_FOUND)
        return end(walk, answer->is_null_mx ? MAIL_DOMAIN_NULL_MX : MAIL_DOMAIN_TAKES_MAIL);
    if (answer->has_no_name || walk->type == DNS_AAAA)
        return end(walk, MAIL_DOMAIN_UNKNOWN);
    walk->type = walk->type == DNS_MX ? DNS_A : DNS_AAAA;
    return false;
}

bool mail_domain_is_not_asked(const char *domain) {
    bool is_ascii = true;
    for (const char *at = domain; *at != '\0'; at++)
        is_ascii &= (unsigned char)*at < 0x80;
    return domain[0] == '[' || !is_ascii;
}
