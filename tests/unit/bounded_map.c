/* The bounded map: what was put is found, and a full bucket takes a newcomer only in place of whom its owner names. */
#include "lb/base/bounded_map.h"

#include <criterion/criterion.h>

static struct bounded_map map;
static unsigned worth[64]; /* by place; the least goes first */
static bool is_fixed[64];

static bool may_go(const void *context, size_t place) {
    (void)context;
    return !is_fixed[place];
}

static bool is_worth_less(const void *context, size_t place, size_t other) {
    (void)context;
    return worth[place] < worth[other];
}

static const struct bounded_map_order order = {may_go, is_worth_less}, any = {NULL, is_worth_less};

static void begin(void) {
    cr_assert_eq(bounded_map_init(&map, 64), 0);
    cr_assert_eq(bounded_map_places(&map), 64);
}

static void end(void) {
    bounded_map_finish(&map);
    bounded_map_finish(&map);
}

TestSuite(bounded_map, .init = begin, .fini = end);

/* The `number`-th key, from 1, of the bucket of key 1. */
static uint64_t neighbour(unsigned number) {
    uint64_t key = 0;
    while (number > 0)
        number -= bounded_map_bucket(&map, ++key) == bounded_map_bucket(&map, 1);
    return key;
}

static void fill_bucket(void) {
    for (unsigned i = 1; i <= BOUNDED_MAP_WAYS; i++) {
        size_t place;
        cr_assert(bounded_map_choose(&map, neighbour(i), &order, NULL, &place));
        cr_assert_eq(bounded_map_key(&map, place), 0, "a free place while there is one");
        cr_assert_eq(place / BOUNDED_MAP_WAYS * BOUNDED_MAP_WAYS, bounded_map_bucket(&map, 1));
        bounded_map_put(&map, place, neighbour(i));
        worth[place] = 100 + i;
    }
}

Test(bounded_map, what_was_put_is_found_and_what_was_taken_out_is_not) {
    size_t place, found;
    cr_assert_not(bounded_map_find(&map, 7, &found));
    cr_assert(bounded_map_choose(&map, 7, &order, NULL, &place));
    cr_assert_not(bounded_map_find(&map, 7, &found), "choosing writes nothing");
    bounded_map_put(&map, place, 7);
    cr_assert(bounded_map_find(&map, 7, &found) && found == place);
    bounded_map_put(&map, place, 0);
    cr_assert_not(bounded_map_find(&map, 7, &found));
}

Test(bounded_map, a_full_bucket_gives_the_place_of_the_first_that_may_go) {
    size_t least, second, place;
    fill_bucket();
    cr_assert(bounded_map_find(&map, neighbour(3), &least) && bounded_map_find(&map, neighbour(6), &second));
    worth[least] = 1;
    worth[second] = 2;
    cr_assert(bounded_map_choose(&map, neighbour(9), &order, NULL, &place) && place == least);
    is_fixed[least] = true;
    cr_assert(bounded_map_choose(&map, neighbour(9), &order, NULL, &place) && place == second);
    cr_assert(bounded_map_choose(&map, neighbour(9), &any, NULL, &place) && place == least, "each may go");
    for (unsigned i = 1; i <= BOUNDED_MAP_WAYS; i++)
        cr_assert(bounded_map_find(&map, neighbour(i), &place), "%u was not touched", i);
}

Test(bounded_map, a_bucket_of_whom_none_may_go_says_no) {
    size_t place = 12345;
    fill_bucket();
    for (size_t i = 0; i < 64; i++)
        is_fixed[i] = true;
    cr_assert_not(bounded_map_choose(&map, neighbour(9), &order, NULL, &place));
    cr_assert_eq(place, 12345);
}

Test(bounded_map, the_places_are_rounded_up_to_whole_buckets) {
    static const struct {
        unsigned most;
        size_t places;
    } cases[] = {{0, 8}, {1, 8}, {8, 8}, {9, 16}, {16, 16}, {100, 128}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bounded_map other;
        cr_assert_eq(bounded_map_init(&other, cases[i].most), 0);
        cr_assert_eq(bounded_map_places(&other), cases[i].places, "%u", cases[i].most);
        bounded_map_finish(&other);
    }
}
