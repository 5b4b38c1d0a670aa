/* Which backends are convicted of having failed a session, and when. */
#include "lb/relay/attempt.h"
#include "lb/relay/outcome.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct worker *worker;
static struct workers_shared shared;
static struct session session;
static struct backend *backends[BLAMED_MAX + 2];
static struct attempt attempts[BLAMED_MAX + 2];

#define BACKENDS (sizeof backends / sizeof backends[0])

static void begin(void) {
    char error[200];
    struct io_options options = {.slots = 4, .buffers = 4};
    size_t alignment = _Alignof(struct worker);
    worker = aligned_alloc(alignment, (sizeof *worker + alignment - 1) / alignment * alignment);
    memset(worker, 0, sizeof *worker);
    worker->shared = &shared;
    cr_assert_eq(io_create(&options, &worker->io, error, sizeof error), 0, "%s", error);
    cr_assert_eq(pool_init(&worker->blames, sizeof(struct blame), 1), 0);
    cr_assert_eq(spsc_init(&worker->outcomes, sizeof(struct outcome), 64), 0);
    for (unsigned i = 0; i < BACKENDS; i++) {
        static char name[] = "vm";
        struct config_backend config = {.name = name};
        backends[i] = backend_create(&config, (uint8_t)i, 1);
        backends[i]->serial = 100 + i;
        attempts[i] = (struct attempt){.worker = worker, .backend = backends[i]};
    }
    memset(&session, 0, sizeof session);
    session.worker = worker;
}

static void end(void) {
    outcome_forget_blame(&session);
    cr_assert_eq(worker->blames.in_use, 0);
    for (unsigned i = 0; i < BACKENDS; i++)
        backend_destroy(backends[i]);
    spsc_finish(&worker->outcomes);
    pool_finish(&worker->blames);
    io_destroy(worker->io);
    free(worker);
}

TestSuite(blame, .init = begin, .fini = end);

static void reply(unsigned backend, unsigned verb, uint16_t code) {
    struct dialog_event event = {.kind = DIALOG_REPLY, .verb = (uint8_t)verb, .code = code};
    session.search.attempt = &attempts[backend];
    outcome_note_reply(&session, &event, (const uint8_t *)"", 0);
}

/* How many convictions of `serial` (0: of anybody) the manager gets, at `step`. */
static unsigned take_convictions(uint32_t serial, enum backend_step step) {
    struct outcome outcome;
    unsigned count = 0;
    while (spsc_take(&worker->outcomes, &outcome))
        if (outcome.kind == OUTCOME_CONVICTION) {
            cr_assert(serial == 0 || outcome.step == step);
            cr_assert_eq(outcome.since_ms, 7, "when it was asked");
            count += serial == 0 || outcome.backend_serial == serial;
        }
    return count;
}

Test(blame, who_failed_a_session_is_convicted_when_another_one_has_taken_its_mail) {
    outcome_failed(&session, &attempts[0], STEP_RCPT, 7);
    cr_assert_eq(take_convictions(0, 0), 0, "not before");
    reply(1, VERB_RCPT, 250);
    reply(1, VERB_DATA, 354);
    cr_assert_eq(take_convictions(0, 0), 0, "nor while the mail is on its way");
    reply(1, AWAITED_DOT, 250);
    cr_assert_eq(take_convictions(100, STEP_RCPT), 1);
    reply(1, AWAITED_DOT, 250);
    cr_assert_eq(take_convictions(0, 0), 0, "twice for one failure");
}

Test(blame, all_that_failed_it_are_convicted_each_at_its_step) {
    outcome_failed(&session, &attempts[0], STEP_GREETING, 7);
    outcome_failed(&session, &attempts[1], STEP_MAIL, 7);
    reply(2, AWAITED_BDAT_LAST, 250);
    struct outcome outcome;
    unsigned seen = 0;
    while (spsc_take(&worker->outcomes, &outcome))
        if (outcome.kind == OUTCOME_CONVICTION)
            seen += outcome.step == (outcome.backend_serial == 100 ? STEP_GREETING : STEP_MAIL);
    cr_assert_eq(seen, 2);
}

Test(blame, a_mail_that_is_not_taken_convicts_nobody_of_its_own_steps) {
    static const struct {
        unsigned verb;
        uint16_t code;
    } ends[] = {{AWAITED_DOT, 550}, {AWAITED_DOT, 451}, {AWAITED_BDAT_LAST, 554}, {VERB_RSET, 250}, {VERB_EHLO, 250}};
    for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        outcome_failed(&session, &attempts[0], STEP_RCPT, 7);
        reply(1, ends[i].verb, ends[i].code);
        reply(1, AWAITED_DOT, 250);
        cr_assert_eq(take_convictions(0, 0), 0, "behind %u %u", ends[i].verb, ends[i].code);
    }
    outcome_failed(&session, &attempts[0], STEP_GREETING, 7);
    reply(1, AWAITED_DOT, 550);
    reply(1, AWAITED_DOT, 250);
    cr_assert_eq(take_convictions(100, STEP_GREETING), 1, "what came before the transaction stands");
}

Test(blame, only_peers_are_compared) {
    outcome_failed(&session, &attempts[0], STEP_RCPT, 7);
    backends[1]->tier = 1;
    reply(1, AWAITED_DOT, 250);
    cr_assert_eq(take_convictions(0, 0), 0, "another tier took what this one does not");
    outcome_failed(&session, &attempts[0], STEP_RCPT, 7);
    reply(0, AWAITED_DOT, 250);
    cr_assert_eq(take_convictions(0, 0), 0, "it did better itself, at the second try");
}

Test(blame, of_very_many_the_first_are_remembered_and_the_rest_is_no_harm) {
    for (unsigned i = 0; i + 1 < BACKENDS; i++) {
        outcome_failed(&session, &attempts[i], STEP_GREETING, 7);
        outcome_failed(&session, &attempts[i], STEP_RCPT, 7);
    }
    reply(BACKENDS - 1, AWAITED_DOT, 250);
    cr_assert_eq(take_convictions(0, 0), BLAMED_MAX);
}

Test(blame, what_brings_a_probe_forward_does_so_once_in_a_while) {
    struct outcome outcome;
    unsigned doubts = 0;
    for (unsigned i = 0; i < 1000; i++)
        outcome_doubted(&attempts[0]);
    while (spsc_take(&worker->outcomes, &outcome))
        doubts += outcome.kind == OUTCOME_DOUBT;
    cr_assert_eq(doubts, 1);
}
