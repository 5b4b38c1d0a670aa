/* A start that fails leaves nothing behind and says why; one that succeeds says so when it is true. And the signals
 * that mean something to a running postern. */
#include "talk.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scene scene;
static struct test_sink sink;

static void begin(const char *global) {
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, global);
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
}

/* Whatever the memory is short of: an exit status and a message, no signal, and no socket. */
Test(start, in_too_little_memory_fails_whole_and_says_why) {
    scene_begin(&scene, true); /* a sanitiser wants terabytes of addresses */
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, "workers = 4\nmax-sessions = 200\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_write(&scene);
    unsigned failed = 0, served = 0;
    for (unsigned mib = 20; mib <= 820; mib += 40) {
        int status;
        char *said =
            shell(&status,
                  "sh -c 'ulimit -v %u; : >%s/said; build/postern -c %s/postern.ini 2>%s/said & p=$!; while kill -0 $p "
                  "2>/dev/null && ! grep -q \"serves with\" %s/said; do sleep 0.01; done; kill $p 2>/dev/null; "
                  "wait $p; s=$?; cat %s/said; test ! -e %s/control.sock || echo socket left; exit $s'",
                  mib * 1024, scene.dir, scene.dir, scene.dir, scene.dir, scene.dir, scene.dir);
        cr_assert(status == 0 || (status == 1 && strstr(said, "postern: ") != NULL), "%u MiB: exit status %d: %s", mib,
                  status, said);
        cr_assert_null(strstr(said, "socket left"));
        served += status == 0;
        failed += status == 1;
        free(said);
    }
    cr_assert(failed > 0 && served > 0, "%u starts failed, %u served", failed, served);
    scene_end(&scene);
}

/* Starts with its `number`th allocation failing; returns what it says, up to its end or that it serves. */
static char *start_short_of_one(unsigned number, int *ret_status) {
    return shell(
        ret_status,
        "sh -c 'cd %s; : >said; FAIL_AT=%u LD_PRELOAD=%s/short.so $OLDPWD/build/postern -c postern.ini 2>said & "
        "p=$!; while kill -0 $p 2>/dev/null && ! grep -q \"serves with\" said; do sleep 0.01; done; kill $p "
        "2>/dev/null; wait $p; s=$?; cat said; exit $s'",
        scene.dir, number, scene.dir);
}

/* A thread's stack is the C library's, which says EAGAIN of it (pthread_create(3)). */
Test(start, each_allocation_that_fails_is_said_as_what_it_is) {
    int status = 0;
    scene_begin(&scene, true);
    char *made =
        shell(&status,
              "cd %s && printf '#include <errno.h>\n#include <stdatomic.h>\n#include <stdlib.h>\nextern void "
              "*__libc_calloc(size_t, size_t);\nstatic atomic_int left = -1;\nvoid *calloc(size_t count, size_t size) "
              "{\nif (left < 0) left = atoi(getenv(\"FAIL_AT\"));\nif (left > 0 && atomic_fetch_sub(&left, 1) == 1) { "
              "errno = ENOMEM; return NULL; }\nreturn __libc_calloc(count, size);\n}\n' >short.c && cc -shared -fPIC "
              "-o short.so short.c && (umask 077; echo 0123456789abcdef0123 >key)",
              scene.dir);
    postern_global(&scene, "workers = 1\nmax-sessions = 100\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", 9, "");
    postern_lines(&scene, "[feedback]\nlisten = 127.0.0.1:0\nkey-file = %s/key\n[dns]\nservers = 127.0.0.1:9\n",
                  scene.dir);
    postern_write(&scene);
    cr_assert_eq(status, 0, "%s", made);
    free(made);
    unsigned failed = 0, served = 0;
    for (unsigned number = 1; served < 5 && number < 200; number++) {
        char *said = start_short_of_one(number, &status);
        bool is_said = strstr(said, "memory") != NULL || strstr(said, "temporarily unavailable") != NULL;
        cr_assert(status == 0 || (status == 1 && is_said), "allocation %u: exit status %d: \"%s\"", number, status,
                  said);
        served += status == 0;
        failed += status == 1;
        free(said);
    }
    cr_assert(failed > 15 && served == 5, "%u starts failed, %u served", failed, served);
    scene_end(&scene);
}

Test(start, a_log_that_can_not_be_opened_is_one_message_and_leaves_no_socket) {
    scene_begin(&scene, false);
    int status;
    postern_global(&scene, "log = /nonexistent/postern.log\n");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", 9, "");
    postern_write(&scene);
    char *said = shell(&status, "%s/postern -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert_eq(status, 1);
    cr_assert_str_eq(said, "postern: [global] log = /nonexistent/postern.log: No such file or directory\n");
    free(said);
    free(shell(&status, "test -e %s/control.sock", scene.dir));
    cr_assert_neq(status, 0);
    scene_end(&scene);
}

static int open_notify_socket(char path[108]) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, 108, "%s/notify", scene.dir);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void expect_notice(int fd, const char *notice) {
    char said[100] = "";
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    cr_assert(poll(&poll_fd, 1, 10000) == 1 && recv(fd, said, sizeof said - 1, 0) > 0);
    cr_assert_str_eq(said, notice);
}

