/* Addresses in postern.ini and in commands that lead nowhere, back to postern, or to one of two places. */
#include "ini.h"

#include "conf/added_backend.h"
#include "conf/finish.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What follows [listen mx] and the backend's address is refused with this. */
static void assert_backend_wrong(const char *listen, const char *backend, const char *message) {
    char text[500];
    snprintf(text, sizeof text, "[listen mx]\naddress = %s\n" TIER "[backend vm1]\ntier = primary\naddress = %s\n",
             listen, backend);
    assert_wrong_text(text, message);
}

static void assert_backend_good(const char *listen, const char *backend) {
    char text[500];
    snprintf(text, sizeof text, "[listen mx]\naddress = %s\n" TIER "[backend vm1]\ntier = primary\naddress = %s\n",
             listen, backend);
    assert_good_text(text);
}

Test(own_address, a_backend_that_is_postern_itself_is_refused) {
    assert_backend_wrong("127.0.0.1:2525", "127.0.0.1:2525",
                         "[backend vm1] address: 127.0.0.1:2525 is postern itself, by "
                         "[listen mx]");
    assert_backend_wrong("0.0.0.0:2525", "127.0.0.1:2525", "postern itself");
    assert_backend_wrong("0.0.0.0:2525", "127.9.9.9:2525", "postern itself");
    assert_backend_wrong("0.0.0.0:2525", "0.0.0.0:2525", "postern itself");
    assert_backend_wrong("127.0.0.1:2525", "0.0.0.0:2525", "postern itself");
    assert_backend_wrong("[::]:2525", "[::1]:2525", "postern itself");
    assert_backend_wrong("[::1]:2525", "[::]:2525", "postern itself");
    assert_backend_wrong("[::ffff:0.0.0.0]:2525", "[::ffff:127.0.0.1]:2525", "127.0.0.1:2525 is postern itself");
    assert_backend_wrong("192.0.2.1:25 127.0.0.2:2525", "127.0.0.2:2525", "postern itself");
    assert_backend_good("0.0.0.0:2525", "127.0.0.1:2526");
    assert_backend_good("127.0.0.1:2525", "127.0.0.2:2525");
    assert_backend_good("[::]:2525", "127.0.0.1:2525"); /* IPV6_V6ONLY */
    assert_backend_good("0.0.0.0:2525", "[::1]:2525");
    assert_backend_good("0.0.0.0:2525", "203.0.113.77:2525"); /* no address of this host */
    assert_wrong_text(MINIMAL "[status]\nlisten = 192.0.2.11:25\n", "postern itself, by [status]");
    assert_wrong_text(MINIMAL "[feedback]\nkey-file = /k\nlisten = 192.0.2.11:25\n", "postern itself, by [feedback]");
}

Test(own_address, an_address_of_one_of_this_hosts_interfaces_is_postern_itself_too) {
    struct ifaddrs *interfaces;
    char text[ADDRESS_TEXT_MAX];
    unsigned seen = 0;
    cr_assert_eq(getifaddrs(&interfaces), 0);
    for (struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
            continue;
        bool is_ipv6 = at->ifa_addr->sa_family == AF_INET6;
        struct address own = {.sa = {.sa_family = 0}};
        memcpy(&own, at->ifa_addr, is_ipv6 ? sizeof own.in6 : sizeof own.in4);
        address_set_port(&own, 2525);
        assert_backend_wrong(is_ipv6 ? "[::]:2525" : "0.0.0.0:2525", address_format(&own, text), "postern itself");
        seen++;
    }
    freeifaddrs(interfaces);
    cr_assert_gt(seen, 0);
}

Test(own_address, a_backend_at_an_address_that_no_host_has_is_refused) {
    assert_backend_wrong("127.0.0.1:2525", "0.0.0.0:25", "no host's address");
    assert_backend_wrong("127.0.0.1:2525", "[::]:25", "no host's address");
    assert_backend_wrong("127.0.0.1:2525", "224.0.0.1:25", "no host's address");
    assert_backend_wrong("127.0.0.1:2525", "255.255.255.255:25", "no host's address");
    assert_backend_wrong("127.0.0.1:2525", "[ff02::1]:25", "no host's address");
}

