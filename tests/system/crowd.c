/* Far more clients than there is room for, which neither speak nor leave: each is told 421 in its turn, and a client
 * that has a place keeps it. An accept that is armed where there is no room would have no session for its client. */
#include "talk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS  900u
#define TALKERS  3000u
#define SESSIONS 20u

static int clients[TALKERS];

/* Looks once at each client that has heard nothing yet; returns how many have now. */
static unsigned hear(char *heard, unsigned clients_count) {
    unsigned count = 0;
    for (unsigned i = 0; i < clients_count; i++) {
        char text[200];
        ssize_t length = heard[i] != 0 ? 0 : recv(clients[i], text, sizeof text, MSG_DONTWAIT);
        if (length > 3)
            heard[i] = text[0];
        count += heard[i] != 0;
    }
    return count;
}

Test(crowd, more_silent_clients_than_there_is_room_for_are_all_told_so) {
    static char heard[CLIENTS];
    struct scene scene;
    struct test_sink sink;
    struct talk talk;
    unsigned served = 0;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, "max-sessions = 20\nworkers = 1\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    for (unsigned i = 0; i < CLIENTS; i++) {
        talk_begin(&talk, NULL, scene.port);
        clients[i] = talk.fd;
    }
    WAIT_FOR(hear(heard, CLIENTS) == CLIENTS, 30000);
    for (unsigned i = 0; i < CLIENTS; i++) {
        served += heard[i] == '2';
        cr_assert(heard[i] == '2' || heard[i] == '4');
        close(clients[i]);
    }
    cr_assert_eq(served, SESSIONS);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 10000);
    scene_end(&scene);
}

/* What they have said is unread when they are told, so each is lingered with for 2 s: 3,000 such clients in the some
 * 300 places there are would keep others waiting for 20 s, if those who have been told did not make room. */
Test(crowd, clients_that_talk_early_and_stay_keep_nobody_from_hearing_that_there_are_too_many) {
    static char heard[TALKERS];
    struct scene scene;
    struct test_sink sink;
    struct talk talk;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, "max-sessions = 20\nworkers = 1\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    for (unsigned i = 0; i < SESSIONS; i++) {
        talk_begin(&talk, NULL, scene.port);
        talk_expect(&talk, "220");
    }
    for (unsigned i = 0; i < TALKERS; i++) {
        talk_begin(&talk, NULL, scene.port);
        clients[i] = talk.fd;
        cr_assert_eq(send(talk.fd, "EHLO early\r\n", 12, MSG_NOSIGNAL), 12);
    }
    talk_begin(&talk, NULL, scene.port);
    cr_assert_eq(strncmp(talk_hear(&talk, 10000), "421 4.3.2", 9), 0, "a client behind them waits for 10 s");
    talk_end(&talk);
    WAIT_FOR(hear(heard, TALKERS) == TALKERS, 30000);
    for (unsigned i = 0; i < TALKERS; i++) {
        cr_assert_eq(heard[i], '4');
        close(clients[i]);
    }
    WAIT_FOR(info_figure(&scene, "sessions") == SESSIONS, 10000);
    scene_end(&scene);
}
