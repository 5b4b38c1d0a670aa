/* Choosing a backend: shares as weights say, full and tried ones left out, clients that stay with theirs. */
#include "backends/view.h"

#include "lb/base/chance.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 4

static struct config_tier tier_config;
static struct view_member members[MEMBERS];
static struct view_tier tier;
static struct chance chance;

static void begin(enum balance balance, const uint32_t weights[MEMBERS]) {
    chance_init(&chance, 7);
    tier_config.balance = balance;
    tier = (struct view_tier){.config = &tier_config, .members_count = MEMBERS, .members = members, .is_up = true};
    for (uint8_t i = 0; i < MEMBERS; i++) {
        char name[8];
        snprintf(name, sizeof name, "vm%u", i);
        struct config_backend config = {.name = name, .weight = weights[i]};
        members[i] =
            (struct view_member){.backend = backend_create(&config, i, 2), .weight = weights[i], .is_usable = true};
    }
}

static void end(void) {
    for (unsigned i = 0; i < MEMBERS; i++)
        backend_destroy(members[i].backend);
}

static struct address client(unsigned number) {
    char text[32];
    struct address address;
    snprintf(text, sizeof text, "10.%u.%u.%u:1", number >> 16 & 255, number >> 8 & 255, number & 255);
    address_parse(text, 0, &address);
    return address;
}

static bool lacks_local;

/* The index of the one chosen, or -1 - enum choice. */
static int choose(const struct backend_set *tried, unsigned number) {
    const struct view_member *member;
    struct address address = client(number);
    enum choice choice =
        view_choose(&tier, &(struct chooser){0, tried, &address, chance_bits(&chance), true, lacks_local}, &member);
    return choice == CHOICE_FOUND ? (int)(member - members) : -1 - (int)choice;
}

/* `sessions` choices, each ended before the next when `is_short`. */
static void spread(unsigned sessions, bool is_short, unsigned counts[MEMBERS]) {
    static const struct backend_set none;
    memset(counts, 0, MEMBERS * sizeof counts[0]);
    for (unsigned i = 0; i < sessions; i++) {
        int chosen = choose(&none, i);
        cr_assert_geq(chosen, 0);
        counts[chosen]++;
        if (is_short)
            backend_release_slot(members[chosen].backend, 0);
    }
}

static void assert_shares(const unsigned counts[MEMBERS], const uint32_t weights[MEMBERS], double within) {
    double total = 0, sum = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        total += counts[i];
        sum += weights[i];
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        double wanted = total * weights[i] / sum;
        cr_assert(counts[i] <= wanted * (1 + within) + 1 && counts[i] >= wanted * (1 - within) - 1,
                  "vm%u got %u of %g, wanted %g", i, counts[i], total, wanted);
    }
}

static const uint32_t uneven[MEMBERS] = {50, 100, 0, 250};

Test(balance, roundrobin_gives_exact_shares_and_spreads_the_heavy_one) {
    unsigned counts[MEMBERS];
    static const struct backend_set none;
    begin(BALANCE_ROUNDROBIN, uneven);
    spread(8, true, counts);
    cr_assert(counts[0] == 1 && counts[1] == 2 && counts[2] == 0 && counts[3] == 5);
    int last = choose(&none, 0), in_a_row = 1, most = 1;
    for (unsigned i = 0; i < 100; i++) {
        int chosen = choose(&none, 0);
        in_a_row = chosen == last ? in_a_row + 1 : 1;
        most = in_a_row > most ? in_a_row : most;
        last = chosen;
    }
    cr_assert_leq(most, 3, "%d in a row", most);
    end();
}

Test(balance, leastconn_gives_shares_by_weight_whether_sessions_last_or_not) {
    unsigned counts[MEMBERS];
    begin(BALANCE_LEASTCONN, uneven);
    spread(8000, true, counts);
    assert_shares(counts, uneven, 0.05);
    spread(8000, false, counts);
    assert_shares(counts, uneven, 0.01);
    end();
}

Test(balance, leastconn_sends_new_sessions_to_whom_the_old_ones_have_left) {
    static const uint32_t even[MEMBERS] = {100, 100, 100, 100};
    static const struct backend_set none;
    unsigned counts[MEMBERS];
    begin(BALANCE_LEASTCONN, even);
    spread(400, false, counts);
    for (unsigned i = 0; i < 50; i++)
        backend_release_slot(members[2].backend, 0);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(choose(&none, i), 2);
    end();
}

