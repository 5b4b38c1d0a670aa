/* From an address to its names and back, with answers handed in. */
#include "lb/dns/client_name.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct address address(const char *text) {
    struct address result;
    cr_assert_eq(address_parse(text, 25, &result), 0);
    return result;
}

static struct dns_answer names(uint32_t ttl_s, unsigned count) {
    struct dns_answer answer = {.status = DNS_FOUND, .ttl_s = ttl_s, .count = count};
    for (unsigned i = 0; i < count; i++)
        snprintf(answer.names[i], sizeof answer.names[i], "n%u.example", i);
    return answer;
}

static struct dns_answer found(uint32_t ttl_s, const char *text) {
    struct dns_answer answer = {.status = DNS_FOUND, .ttl_s = ttl_s, .count = 2};
    answer.addresses[0] = address("192.0.2.99");
    answer.addresses[1] = address(text);
    address_set_port(&answer.addresses[1], 0);
    return answer;
}

static const struct dns_answer none = {.status = DNS_NONE, .ttl_s = 60};
static const struct dns_answer failed = {.status = DNS_FAILED};

static void begin(struct client_name_walk *walk, const char *text) {
    struct address of = address(text);
    client_name_begin(walk, &of, 1000);
}

static bool take(struct client_name_walk *walk, struct dns_answer answer) {
    return client_name_take(walk, &answer, 1000);
}

Test(client_name, addresses_are_asked_for_backwards) {
    char name[256], pointer[POINTER_NAME_MAX];
    struct address v4 = address("192.0.2.10"), v6 = address("2001:db8::1234");
    dns_pointer_name(&v4, pointer);
    cr_assert_str_eq(pointer, "10.2.0.192.in-addr.arpa");
    dns_pointer_name(&v6, pointer);
    cr_assert_str_eq(pointer, "4.3.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    cr_assert(dns_reverse_name(&v4, "zen.example", name, sizeof name));
    cr_assert_str_eq(name, "10.2.0.192.zen.example");
    cr_assert(dns_reverse_name(&v6, "zen.example", name, sizeof name));
    cr_assert_str_eq(name, "4.3.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example");
    cr_assert_not(dns_reverse_name(&v6, "zen.example", name, 60));
}

Test(client_name, the_first_name_that_leads_back_is_the_clients) {
    struct client_name_walk walk;
    begin(&walk, "192.0.2.10");
    cr_assert(walk.type == DNS_PTR && strcmp(walk.name, "10.2.0.192.in-addr.arpa") == 0);
    cr_assert_not(take(&walk, names(300, 3)));
    cr_assert(walk.type == DNS_A && strcmp(walk.name, "n0.example") == 0);
    cr_assert_not(take(&walk, found(200, "192.0.2.11")), "another address");
    cr_assert_str_eq(walk.name, "n1.example");
    cr_assert(take(&walk, found(250, "192.0.2.10")));
    cr_assert(walk.result == CLIENT_NAME_CONFIRMED && walk.ttl_s == 200);
    cr_assert_str_eq(walk.name, "n1.example");
    begin(&walk, "2001:db8::1");
    cr_assert_not(take(&walk, names(300, 1)));
    cr_assert_eq(walk.type, DNS_AAAA);
    cr_assert(take(&walk, found(300, "2001:db8::1")) && walk.result == CLIENT_NAME_CONFIRMED);
}

Test(client_name, without_names_or_with_names_of_others_it_has_none_and_ten_are_tried) {
    struct client_name_walk walk;
    begin(&walk, "192.0.2.10");
    cr_assert(take(&walk, none) && walk.result == CLIENT_NAME_NONE && walk.ttl_s == 60);
    begin(&walk, "192.0.2.10");
    cr_assert_not(take(&walk, names(300, 10)));
    for (unsigned i = 0; i < 9; i++)
        cr_assert_not(take(&walk, none));
    cr_assert_str_eq(walk.name, "n9.example");
    cr_assert(take(&walk, none) && walk.result == CLIENT_NAME_NONE);
    begin(&walk, "192.0.2.10");
    struct dns_answer root = names(300, 2);
    root.names[0][0] = '\0';
    cr_assert_not(take(&walk, root));
    cr_assert_str_eq(walk.name, "n1.example", "the root is no name");
    root.count = 1;
    begin(&walk, "192.0.2.10");
    cr_assert(take(&walk, root) && walk.result == CLIENT_NAME_NONE);
}

Test(client_name, a_name_that_fails_is_skipped_and_fails_only_what_no_other_one_confirms) {
    struct client_name_walk walk;
    begin(&walk, "192.0.2.10");
    cr_assert_not(take(&walk, names(300, 3)));
    cr_assert_not(take(&walk, failed));
    cr_assert_not(take(&walk, none));
    cr_assert(take(&walk, found(200, "192.0.2.10")) && walk.result == CLIENT_NAME_CONFIRMED);
    cr_assert(strcmp(walk.name, "n2.example") == 0 && walk.ttl_s == 60);
    begin(&walk, "192.0.2.10");
    cr_assert_not(take(&walk, names(300, 2)));
    cr_assert_not(take(&walk, failed));
    cr_assert(take(&walk, found(200, "192.0.2.11")) && walk.result == CLIENT_NAME_FAILED, "it might have been the one");
}

Test(client_name, names_that_answer_slowly_are_given_up_after_twenty_seconds) {
    struct client_name_walk walk;
    struct dns_answer ten = names(300, 10);
    begin(&walk, "192.0.2.10");
    cr_assert_not(client_name_take(&walk, &ten, 1000));
    cr_assert_not(client_name_take(&walk, &none, 1000 + CLIENT_NAME_TIME_MS - 1));
    cr_assert(client_name_take(&walk, &none, 1000 + CLIENT_NAME_TIME_MS) && walk.result == CLIENT_NAME_FAILED);
    begin(&walk, "192.0.2.10");
    struct dns_answer back = found(200, "192.0.2.10");
    cr_assert_not(client_name_take(&walk, &ten, 1000));
    cr_assert(client_name_take(&walk, &back, 1000 + CLIENT_NAME_TIME_MS) && walk.result == CLIENT_NAME_CONFIRMED,
              "a late answer is an answer");
}

Test(client_name, no_answer_is_not_no_name) {
    struct client_name_walk walk;
    begin(&walk, "192.0.2.10");
    cr_assert(take(&walk, failed) && walk.result == CLIENT_NAME_FAILED && walk.ttl_s == UINT32_MAX);
    begin(&walk, "192.0.2.10");
    cr_assert_not(take(&walk, names(300, 2)));
    cr_assert_not(take(&walk, failed));
    cr_assert(take(&walk, failed) && walk.result == CLIENT_NAME_FAILED);
}
