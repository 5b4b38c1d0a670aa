/* Neighbourhoods: what clients tell about those beside them. */
#include "lb/reputation/parents.h"

#include "lb/reputation/table.h"

#include <criterion/criterion.h>

static struct parents parents;

static void begin(void) {
    cr_assert_eq(parents_init(&parents, 64), 0);
}

static void end(void) {
    parents_finish(&parents);
    parents_finish(&parents);
}

TestSuite(parents, .init = begin, .fini = end);

static void add(uint64_t key, unsigned children, double good) {
    for (unsigned i = 0; i < children; i++)
        parents_add(
            &parents, key,
            &(struct parent_share){
                .good = good, .bad = 1, .first_day = (uint16_t)(50 + i), .network = i, .is_vetted = i % 2 == 0});
}

Test(parents, what_was_added_in_a_pass_is_known_after_it_and_for_one_pass) {
    struct parent_sums sums;
    add(7, 4, 10);
    cr_assert_not(parents_find(&parents, 7, &sums), "the pass has not ended");
    parents_turn(&parents);
    cr_assert(parents_find(&parents, 7, &sums));
    cr_assert(sums.children == 4 && sums.vetted == 2 && sums.first_day == 50);
    cr_assert_float_eq((double)sums.good, 40, 1e-6);
    add(7, 1, 1);
    cr_assert(parents_find(&parents, 7, &sums) && sums.children == 4, "until this one ends");
    parents_turn(&parents);
    cr_assert(parents_find(&parents, 7, &sums) && sums.children == 1);
    parents_turn(&parents);
    cr_assert_not(parents_find(&parents, 7, &sums), "nobody belongs to it any more");
}

Test(parents, neighbourhoods_of_one_push_out_no_larger_one) {
    struct parent_sums sums;
    add(7, 5, 10);
    for (uint64_t key = 1000; key < 9000; key++)
        add(key, 1, 1);
    parents_turn(&parents);
    cr_assert(parents_find(&parents, 7, &sums) && sums.children == 5);
}

Test(parents, networks_of_vetted_children_are_counted_and_not_those_of_others) {
    struct parent_sums sums;
    for (uint64_t network = 1; network <= 200; network++)
        parents_add(&parents, 9, &(struct parent_share){.network = network << 8, .is_vetted = network <= 6});
    parents_turn(&parents);
    cr_assert(parents_find(&parents, 9, &sums));
    cr_assert(parents_networks(&sums) >= 4 && parents_networks(&sums) <= 6, "%u", parents_networks(&sums));
}

Test(parents, keys_of_networks_and_domains_are_apart) {
    struct address a, b, c, d;
    address_parse("192.0.2.1", 25, &a);
    address_parse("192.0.2.254", 25, &b);
    address_parse("2001:db8:1:1::1", 25, &c);
    address_parse("2001:db8:1:ffff::1", 25, &d);
    cr_assert_eq(parent_of_network(reputation_key(&a)), parent_of_network(reputation_key(&b)));
    cr_assert_eq(parent_of_network(reputation_key(&c)), parent_of_network(reputation_key(&d)));
    cr_assert_neq(parent_of_network(reputation_key(&a)), parent_of_network(reputation_key(&c)));
    cr_assert_neq(parent_of_domain("example.org"), parent_of_domain("example.com"));
    cr_assert_eq(parent_of_domain("example.org") >> 56, 0xfe);
    parents_set_name(&parents, parent_of_domain("example.org"), "example.org");
    cr_assert_str_eq(parents_name(&parents, parent_of_domain("example.org")), "example.org");
    cr_assert_str_eq(parents_name(&parents, 5), "");
}
