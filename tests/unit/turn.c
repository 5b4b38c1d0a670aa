/* What a client's octets inside TLS may have been, by their number and first record. */
#include "lb/relay/turn.h"

#include "lb/engine/limits.h"

#include <criterion/criterion.h>

static struct turn turn;

static void say(uint8_t first, unsigned octets) {
    turn_begin(&turn, first, true);
    turn_add(&turn, octets);
}

Test(turn, a_command_is_answered_and_done) {
    say(0x16, 1700); /* ClientHello with a post-quantum share */
    say(0x14, 6 + 74 + 22 + 60);
    cr_assert_not(turn_may_hold_group(&turn), "the end of the handshake and EHLO");
    say(0x17, 60);
    cr_assert_not(turn_may_hold_group(&turn));
}

Test(turn, a_group_with_content_may_be_owed_more_replies_and_so_may_its_rest) {
    say(0x17, 100);
    turn_add(&turn, 500);
    cr_assert(turn_may_hold_group(&turn));
    say(0x17, 30);
    cr_assert(turn_may_hold_group(&turn), "the rest, behind the first reply");
    say(0x17, 30);
    cr_assert_not(turn_may_hold_group(&turn));
}

Test(turn, octets_are_counted_as_far_as_there_is_room) {
    say(0x17, 60000);
    turn_add(&turn, 60000);
    turn_add(&turn, UINT32_MAX);
    cr_assert_eq(turn.octets, UINT16_MAX);
    cr_assert(turn_may_hold_group(&turn));
}

Test(turn, in_clear_a_first_octet_is_no_record) {
    turn_begin(&turn, 0x16, false);
    turn_add(&turn, TLS_COMMAND_MAX + 1);
    cr_assert(turn_may_hold_group(&turn));
    turn_begin(&turn, 'x', false);
    turn_add(&turn, 3);
    cr_assert_not(turn_is_farewell(&turn));
}

Test(turn, an_alert_is_a_farewell_and_the_shortest_command_is_none) {
    say(0x15, 31);
    cr_assert(turn_is_farewell(&turn));
    say(0x17, 24);
    cr_assert(turn_is_farewell(&turn));
    say(0x17, 28);
    cr_assert_not(turn_is_farewell(&turn), "QUIT, in TLS 1.3");
}
