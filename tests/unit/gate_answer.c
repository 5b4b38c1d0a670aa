/* What the gate says, and what that means for the session. */
#include "lb/gate/gate.h"

#include <criterion/criterion.h>
#include <string.h>

static struct gate_answer said;

Test(gate_answer, it_carries_its_code_and_whether_the_session_ends_behind_it) {
    static const struct {
        unsigned code;
        bool closes;
    } cases[] = {{220, false}, {221, true}, {250, false}, {421, true}, {450, false}, {521, true}, {554, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        answer_say(&said, cases[i].code, "x");
        cr_assert(said.code == cases[i].code && said.closes == cases[i].closes, "%u", cases[i].code);
        answer_say_named(&said, cases[i].code, "x.0.0", "mx.test", "x");
        cr_assert(said.code == cases[i].code && said.closes == cases[i].closes, "%u", cases[i].code);
        cr_assert_eq(said.length, strlen(said.text));
    }
    gate_greeting("mx.test", true, &said);
    cr_assert(said.code == 220 && !said.closes && strcmp(said.text, "220-mx.test ESMTP\r\n") == 0);
}

Test(gate_answer, what_is_longer_than_its_room_is_cut) {
    static char text[GATE_REPLY_MAX + 100];
    memset(text, 'x', sizeof text - 1);
    answer_say(&said, 450, text);
    cr_assert(said.length == sizeof said.text - 1 && said.code == 450);
}
