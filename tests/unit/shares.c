/* The places for questions at their bounds, and beyond. */
#include "lb/dns/shares.h"

#include <criterion/criterion.h>
#include <string.h>

static struct shares shares;
static unsigned taken;

static void begin(void) {
    memset(&shares, 0, sizeof shares);
    taken = 0;
}

TestSuite(shares, .init = begin);

static bool ask(uint64_t client, uint64_t zone, bool is_vetted) {
    if (!shares_admit(&shares, client, zone, is_vetted, SHARES_PLACES - taken))
        return false;
    shares_take(&shares, taken++, client, zone);
    return true;
}

/* Every client asks for zones of its own until nobody gets any more. Returns how many places are taken. */
static unsigned fill(unsigned clients, bool is_vetted) {
    bool is_any = true;
    for (uint64_t zone = 1000; is_any;) {
        is_any = false;
        for (unsigned client = 1; client <= clients; client++)
            is_any |= ask(client, ++zone, is_vetted);
    }
    return taken;
}

static unsigned of(uint64_t client) {
    unsigned count = 0;
    for (unsigned i = 0; i < SHARES_PLACES; i++)
        count += shares.clients[i] == client;
    return count;
}

Test(shares, one_client_alone_gets_a_part_and_a_vetted_one_a_larger) {
    cr_assert_eq(fill(1, false), 89); /* of the 359 that are left then, 89 are a quarter */
    begin();
    cr_assert_eq(fill(1, true), 171);
}

Test(shares, twelve_greedy_clients_get_the_same_and_leave_a_quarter) {
    fill(12, false);
    for (uint64_t client = 1; client <= 12; client++)
        cr_assert(of(client) >= 27 && of(client) <= 29, "%u", of(client));
    cr_assert(taken < SHARES_PLACES - SHARES_RESERVED - 90);
    cr_assert(ask(99, 1, false));
}

Test(shares, a_crowd_takes_all_but_what_is_reserved_for_vetted_ones) {
    cr_assert_eq(fill(2000, false), SHARES_PLACES - SHARES_RESERVED);
    cr_assert_not(ask(3000, 1, false));
    for (unsigned i = 0; i < SHARES_RESERVED; i++)
        cr_assert(ask(4000 + i, 1, true), "%u", i);
    cr_assert_eq(taken, SHARES_PLACES);
    cr_assert_not(ask(5000, 1, true), "beyond the bound");
}

Test(shares, a_place_that_is_given_back_is_free_again) {
    fill(2000, false);
    shares_give_back(&shares, 7);
    taken--;
    cr_assert(shares_admit(&shares, 3000, 1, false, SHARES_PLACES - taken));
}

Test(shares, a_zone_never_gets_all) {
    for (uint64_t client = 1; client <= 2000; client++)
        ask(client, 1, false);
    cr_assert_eq(taken, SHARES_ZONE_MAX);
    cr_assert(ask(3000, 2, false), "another zone has room");
    for (uint64_t client = 4000; client <= 6000; client++)
        ask(client, 1, true);
    cr_assert_eq(taken, SHARES_ZONE_VETTED_MAX + 1);
    cr_assert(ask(7000, 3, true) && !ask(7001, 1, true));
}

Test(shares, who_asks_for_more_of_a_zone_gets_less_than_who_asks_for_one) {
    bool is_any = true;
    while (is_any) {
        is_any = false;
        for (uint64_t client = 1; client <= 12; client++)
            is_any |= ask(client, 1, false);
    }
    cr_assert(taken < SHARES_ZONE_MAX - 50, "%u", taken);
    cr_assert_not(ask(1, 1, false));
    for (uint64_t client = 100; client < 150; client++)
        cr_assert(ask(client, 1, false));
}
