/* Whether a domain takes mail, with answers handed in. */
#include "lb/dns/mail_domain.h"

#include <criterion/criterion.h>

static bool take(struct mail_domain_walk *walk, enum dns_status status, uint32_t ttl_s) {
    return mail_domain_take(walk, &(struct dns_answer){.status = status, .ttl_s = ttl_s, .count = 1});
}

Test(mail_domain, an_exchange_is_enough_and_a_null_one_says_no) {
    struct mail_domain_walk walk;
    mail_domain_begin(&walk);
    cr_assert_eq(walk.type, DNS_MX);
    cr_assert(take(&walk, DNS_FOUND, 300) && walk.result == MAIL_DOMAIN_TAKES_MAIL && walk.ttl_s == 300);
    mail_domain_begin(&walk);
    cr_assert(mail_domain_take(&walk, &(struct dns_answer){.status = DNS_FOUND, .is_null_mx = true, .count = 1}));
    cr_assert_eq(walk.result, MAIL_DOMAIN_NULL_MX);
}

Test(mail_domain, an_address_of_either_family_is_an_exchange_where_there_is_none) {
    struct mail_domain_walk walk;
    mail_domain_begin(&walk);
    cr_assert(!take(&walk, DNS_NONE, 300) && walk.type == DNS_A);
    cr_assert(take(&walk, DNS_FOUND, 60) && walk.result == MAIL_DOMAIN_TAKES_MAIL && walk.ttl_s == 60);
    mail_domain_begin(&walk);
    cr_assert(!take(&walk, DNS_NONE, 300) && !take(&walk, DNS_NONE, 200) && walk.type == DNS_AAAA);
    cr_assert(take(&walk, DNS_FOUND, 400) && walk.result == MAIL_DOMAIN_TAKES_MAIL && walk.ttl_s == 200);
}

Test(mail_domain, it_is_unknown_without_any_and_at_once_when_the_name_is_not_there) {
    struct mail_domain_walk walk;
    mail_domain_begin(&walk);
    cr_assert(!take(&walk, DNS_NONE, 300) && !take(&walk, DNS_NONE, 300));
    cr_assert(take(&walk, DNS_NONE, 100) && walk.result == MAIL_DOMAIN_UNKNOWN && walk.ttl_s == 100);
    mail_domain_begin(&walk);
    cr_assert(mail_domain_take(&walk, &(struct dns_answer){.status = DNS_NONE, .has_no_name = true, .ttl_s = 30}));
    cr_assert(walk.result == MAIL_DOMAIN_UNKNOWN && walk.ttl_s == 30);
}

Test(mail_domain, no_answer_to_any_question_is_no_verdict) {
    for (unsigned before = 0; before < 3; before++) {
        struct mail_domain_walk walk;
        mail_domain_begin(&walk);
        for (unsigned i = 0; i < before; i++)
            cr_assert_not(take(&walk, DNS_NONE, 300));
        cr_assert(take(&walk, DNS_FAILED, 0) && walk.result == MAIL_DOMAIN_FAILED, "%u", before);
    }
}

Test(mail_domain, what_is_no_name_in_the_dns_is_not_asked) {
    cr_assert(mail_domain_is_not_asked("[192.0.2.1]") && mail_domain_is_not_asked("b\xc3\xbc"
                                                                                  "cher.example"));
    cr_assert_not(mail_domain_is_not_asked("example.test"));
}
