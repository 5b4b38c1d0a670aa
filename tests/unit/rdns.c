/* Which names say who a client is. */
#include "lb/reputation/rdns.h"

#include <criterion/criterion.h>

static struct address address(const char *text) {
    struct address result;
    cr_assert_eq(address_parse(text, 25, &result), 0);
    return result;
}

static bool is_generic(const char *name, const char *text) {
    struct address of = address(text);
    return rdns_is_generic(name, &of);
}

Test(rdns, a_name_made_from_the_address_has_no_domain_of_its_own) {
    cr_assert(is_generic("host-203-0-113-77.dyn.isp.example", "203.0.113.77"));
    cr_assert(is_generic("77.113.0.203.isp.example", "203.0.113.77"));
    cr_assert(is_generic("dhcp077-113.isp.example", "203.0.113.77"));
    cr_assert(is_generic("p5b0c1d2e.dip0.isp.example", "91.12.29.46"));
    cr_assert(is_generic("2001-db8-77aa-1.v6.isp.example", "2001:db8:77aa:1::5"));
    cr_assert(is_generic("x20010db877aa.isp.example", "2001:db8:77aa:1::5"));
    cr_assert_not(is_generic("mail-ed1-f41.google.example", "209.85.208.41"));
    cr_assert_not(is_generic("mx1.example.org", "192.0.2.1"));
    cr_assert_not(is_generic("mx.example.org", "2001:db8::25"));
}

Test(rdns, the_organisation_is_what_stands_below_a_public_suffix) {
    cr_assert_str_eq(rdns_domain("a.mx.example.co.uk"), "example.co.uk");
    cr_assert_str_eq(rdns_domain("example.org"), "example.org");
    cr_assert_null(rdns_domain("co.uk"));
    cr_assert_null(rdns_domain("localhost"));
    cr_assert_null(rdns_domain(""));
}
