/* The rows of a session's stages fit each other. */
#include "lb/relay/sessions_query.h"
#include "lb/relay/stage.h"

#include <criterion/criterion.h>
#include <string.h>

Test(stages, each_has_a_name_of_its_own_that_show_sessions_has_room_for) {
    for (unsigned i = 0; i < STAGES_COUNT; i++) {
        cr_assert_not_null(stages[i], "stage %u has no row", i);
        cr_assert(stages[i]->is_transient || strlen(stages[i]->name) < sizeof((struct session_row *)0)->state, "%s",
                  stages[i]->name);
        for (unsigned k = 0; k < i; k++)
            cr_assert_str_neq(stages[i]->name, stages[k]->name);
    }
}

Test(stages, each_is_come_to_and_left_by_others) {
    unsigned come_to = 0;
    for (unsigned i = 0; i < STAGES_COUNT; i++) {
        cr_assert_neq(stages[i]->moves, 0, "%s is never left", stages[i]->name);
        cr_assert_lt(stages[i]->moves, 1u << STAGES_COUNT);
        come_to |= stages[i]->moves & ~(1u << i);
    }
    cr_assert_eq(come_to, (1u << STAGES_COUNT) - 1, "%x", come_to);
}

Test(stages, no_session_waits_for_ever) {
    for (unsigned i = 0; i < STAGES_COUNT; i++) {
        const struct stage *row = stages[i];
        bool has_moment = i == STAGE_FREE || i == STAGE_ACCEPTED || i == STAGE_CLOSING; /* the kernel answers */
        bool sets_its_own = i == STAGE_RELAY;
        if (row->is_transient)
            cr_assert(row->begin != NULL && row->deadline_ms == NULL && row->on_timeout == NULL, "%s", row->name);
        else if (!has_moment)
            cr_assert(row->on_timeout != NULL && (row->deadline_ms != NULL || sets_its_own), "%s", row->name);
    }
}

Test(stages, behind_its_end_a_session_only_ends) {
    unsigned ends = 1u << STAGE_FREE;
    for (unsigned i = 0; i < STAGES_COUNT; i++)
        ends |= (unsigned)stages[i]->is_end << i;
    for (unsigned i = 0; i < STAGES_COUNT; i++)
        if (stages[i]->is_end)
            cr_assert_eq(stages[i]->moves & ~ends, 0, "%s", stages[i]->name);
        else if (i != STAGE_FREE && !stages[i]->is_transient)
            cr_assert(stages[i]->moves & TO(ENDING), "%s can't end", stages[i]->name);
}
