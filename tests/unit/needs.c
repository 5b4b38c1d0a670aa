/* A look at files that comes to no end of its own: whoever starts postern hears why it does not start. */
#include "lb/privileges/needs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char said[1000];

static int check(void) {
    static char none[] = "";
    const struct identity identity = {.mode = IDENTITY_CHANGES, .name = "mail-lb", .uid = 65534, .gid = 65534};
    struct config config = {
        .global = {.state_dir = none, .log = none},
        .control = {.socket = none},
        .reputation = {.allow_file = none, .deny_file = none},
        .gate = {.relay_domains_file = none, .recipients_file = none, .access_file = none},
    };
    FILE *errors = fmemopen(said, sizeof said, "w");
    int result = needs_check(&identity, &config, errors);
    fclose(errors);
    return result;
}

static void end_by_signal(void) {
    raise(SIGKILL);
}

Test(needs, a_look_that_a_signal_ends_says_which) {
    cr_assert_eq(pthread_atfork(NULL, NULL, end_by_signal), 0);
    cr_assert(check() < 0);
    cr_assert_str_eq(said, "postern: looking at files as user mail-lb: the check was ended by signal 9\n");
}

Test(needs, a_look_that_cannot_be_awaited_says_why) {
    char expected[200];
    signal(SIGCHLD, SIG_IGN); /* the kernel forgets such a child at once */
    snprintf(expected, sizeof expected, "postern: looking at files as user mail-lb: %s\n", strerror(ECHILD));
    cr_assert_eq(check(), -ECHILD);
    cr_assert_str_eq(said, expected);
}