Test(balance, random2_gives_shares_by_weight) {
    unsigned counts[MEMBERS];
    begin(BALANCE_RANDOM2, uneven);
    spread(20000, false, counts);
    assert_shares(counts, uneven, 0.05);
    end();
}

Test(balance, source_gives_shares_by_weight_and_moves_only_the_clients_of_the_one_that_goes) {
    unsigned counts[MEMBERS], moved = 0;
    static const struct backend_set none;
    static int before[20000];
    begin(BALANCE_SOURCE, uneven);
    spread(20000, true, counts);
    assert_shares(counts, uneven, 0.05);
    for (unsigned i = 0; i < 20000; i++)
        before[i] = choose(&none, i);
    members[1].is_usable = false;
    for (unsigned i = 0; i < 20000; i++) {
        int after = choose(&none, i);
        cr_assert(after == before[i] || before[i] == 1, "client %u moved from vm%d to vm%d", i, before[i], after);
        moved += after != before[i];
    }
    cr_assert_eq(moved, counts[1]);
    end();
}

Test(balance, source_takes_an_ipv6_64_for_one_client) {
    static const uint32_t even[MEMBERS] = {100, 100, 100, 100};
    static const struct backend_set none;
    const struct view_member *first, *member;
    struct address address;
    begin(BALANCE_SOURCE, even);
    address_parse("[2001:db8:1:2::1]:1", 0, &address);
    view_choose(&tier, &(struct chooser){0, &none, &address, 0, true, false}, &first);
    for (unsigned i = 0; i < 100; i++) {
        address.in6.sin6_addr.s6_addr[15] = (uint8_t)i;
        address.in6.sin6_addr.s6_addr[8] = (uint8_t)(i * 3);
        view_choose(&tier, &(struct chooser){0, &none, &address, 0, true, false}, &member);
        cr_assert_eq(member, first);
    }
    end();
}

Test(balance, none_is_tried_twice_and_the_answer_says_why_there_is_none) {
    static const uint32_t weights[MEMBERS] = {100, 100, 0, 100};
    static const enum balance ways[] = {BALANCE_ROUNDROBIN, BALANCE_LEASTCONN, BALANCE_RANDOM2, BALANCE_SOURCE};
    for (unsigned way = 0; way < 4; way++) {
        struct backend_set tried = {0};
        begin(ways[way], weights);
        for (unsigned i = 0; i < 3; i++) {
            int chosen = choose(&tried, 1);
            cr_assert_geq(chosen, 0);
            cr_assert_not(backend_set_has(&tried, members[chosen].backend));
            backend_set_add(&tried, members[chosen].backend);
        }
        cr_assert_eq(choose(&tried, 1), -1 - (int)CHOICE_NONE);
        end();
    }
}

Test(balance, a_full_backend_is_waited_for_and_a_starting_one_too) {
    static const uint32_t weights[MEMBERS] = {100, 100, 0, 0};
    static const struct backend_set none;
    begin(BALANCE_LEASTCONN, weights);
    members[0].sessions_max = 2;
    members[1].is_usable = false;
    members[1].is_starting = true;
    cr_assert_eq(choose(&none, 1), 0);
    cr_assert_eq(choose(&none, 1), 0);
    cr_assert_eq(choose(&none, 1), -1 - (int)CHOICE_FULL);
    cr_assert(backend_release_slot(members[0].backend, 2), "somebody may wait for this slot");
    cr_assert_not(backend_release_slot(members[0].backend, 2));
    members[0].is_usable = false;
    cr_assert_eq(choose(&none, 1), -1 - (int)CHOICE_STARTING);
    members[1].is_starting = false;
    cr_assert_eq(choose(&none, 1), -1 - (int)CHOICE_NONE);
    end();
}

Test(balance, where_the_local_address_is_not_known_no_proxy_header_names_a_wrong_one) {
    static const uint32_t weights[MEMBERS] = {100, 100, 0, 0};
    static const struct backend_set none;
    begin(BALANCE_LEASTCONN, weights);
    members[0].backend->proxy = PROXY_V2;
    lacks_local = true;
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(choose(&none, i), 1);
    members[1].is_usable = false;
    cr_assert_eq(choose(&none, 1), -1 - (int)CHOICE_NONE, "nor is it waited for");
    lacks_local = false;
    cr_assert_eq(choose(&none, 1), 0);
    end();
}
