/* Which replies say something about the client: what filters reject does, what a full disk or a large mail causes does
 * not (DESIGN §9). */
#include "lb/relay/session.h"

#include <criterion/criterion.h>
#include <string.h>

static struct session session;

static struct seen note(uint8_t verb, uint16_t code, uint8_t class, uint16_t subject) {
    struct dialog_event event = {
        .verb = verb, .code = code, .enhanced = {.class = class, .subject = subject, .detail = 1}};
    memset(&session, 0, sizeof session);
    outcome_note_reply(&session, &event);
    return session.seen;
}

static bool is_clean(uint8_t verb, uint16_t code) {
    return note(verb, code, 0, 0).clean == 1;
}

static bool is_rejected(uint8_t verb, uint16_t code, uint8_t class, uint16_t subject) {
    struct seen seen = note(verb, code, class, subject);
    cr_assert(seen.clean == 0 && seen.rejected <= 1);
    return seen.rejected == 1;
}

Test(outcome, a_mail_is_judged_at_its_end_by_what_it_is) {
    static const uint8_t ends[] = {AWAITED_DOT, AWAITED_BDAT_LAST};
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(is_clean(ends[i], 250) && !is_clean(ends[i], 451) && !is_clean(ends[i], 354));
        cr_assert(is_rejected(ends[i], 550, 5, 7) && is_rejected(ends[i], 554, 5, 6) &&
                  is_rejected(ends[i], 554, 0, 0));
        cr_assert_not(is_rejected(ends[i], 552, 5, 3), "larger than the server takes");
        cr_assert_not(is_rejected(ends[i], 552, 5, 2), "the mailbox is full");
        cr_assert_not(is_rejected(ends[i], 550, 5, 1), "the recipient's fault");
        cr_assert_not(is_rejected(ends[i], 554, 5, 4), "a mail loop");
        cr_assert_not(is_rejected(ends[i], 451, 4, 7) || is_rejected(ends[i], 452, 4, 3), "not yet");
    }
    cr_assert(!is_clean(VERB_MAIL, 250) && !is_rejected(VERB_MAIL, 550, 5, 7), "before the content nothing is told");
}

Test(outcome, recipients_are_counted_and_unknown_ones_are_those_that_are_not_there) {
    cr_assert_eq(note(VERB_RCPT, 250, 2, 1).recipients, 1);
    cr_assert_eq(note(VERB_RCPT, 250, 2, 1).unknown, 0);
    cr_assert_eq(note(VERB_RCPT, 550, 5, 1).unknown, 1);
    cr_assert_eq(note(VERB_RCPT, 550, 0, 0).unknown, 1);
    cr_assert_eq(note(VERB_RCPT, 550, 5, 7).unknown, 0, "policy");
    cr_assert_eq(note(VERB_RCPT, 450, 4, 1).unknown, 0, "greylisting");
}

Test(outcome, what_is_wrong_with_a_sender_makes_no_recipient_unknown) {
    for (uint16_t detail = 7; detail <= 8; detail++) {
        struct dialog_event event = {
            .verb = VERB_RCPT, .code = 550, .enhanced = {.class = 5, .subject = 1, .detail = detail}};
        memset(&session, 0, sizeof session);
        outcome_note_reply(&session, &event);
        cr_assert(session.seen.unknown == 0 && session.seen.recipients == 1, "5.1.%u", detail);
    }
}
