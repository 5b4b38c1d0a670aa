/* When a turn of the loop may begin new work, decided by counts of what the ring has taken so far. io_uring.c asks.
 * Pure. */
#include "lb/engine/pace.h"

#include "lb/engine/limits.h"

bool pace_has_all(struct pace *pace, unsigned there, bool is_announced) {
    pace->empty_turns = is_announced && there == 0 ? pace->empty_turns + 1 : 0;
    bool is_more_to_come = is_announced && pace->empty_turns < EMPTY_TURNS_MAX;
    return there <= CQES_PER_TURN && !is_more_to_come;
}

bool pace_turn(struct pace *pace, unsigned done, bool is_all) {
    pace->behind = is_all ? 0 : pace->behind + done;
    pace->since_work += done;
    pace->may_begin_work = is_all || pace->since_work >= COMPLETIONS_PER_WORK;
    if (!pace->may_begin_work)
        return false;
    pace->since_work = 0;
    return pace->behind == 0 || pace->behind > COMPLETIONS_BEHIND_MAX;
}
