/* Whether one backend offers all that another one did. */
#include "lb/smtp/ehlo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct ehlo_offer offer(const char *reply) {
    struct ehlo_offer result;
    cr_assert(ehlo_offer_parse((const uint8_t *)reply, strlen(reply), &result));
    return result;
}

Test(ehlo, the_hosts_name_case_and_order_do_not_count) {
    struct ehlo_offer a = offer("250-vm1\r\n250-PIPELINING\r\n250-SIZE 100\r\n250 8BITMIME\r\n");
    struct ehlo_offer b = offer("250-vm2\r\n250-8bitmime \r\n250-size 100\r\n250 PIPELINING\r\n");
    cr_assert(ehlo_offer_equal(&a, &b) && a.has_pipelining && a.count == 3);
}

Test(ehlo, everything_that_a_client_was_offered_must_be_there_with_its_parameters) {
    struct ehlo_offer a = offer("250-a\r\n250-SIZE 100\r\n250 STARTTLS\r\n");
    struct ehlo_offer more = offer("250-a\r\n250-SIZE 100\r\n250-DSN\r\n250 STARTTLS\r\n");
    struct ehlo_offer smaller = offer("250-a\r\n250-SIZE 50\r\n250-DSN\r\n250 STARTTLS\r\n");
    struct ehlo_offer none = offer("250 a\r\n");
    cr_assert(ehlo_offer_covers(&more, &a) && !ehlo_offer_covers(&a, &more));
    cr_assert(!ehlo_offer_covers(&smaller, &a));
    cr_assert(ehlo_offer_covers(&a, &none) && !ehlo_offer_covers(&none, &a) && none.count == 0);
}

Test(ehlo, too_many_keywords_are_refused_and_repeated_ones_count_once) {
    char reply[2000] = "250-a\r\n";
    for (unsigned i = 0; i <= EHLO_KEYWORDS_MAX; i++)
        snprintf(reply + strlen(reply), sizeof reply - strlen(reply), "250%cX%u\r\n",
                 i == EHLO_KEYWORDS_MAX ? ' ' : '-', i);
    struct ehlo_offer result;
    cr_assert_not(ehlo_offer_parse((const uint8_t *)reply, strlen(reply), &result));
    cr_assert_eq(offer("250-a\r\n250-DSN\r\n250 dsn\r\n").count, 1);
}
