/* What the gate remembers of clients over their sessions: who has waited for its greeting, and who asks the DNS how
 * much. */
#include "lb/gate/askers.h"
#include "lb/gate/visitors.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct gate_askers askers;

static void begin(void) {
    memset(&askers, 0, sizeof askers);
}

TestSuite(gate_shares, .init = begin);

static unsigned take_all(uint64_t key) {
    uint16_t asker;
    unsigned taken = 0;
    while (gate_askers_admit(&askers, key, &asker))
        taken++;
    return taken;
}

Test(gate_shares, a_client_that_asks_in_vain_leaves_room_for_others) {
    unsigned first = take_all(1), second = take_all(2);
    cr_assert(first > 1 && first <= GATE_QUESTIONS_MAX / GATE_QUESTIONS_SHARE, "%u", first);
    cr_assert(second > 1 && second < first, "%u", second);
    cr_assert_eq(askers.open, first + second);
    for (uint64_t key = 3; key < 100; key++)
        take_all(key);
    cr_assert(askers.open <= GATE_QUESTIONS_MAX);
    uint16_t asker;
    cr_assert(askers.open == GATE_QUESTIONS_MAX || gate_askers_admit(&askers, 200, &asker), "who has asked nothing");
}

Test(gate_shares, with_all_questions_open_nobody_asks_one_more) {
    uint16_t asker;
    for (unsigned i = 0; i < GATE_QUESTIONS_MAX; i++)
        cr_assert(gate_askers_admit(&askers, i, &asker));
    cr_assert_not(gate_askers_admit(&askers, GATE_QUESTIONS_MAX, &asker));
    gate_askers_give_back(&askers, 0);
    cr_assert(gate_askers_admit(&askers, GATE_QUESTIONS_MAX, &asker));
    for (unsigned i = 1; i <= GATE_QUESTIONS_MAX; i++)
        gate_askers_give_back(&askers, (uint16_t)i);
    cr_assert_eq(askers.open, 0);
}

Test(gate_shares, who_has_waited_once_need_not_for_a_day) {
    static const uint64_t day_ms = 86400000, key = 0x123456789abcdef0;
    atomic_ullong *visitors = calloc(GATE_VISITORS, sizeof *visitors);
    cr_assert_not_null(visitors);
    cr_assert_not(gate_visitors_have(visitors, key, 5000));
    gate_visitors_note(visitors, key, 5000);
    cr_assert(gate_visitors_have(visitors, key, 5000));
    cr_assert(gate_visitors_have(visitors, key, 5000 + day_ms - 1));
    cr_assert_not(gate_visitors_have(visitors, key, 5000 + day_ms));
    cr_assert_not(gate_visitors_have(visitors, key + ((uint64_t)GATE_VISITORS << 20), 5000), "another one's place");
    gate_visitors_note(visitors, key + ((uint64_t)GATE_VISITORS << 20), 6000);
    cr_assert_not(gate_visitors_have(visitors, key, 6000), "the later one is remembered");
    free(visitors);
}
