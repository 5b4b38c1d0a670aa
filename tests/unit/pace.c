/* When a turn begins new work: deadlines that are never kept back for ever, and none that overtakes what has come. */
#include "lb/engine/pace.h"
#include "lb/engine/limits.h"

#include <criterion/criterion.h>

static struct pace pace;

/* Returns true when deadlines may pass. */
static bool turn(unsigned there, bool is_announced) {
    bool is_all = pace_has_all(&pace, there, is_announced);
    return pace_turn(&pace, there < CQES_PER_TURN ? there : CQES_PER_TURN, is_all);
}

static void begin(void) {
    pace = (struct pace){0};
}

TestSuite(pace, .init = begin);

Test(pace, a_turn_that_takes_all_begins_work) {
    cr_assert(turn(0, false));
    cr_assert(turn(CQES_PER_TURN, false));
    cr_assert(pace.may_begin_work);
}

Test(pace, no_deadline_passes_before_what_has_come_was_heard) {
    cr_assert(!turn(CQES_PER_TURN + 1, false));
    for (unsigned taken = CQES_PER_TURN; taken < COMPLETIONS_BEHIND_MAX - 20; taken += 20)
        cr_assert(!turn(20, true));
    cr_assert(turn(20, false));
}

Test(pace, work_begins_once_in_a_while_however_much_comes) {
    unsigned works = 0;
    for (unsigned i = 0; i < 100; i++) {
        turn(20, true);
        works += pace.may_begin_work;
    }
    cr_assert_eq(works, 100 / ((COMPLETIONS_PER_WORK + 19) / 20));
}

Test(pace, deadlines_pass_in_a_flood_that_does_not_end) {
    bool has_passed = false;
    for (unsigned taken = 0; taken <= 2 * COMPLETIONS_BEHIND_MAX && !has_passed; taken += CQES_PER_TURN)
        has_passed = turn(CQES_PER_TURN + 1, true);
    cr_assert(has_passed);
}

Test(pace, a_flag_of_the_kernel_that_came_too_late_keeps_no_deadline_back) {
    unsigned turns = 0;
    while (!turn(0, true))
        cr_assert(++turns < EMPTY_TURNS_MAX);
    cr_assert(pace.may_begin_work);
    /* And what it announces later is waited for again. */
    cr_assert(!turn(20, true));
    cr_assert(!turn(0, true));
}
