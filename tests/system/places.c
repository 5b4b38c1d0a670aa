/* Places at the control socket: who says nothing, reads nothing, or waits for long keeps no operator out. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scene scene;
static struct test_sink sink;

static void begin(void) {
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
}

static int control_open(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", scene.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *line) {
    cr_assert_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
}

static bool has_answer(int fd) {
    char octet;
    return recv(fd, &octet, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

static void expect_service(void) {
    int status;
    char *answer = shell(&status, "timeout 20 %s/posternctl -s %s/control.sock show servers", scene.build, scene.dir);
    cr_assert(status == 0 && strstr(answer, "vm1") != NULL, "%s", answer);
    free(answer);
}

Test(places, control_clients_that_say_nothing_or_read_nothing_keep_no_operator_out) {
    begin();
    for (unsigned i = 0; i < 60; i++)
        control_open();
    expect_service();
    int small = 2048;
    for (unsigned i = 0; i < 60; i++) {
        int fd = control_open();
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        for (unsigned line = 0; line < 60; line++)
            if (send(fd, "show info\n", 10, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                break;
    }
    expect_service();
    /* Nor do those of many processes, each below the bound of one. */
    pid_t children[12];
    int ready[2];
    char octet;
    cr_assert_eq(pipe(ready), 0);
    for (unsigned i = 0; i < 12; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (unsigned held = 0; held < 6; held++)
                control_open();
            _exit(write(ready[1], "x", 1) == 1 ? pause() : 1);
        }
        cr_assert_eq(read(ready[0], &octet, 1), 1);
    }
    expect_service();
    for (unsigned i = 0; i < 12; i++)
        kill_child(&scene, children[i], 9);
    scene_end(&scene);
}

Test(places, a_command_that_waits_is_kept_and_one_whose_client_has_left_is_not) {
    enum { MOST = 8 };
    int waits[MOST], others[20];
    begin();
    load_begin(&scene, "held.json", "--sessions 1 --concurrency 1 --hold 600");
    WAIT_FOR(server_figure(&scene, "vm1", "sessions") == 1, 10000);
    free(ctl(&scene, NULL, "set server vm1 state drain"));
    /* They leave, some of them in the middle of a command, and their places are free for the next ones. */
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < MOST; i++) {
            waits[i] = control_open();
            say(waits[i], "wait drained vm1 1h\n");
            if (i % 2 == 0)
                shutdown(waits[i], SHUT_WR);
        }
        /* A ninth of this process is told so, as long as all of the eight wait. */
        int ninth = control_open();
        WAIT_FOR(has_answer(ninth), 10000);
        close(ninth);
        for (unsigned i = 0; i < MOST; i++)
            cr_assert(!has_answer(waits[i]), "round %u: %u", round, i);
        if (round < 3)
            for (unsigned i = 0; i < MOST; i++)
                close(waits[i]);
        WAIT_FOR(round == 3 || info_figure(&scene, "control_clients") == 1, 10000);
    }
    for (unsigned i = 0; i < 20; i++)
        others[i] = control_open();
    expect_service();
    free(ctl(&scene, NULL, "shutdown sessions server vm1"));
    for (unsigned i = 0; i < MOST; i++)
        WAIT_FOR(has_answer(waits[i]), 10000);
    for (unsigned i = 0; i < 20; i++)
        close(others[i]);
    scene_end(&scene);
}

/* Whoever is to find out why no session can be served asks just then. */
Test(places, at_the_limit_of_descriptors_operators_are_heard) {
    struct rlimit limit, none;
    int fds[60];
    begin();
    cr_assert_eq(prlimit(scene.postern, RLIMIT_NOFILE, NULL, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    cr_assert_eq(prlimit(scene.postern, RLIMIT_NOFILE, &none, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        expect_service();
    char *info = ctl(&scene, NULL, "show info");
    cr_assert(strstr(info, "sessions_max") != NULL && strstr(info, "resident_kb: -\n") != NULL, "%s", info);
    free(info);
    for (unsigned i = 0; i < 60; i++)
        fds[i] = control_open();
    expect_service();
    for (unsigned i = 0; i < 60; i++)
        close(fds[i]);
    cr_assert_eq(prlimit(scene.postern, RLIMIT_NOFILE, &limit, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        expect_service();
    cr_assert_gt(info_figure(&scene, "descriptors"), 3);
    WAIT_FOR(info_figure(&scene, "control_clients") == 1, 5000);
    char *said = shell(NULL, "grep -c 'control: accept' %s/postern.log", scene.dir);
    cr_assert_str_eq(said, "1\n");
    free(said);
    scene_end(&scene);
}
