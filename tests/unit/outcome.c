/* Which replies say something about the client: what filters reject does, what a full disk or a large mail causes does
 * not (DESIGN §9). */
#include "lb/relay/outcome.h"
#include "lb/relay/session.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct session session;

static struct seen note(uint8_t verb, const char *reply) {
    struct dialog_event event = {.verb = verb, .code = (uint16_t)strtoul(reply, NULL, 10)};
    if (reply[4] == reply[0] && reply[5] == '.')
        event.enhanced =
            (struct enhanced_code){(uint8_t)(reply[4] - '0'), (uint16_t)(reply[6] - '0'), (uint16_t)(reply[8] - '0')};
    memset(&session, 0, sizeof session);
    outcome_note_reply(&session, &event, (const uint8_t *)reply, strlen(reply));
    return session.outcome.seen;
}

static bool is_clean(uint8_t verb, const char *reply) {
    return note(verb, reply).clean == 1;
}

static bool is_rejected(uint8_t verb, const char *reply) {
    struct seen seen = note(verb, reply);
    cr_assert(seen.clean == 0 && seen.rejected <= 1);
    return seen.rejected == 1;
}

/* Which refusals are a filter's: tests/unit/verdict.c. */
Test(outcome, a_mail_is_judged_at_its_end_by_what_it_is) {
    static const uint8_t ends[] = {AWAITED_DOT, AWAITED_BDAT_LAST};
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(is_clean(ends[i], "250 ok\r\n") && !is_clean(ends[i], "451 x\r\n") &&
                  !is_clean(ends[i], "354 x\r\n"));
        cr_assert(is_rejected(ends[i], "550 5.7.1 x\r\n") && is_rejected(ends[i], "554 5.6.0 spam\r\n") &&
                  is_rejected(ends[i], "554 virus\r\n"));
        cr_assert_not(is_rejected(ends[i], "552 5.3.4 x\r\n"), "larger than the server takes");
        cr_assert_not(is_rejected(ends[i], "552 5.2.2 x\r\n"), "the mailbox is full");
        cr_assert_not(is_rejected(ends[i], "550 5.1.1 x\r\n"), "the recipient's fault");
        cr_assert_not(is_rejected(ends[i], "554 5.4.6 x\r\n"), "a mail loop");
        cr_assert_not(is_rejected(ends[i], "451 4.7.1 x\r\n") || is_rejected(ends[i], "452 4.3.1 x\r\n"), "not yet");
    }
    cr_assert(!is_clean(VERB_MAIL, "250 ok\r\n") && !is_rejected(VERB_MAIL, "550 5.7.1 x\r\n"),
              "before the content nothing is told");
}

Test(outcome, recipients_are_counted_and_unknown_ones_are_those_that_are_not_there) {
    cr_assert_eq(note(VERB_RCPT, "250 2.1.5 ok\r\n").recipients, 1);
    cr_assert_eq(note(VERB_RCPT, "250 2.1.5 ok\r\n").unknown, 0);
    cr_assert_eq(note(VERB_RCPT, "550 5.1.1 x\r\n").unknown, 1);
    cr_assert_eq(note(VERB_RCPT, "550 x\r\n").unknown, 1);
    cr_assert_eq(note(VERB_RCPT, "550 5.7.1 x\r\n").unknown, 0, "policy");
    cr_assert_eq(note(VERB_RCPT, "450 4.1.1 x\r\n").unknown, 0, "greylisting");
}

Test(outcome, what_is_wrong_with_a_sender_makes_no_recipient_unknown) {
    static const char *const replies[] = {"550 5.1.7 x\r\n", "550 5.1.8 x\r\n"};
    for (unsigned i = 0; i < 2; i++) {
        struct seen seen = note(VERB_RCPT, replies[i]);
        cr_assert(seen.unknown == 0 && seen.recipients == 1, "%s", replies[i]);
    }
}
