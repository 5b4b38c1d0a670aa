/* Who stays when the table is full. */
#include "lb/reputation/table.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

static struct reputation_table table;

static void begin(void) {
    cr_assert_eq(reputation_table_init(&table, 64), 0);
}

static void end(void) {
    reputation_table_finish(&table);
    reputation_table_finish(&table);
}

TestSuite(reputation_table, .init = begin, .fini = end);

static struct address address(const char *text) {
    struct address result;
    cr_assert_eq(address_parse(text, 25, &result), 0);
    return result;
}

Test(reputation_table, clients_are_known_by_slash_32_and_slash_64) {
    struct address a = address("192.0.2.1"), b = address("192.0.2.2");
    struct address c = address("2001:db8::1"), d = address("2001:db8::ffff"), e = address("2001:db8:0:1::1");
    cr_assert_neq(reputation_key(&a), reputation_key(&b));
    cr_assert_eq(reputation_key(&c), reputation_key(&d));
    cr_assert_neq(reputation_key(&c), reputation_key(&e));
    struct address loopback = address("::1"), any4 = address("0.0.0.0");
    cr_assert(reputation_key(&loopback) != 0 && reputation_key(&any4) != 0);
    char text[ADDRESS_TEXT_MAX];
    struct address back = reputation_key_address(reputation_key(&a), reputation_host(&a));
    cr_assert_str_eq(address_format_host(&back, text), "192.0.2.1");
    back = reputation_key_address(reputation_key(&e), 0);
    cr_assert_str_eq(address_format_host(&back, text), "2001:db8:0:1::");
    back = reputation_key_address(reputation_key(&d), reputation_host(&d));
    cr_assert_str_eq(address_format_host(&back, text), "2001:db8::ffff");
    back = reputation_key_address(reputation_key(&loopback), reputation_host(&loopback));
    cr_assert_str_eq(address_format_host(&back, text), "::1");
}

Test(reputation_table, a_flood_of_new_addresses_pushes_out_nobody_who_is_vetted_or_known_for_days) {
    uint64_t vetted[8], known[8];
    for (unsigned i = 0; i < 8; i++) {
        vetted[i] = 1000000 + i * 7919;
        known[i] = 5000000 + i * 104729;
        struct client *client = reputation_table_obtain(&table, vetted[i], 100);
        cr_assert_not_null(client);
        client->evidence.days = 30;
        client->evidence.day = 1;
        reputation_table_set_verdict(&table, client, VERDICT_OTHERS);
        client = reputation_table_obtain(&table, known[i], 100);
        cr_assert_not_null(client);
        client->evidence.days = 2;
        client->evidence.day = 50;
    }
    for (uint64_t key = 1; key < 10000; key++) {
        struct client *client = reputation_table_obtain(&table, key, 100);
        if (client != NULL)
            client->evidence.days = 1;
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_assert(reputation_table_is_vetted(&table, vetted[i], 0));
        cr_assert_eq(reputation_table_find(&table, known[i])->evidence.days, 2);
    }
    cr_assert(table.count <= 64 && table.dropped > 9000);
}

Test(reputation_table, who_gave_no_sign_for_a_quarter_makes_room_even_when_known_for_days) {
    for (uint64_t key = 1; key < 1000; key++) {
        struct client *client = reputation_table_obtain(&table, key, 50);
        if (client == NULL)
            continue;
        client->evidence.days = 5;
        client->evidence.day = 50;
    }
    cr_assert_eq(table.count, 64);
    cr_assert_null(reputation_table_obtain(&table, 5000, 139));
    cr_assert_not_null(reputation_table_obtain(&table, 5000, 140));
}

Test(reputation_table, a_bucket_of_vetted_clients_takes_nobody_else_and_says_so) {
    cr_assert_eq(table.map.buckets, 8);
    for (uint64_t key = 1; key < 1000; key++) {
        struct client *client = reputation_table_obtain(&table, key, 1);
        if (client != NULL)
            reputation_table_set_verdict(&table, client, VERDICT_OTHERS);
    }
    cr_assert_eq(table.count, 64);
    cr_assert_eq(table.refused, 999 - 64);
    cr_assert_null(reputation_table_obtain(&table, 5000, 1000));
}

Test(reputation_table, a_new_client_has_nothing_of_the_one_whose_place_it_got) {
    for (uint64_t key = 1; key < 1000; key++) {
        struct client *client = reputation_table_obtain(&table, key, 1);
        cr_assert_not_null(client);
        cr_assert_eq(client->evidence.days, 0);
        client->evidence.days = 1;
        client->evidence.good = 50;
    }
    cr_assert_not(reputation_table_is_vetted(&table, 999, 0));
}

static uint64_t dropped_key;
static void on_dropped(void *context, uint64_t key) {
    dropped_key = key;
    (*(unsigned *)context)++;
}

Test(reputation_table, who_loses_its_place_is_told_and_its_mark_goes_with_it) {
    unsigned dropped = 0;
    table.on_dropped = on_dropped;
    table.on_dropped_context = &dropped;
    for (uint64_t key = 1; key < 1000; key++)
        reputation_table_mark(&table, reputation_table_obtain(&table, key, 1));
    cr_assert_eq(dropped, 999 - table.count);
    cr_assert_null(reputation_table_find(&table, dropped_key));
    unsigned index = 0, marked = 0;
    uint64_t key;
    while (reputation_table_next_marked(&table, &index, &key) != NULL)
        marked++;
    cr_assert_eq(marked, 64);
    index = 0;
    cr_assert_null(reputation_table_next_marked(&table, &index, &key), "marks are taken off");
}

Test(reputation_table, a_client_that_is_removed_leaves_room) {
    for (uint64_t key = 1; key < 1000; key++)
        reputation_table_obtain(&table, key, 1);
    unsigned index = 5;
    uint64_t key;
    reputation_table_remove(&table, reputation_table_at(&table, index, &key));
    cr_assert_eq(table.count, 63);
    cr_assert_null(reputation_table_find(&table, key));
    cr_assert_not_null(reputation_table_obtain(&table, key, 1));
}

Test(reputation_table, what_an_operator_has_set_is_never_dropped) {
    struct client *client = reputation_table_obtain(&table, 77, 1);
    client->decree = DECREE_REFUSED;
    for (uint64_t key = 1000; key < 9000; key++)
        reputation_table_obtain(&table, key, 1);
    cr_assert_not_null(reputation_table_find(&table, 77));
}
