/* Commands that answer in a later turn: each is looked at until it has answered, and none is forgotten. */
#include "lb/control/pending.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct waiting {
    struct pending pending;
    unsigned turns; /* until it answers */
};

static unsigned answered;

static bool serve(struct pending *pending) {
    struct waiting *waiting = (struct waiting *)pending;
    if (waiting->turns-- > 0)
        return false;
    answered++;
    return true;
}

static bool serve_never(struct pending *pending) {
    (void)pending;
    return false;
}

static void begin(struct pending_list *list, bool (*how)(struct pending *pending), unsigned turns) {
    struct waiting *waiting = calloc(1, sizeof *waiting);
    waiting->pending.serve = how;
    waiting->turns = turns;
    pending_begin(list, &waiting->pending);
}

Test(pending, what_can_be_answered_at_once_does_not_wait) {
    struct pending_list list = {0};
    begin(&list, serve, 0);
    cr_assert_eq(answered, 1);
    cr_assert_null(list.first);
}

Test(pending, each_is_answered_once_in_its_own_turn) {
    struct pending_list list = {0};
    for (unsigned turns = 1; turns <= 3; turns++)
        begin(&list, serve, turns);
    for (unsigned turn = 1; turn <= 3; turn++) {
        cr_assert_eq(pending_count(&list, serve), 4 - turn);
        pending_serve(&list);
        cr_assert_eq(answered, turn);
    }
    cr_assert_null(list.first);
}

Test(pending, those_in_the_middle_and_at_the_ends_leave_the_others_where_they_are) {
    struct pending_list list = {0};
    begin(&list, serve_never, 0);
    begin(&list, serve, 1);
    begin(&list, serve_never, 0);
    begin(&list, serve, 1);
    pending_serve(&list);
    cr_assert_eq(answered, 2);
    cr_assert(pending_count(&list, serve) == 0 && pending_count(&list, serve_never) == 2);
    pending_finish(&list);
    cr_assert_null(list.first);
}