Test(own_address, an_address_that_can_be_read_in_two_ways_is_refused_with_both_wherever_one_stands) {
    static const char *const files[] = {
        "[listen mx]\naddress = 2001:db8::11:25\n" TIER BACKEND,
        LISTEN TIER "[backend vm1]\ntier = primary\naddress = 2001:db8::11:25\n",
        LISTEN "[tier primary]\nsource = 2001:db8::11:25\n" BACKEND,
        MINIMAL "source = 192.0.2.1 2001:db8::11:25\n",
        MINIMAL "[dns]\nservers = 2001:db8::11:25\n",
        MINIMAL "[status]\nlisten = 2001:db8::11:25\n",
        MINIMAL "[feedback]\nkey-file = /k\nlisten = 2001:db8::11:25\n",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        assert_wrong_text(files[i], "[2001:db8::11]:25");
        assert_wrong_text(files[i], "[2001:db8::11:25]");
    }
    assert_wrong_text(LISTEN TIER "[backend vm1]\ntier = primary\naddress = [fe80::1]:25\n", "needs its interface");
    assert_wrong_text("[listen mx]\naddress = [fe80::1]:25\n" TIER BACKEND, "needs its interface");
    assert_wrong_text(MINIMAL "[dns]\nservers = [fe80::1%lo]:53\n", "can't be asked");
    assert_good_text("[listen mx]\naddress = [fe80::1%lo]:25 [::ffff:127.0.0.1]:2525 2001:db8::1\n" TIER BACKEND
                     "source = 2001:db8::1 [2001:db8::11:25] 192.0.2.1\n");
}

Test(own_address, networks_written_mapped_are_those_of_ipv4) {
    struct config *config =
        parse_text("[listen mx]\naddress = 127.0.0.1:2525\nproxy-from = ::ffff:127.0.1.0/120\n" TIER BACKEND);
    struct address client;
    cr_assert_not_null(config, "%s", messages);
    cr_assert_eq(address_parse("127.0.1.9", 25, &client), 0);
    cr_assert(cidr_list_contains(&config->listens[0].proxy_from, &client));
    config_free(config);
}

static struct config_backend added;

/* "" when it was taken. */
static const char *add_at(const struct config *config, const char *address) {
    static char error[600];
    char words[4][80] = {"tier", "primary", "address"};
    char *const list[] = {words[0], words[1], words[2], words[3]};
    snprintf(words[3], sizeof words[3], "%s", address);
    error[0] = '\0';
    if (config_parse_backend(config, "vm2", list, 4, &added, error, sizeof error) == 0)
        config_backend_finish(&added);
    else
        cr_assert_neq(error[0], '\0');
    return error;
}

Test(own_address, a_server_added_at_posterns_own_address_is_refused) {
    struct config *config = parse_text("[listen mx]\naddress = 0.0.0.0:2525\n" TIER BACKEND);
    cr_assert_not_null(config, "%s", messages);
    cr_assert_not_null(strstr(add_at(config, "127.0.0.1:2525"), "is postern itself, by [listen mx]"));
    cr_assert_not_null(strstr(add_at(config, "[::ffff:127.0.0.5]:2525"), "is postern itself"));
    cr_assert_not_null(strstr(add_at(config, "0.0.0.0:25"), "no host's address"));
    cr_assert_not_null(strstr(add_at(config, "2001:db8::11:25"), "[2001:db8::11]:25"));
    cr_assert_not_null(strstr(add_at(config, "2001:db8::11:25"), "[2001:db8::11:25]"));
    cr_assert_str_eq(add_at(config, "127.0.0.1:25"), "");
    config_free(config);
}
