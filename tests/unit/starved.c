/* Receives that wait for a buffer: those that have waited longest come first, and who gives up leaves no gap. */
#include "lb/engine/starved.h"

#include "lb/engine/io.h"

#include <criterion/criterion.h>

#define COUNT 5

static struct starved starved;
static struct recv_op ops[COUNT];

static void begin(void) {
    starved_init(&starved);
    for (unsigned i = 0; i < COUNT; i++)
        starved_add(&starved, &ops[i]);
}

TestSuite(starved, .init = begin);

Test(starved, who_has_waited_longest_comes_first) {
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(starved_take(&starved), &ops[i]);
    cr_assert_null(starved_take(&starved));
    starved_add(&starved, &ops[3]);
    cr_assert_eq(starved_take(&starved), &ops[3], "again, after all had gone");
}

/* Each set of those that leave, the first and the last among them. */
Test(starved, who_gives_up_leaves_the_others_in_their_order) {
    for (unsigned set = 0; set < 1u << COUNT; set++) {
        memset(ops, 0, sizeof ops);
        begin();
        for (unsigned i = 0; i < COUNT; i++)
            if ((set >> i & 1) != 0)
                cr_assert(starved_leave(&starved, &ops[i]) && !starved_leave(&starved, &ops[i]), "once");
        for (unsigned i = 0; i < COUNT; i++)
            if ((set >> i & 1) == 0)
                cr_assert_eq(starved_take(&starved), &ops[i], "%u of set %u", i, set);
        cr_assert_null(starved_take(&starved));
        starved_add(&starved, &ops[0]);
        cr_assert_eq(starved_take(&starved), &ops[0], "the end is where it was");
    }
}