Test(start, a_service_manager_hears_ready_and_stopping_once_each) {
    char path[108];
    scene_begin(&scene, false);
    int fd = open_notify_socket(path);
    setenv("NOTIFY_SOCKET", path, 1);
    sink_begin(&scene, &sink, "vm1", "");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    unsetenv("NOTIFY_SOCKET");
    expect_notice(fd, "READY=1");
    kill(scene.postern, SIGTERM);
    expect_notice(fd, "STOPPING=1");
    close(fd);
    scene_end(&scene);
}

/* Its SIGTERM is there before it is: whatever it still says, it is not ready behind that it stops. */
Test(start, a_stop_that_comes_before_it_serves_is_the_last_that_a_service_manager_hears) {
    char path[108];
    scene_begin(&scene, false);
    int fd = open_notify_socket(path);
    setenv("NOTIFY_SOCKET", path, 1);
    postern_global(&scene, "workers = 16\n");
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", 9, "");
    postern_write(&scene);
    for (unsigned i = 0; i < 10; i++) {
        int status;
        char *said = shell(&status,
                           "python3 -c 'import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); "
                           "os.kill(os.getpid(), signal.SIGTERM); "
                           "os.execv(\"build/postern\", [\"postern\", \"-c\", \"%s/postern.ini\"])' 2>&1",
                           scene.dir);
        cr_assert_eq(status, 0, "%s", said);
        free(said);
        char notice[100] = "";
        ssize_t length;
        bool has_stopped = false;
        while ((length = recv(fd, notice, sizeof notice - 1, MSG_DONTWAIT)) > 0) {
            notice[length] = '\0';
            cr_assert(!has_stopped, "%s behind STOPPING=1", notice);
            has_stopped = strcmp(notice, "STOPPING=1") == 0;
        }
        cr_assert(has_stopped);
    }
    unsetenv("NOTIFY_SOCKET");
    close(fd);
    scene_end(&scene);
}

/* --- SIGUSR1, SIGUSR2 --- */

static unsigned count_sessions(const char *files) {
    char *text = shell(NULL, "cat %s/%s | grep -c ' session id=.* reason='", scene.dir, files);
    unsigned count = (unsigned)strtoul(text, NULL, 10);
    free(text);
    return count;
}

static void begin_with_log_file(void) {
    char log[100];
    scene_begin(&scene, false);
    snprintf(log, sizeof log, "log = %s/logs/mail.log\n", scene.dir);
    free(shell(NULL, "mkdir %s/logs", scene.dir));
    sink_begin(&scene, &sink, "vm1", "");
    postern_global(&scene, log);
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
}

Test(start, a_rotated_log_loses_no_line_while_mail_flows) {
    begin_with_log_file();
    pid_t load = load_begin(&scene, "load.json", "--sessions 1500 --concurrency 10");
    for (unsigned i = 0; i < 20; i++) {
        free(shell(NULL, "mv %s/logs/mail.log %s/logs/mail.log.%u", scene.dir, scene.dir, i));
        kill(scene.postern, SIGUSR1);
        char path[100];
        snprintf(path, sizeof path, "logs/mail.log");
        WAIT_FOR(file_has(&scene, path, "opened anew"), 5000);
    }
    json_t *result = load_end(&scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(count_sessions("logs/*") == 1500, 5000);
    scene_end(&scene);
}

Test(start, a_log_that_can_not_be_opened_anew_goes_on_and_says_so) {
    begin_with_log_file();
    free(shell(NULL, "mv %s/logs %s/moved", scene.dir, scene.dir));
    kill(scene.postern, SIGUSR1);
    WAIT_FOR(file_has(&scene, "moved/mail.log", "No such file or directory; the old file stays"), 5000);
    json_t *result = load_run(&scene, "--sessions 5");
    json_decref(result);
    WAIT_FOR(count_sessions("moved/mail.log") == 5, 5000);
    scene_end(&scene);
}

Test(start, sigusr2_and_a_log_on_stderr_end_nothing) {
    begin("");
    kill(scene.postern, SIGUSR1);
    WAIT_FOR(log_has(&scene, "nothing to open anew"), 5000);
    kill(scene.postern, SIGUSR2);
    WAIT_FOR(log_has(&scene, "SIGUSR2: ignored"), 5000);
    json_t *result = load_run(&scene, "--sessions 5");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    scene_end(&scene);
}
