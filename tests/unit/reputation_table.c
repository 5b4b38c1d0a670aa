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
    struct address back = reputation_key_address(reputation_key(&a));
    cr_assert_str_eq(address_format_host(&back, text), "192.0.2.1");
    back = reputation_key_address(reputation_key(&e));
    cr_assert_str_eq(address_format_host(&back, text), "2001:db8:0:1::");
}

Test(reputation_table, a_flood_of_new_addresses_pushes_out_nobody_who_is_vetted_or_known_for_days) {
    uint64_t vetted[8], known[8];
    for (unsigned i = 0; i < 8; i++) {
        vetted[i] = 1000000 + i * 7919;
        known[i] = 5000000 + i * 104729;
        struct evidence *evidence = reputation_table_obtain(&table, vetted[i], 100);
        cr_assert_not_null(evidence);
        evidence->days = 30;
        evidence->day = 1;
        reputation_table_set_verdict(&table, evidence, true);
        evidence = reputation_table_obtain(&table, known[i], 100);
        cr_assert_not_null(evidence);
        evidence->days = 2;
        evidence->day = 50;
    }
    for (uint64_t key = 1; key < 10000; key++) {
        struct evidence *evidence = reputation_table_obtain(&table, key, 100);
        if (evidence != NULL)
            evidence->days = 1;
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_assert(reputation_table_is_vetted(&table, vetted[i]));
        cr_assert_eq(reputation_table_find(&table, known[i])->days, 2);
    }
    cr_assert(table.count <= 64 && table.dropped > 9000);
}

Test(reputation_table, who_gave_no_sign_for_a_quarter_makes_room_even_when_known_for_days) {
    for (uint64_t key = 1; key < 1000; key++) {
        struct evidence *evidence = reputation_table_obtain(&table, key, 50);
        if (evidence == NULL)
            continue;
        evidence->days = 5;
        evidence->day = 50;
    }
    cr_assert_eq(table.count, 64);
    cr_assert_null(reputation_table_obtain(&table, 5000, 139));
    cr_assert_not_null(reputation_table_obtain(&table, 5000, 140));
}

Test(reputation_table, a_bucket_of_vetted_clients_takes_nobody_else_and_says_so) {
    cr_assert_eq(table.buckets, 8);
    for (uint64_t key = 1; key < 1000; key++) {
        struct evidence *evidence = reputation_table_obtain(&table, key, 1);
        if (evidence != NULL)
            reputation_table_set_verdict(&table, evidence, true);
    }
    cr_assert_eq(table.count, 64);
    cr_assert_eq(table.refused, 999 - 64);
    cr_assert_null(reputation_table_obtain(&table, 5000, 1000));
}

Test(reputation_table, a_new_client_has_nothing_of_the_one_whose_place_it_got) {
    for (uint64_t key = 1; key < 1000; key++) {
        struct evidence *evidence = reputation_table_obtain(&table, key, 1);
        cr_assert_not_null(evidence);
        cr_assert_eq(evidence->days, 0);
        evidence->days = 1;
        evidence->good = 50;
    }
    cr_assert_not(reputation_table_is_vetted(&table, 999));
}
