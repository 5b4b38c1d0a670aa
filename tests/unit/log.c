/* The log: whole lines in order, and a count of those that a slow destination has cost. */
#include "lb/engine/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/postern-unit-log-XXXXXX";

static void make_path(void) {
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
}

static char *contents(void) {
    static char text[2000000];
    FILE *file = fopen(path, "re");
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

Test(log, lines_of_a_thread_are_written_whole_in_order_and_by_level) {
    make_path();
    cr_assert_eq(log_start(path, LOG_LEVEL_INFO), 0);
    cr_assert_eq(log_join(), 0);
    for (unsigned i = 0; i < 500; i++)
        log_info("line %u of the test", i);
    log_debug("not at this level");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("now it is");
    log_finish();
    const char *at = contents();
    cr_assert_null(strstr(at, "not at this level"));
    cr_assert_not_null(strstr(at, "debug: now it is"));
    for (unsigned i = 0; i < 500; i++) {
        char line[64];
        snprintf(line, sizeof line, "info: line %u of the test\n", i);
        at = strstr(at, line);
        cr_assert_not_null(at, "missing or out of order: %s", line);
    }
    unlink(path);
}

Test(log, a_line_too_long_is_cut_and_a_file_that_cannot_be_opened_is_said) {
    char longer[LOG_LINE_MAX * 2];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    make_path();
    cr_assert_eq(log_start("/nonexistent/postern.log", LOG_LEVEL_INFO), -ENOENT);
    cr_assert_eq(log_start(path, LOG_LEVEL_INFO), 0);
    cr_assert_eq(log_join(), 0);
    log_info("%s", longer);
    log_finish();
    const char *text = contents();
    cr_assert_eq(strspn(strchr(text, 'x'), "x"), LOG_LINE_MAX - 1);
    unlink(path);
}

static bool wait_until_dropped(uint64_t lines) {
    for (unsigned i = 0; i < 5000 && log_dropped() < lines; i++)
        usleep(1000);
    return log_dropped() == lines;
}

/* As a full disk: a limit on the file's size, in the middle of a line. */
Test(log, lines_that_the_disk_does_not_take_are_counted_and_the_next_one_is_whole) {
    make_path();
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(log_start(path, LOG_LEVEL_INFO), 0);
    cr_assert_eq(log_join(), 0);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    struct rlimit full = {.rlim_cur = 20, .rlim_max = limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
    log_info("lost in its middle");
    cr_assert(wait_until_dropped(1));
    log_info("lost");
    cr_assert(wait_until_dropped(2));
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log_info("there again");
    log_finish();
    const char *text = contents();
    const char *first_end = strchr(text, '\n');
    cr_assert_eq(first_end - text, 20, "%s", text);
    cr_assert_not_null(strstr(first_end, "Z info: there again\n"), "%s", text);
    cr_assert_not_null(strstr(first_end, "Z warning: log: 2 lines could not be written\n"), "%s", text);
    cr_assert_null(strstr(first_end + 1, "\n\n"));
    unlink(path);
}

Test(log, a_destination_that_stalls_costs_lines_but_no_time_and_the_loss_is_counted) {
    make_path();
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cr_assert_eq(log_start(path, LOG_LEVEL_INFO), 0);
    cr_assert_eq(log_join(), 0);
    /* The pipe takes 64 KiB, the ring 1,024 lines; nobody reads, so the writer stands still. */
    for (unsigned i = 0; i < 100000; i++)
        log_info("a line that the reader of the pipe does not take %u", i);
    cr_assert_gt(log_dropped(), 50000u);
    close(reader); /* the stalled write fails, and the thread can end */
    log_finish();
    unlink(path);
}

Test(log, a_thread_at_its_end_that_waits_for_room_loses_no_line_and_not_for_ever) {
    make_path();
    cr_assert_eq(log_start(path, LOG_LEVEL_INFO), 0);
    cr_assert_eq(log_join(), 0);
    for (unsigned i = 0; i < 5000; i++) {
        cr_assert(log_await_room());
        log_info("the last of session %u", i);
    }
    cr_assert_eq(log_dropped(), 0);
    log_finish();
    cr_assert_not_null(strstr(contents(), "session 4999\n"));
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    signal(SIGPIPE, SIG_IGN);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cr_assert_eq(log_start(path, LOG_LEVEL_INFO), 0);
    cr_assert_eq(log_join(), 0);
    unsigned lines = 0;
    for (; lines < 20000 && log_await_room(); lines++)
        log_info("a line that the reader of the pipe does not take %u", lines);
    cr_assert(lines < 20000 && log_dropped() == 0);
    close(reader);
    log_finish();
    unlink(path);
}

/* In a process of its own, which aborts. */
static int abort_behind_lines(bool is_fatal) {
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        if (log_start(path, LOG_LEVEL_INFO) < 0 || log_join() < 0)
            _exit(1);
        for (unsigned i = 0; i < 500; i++)
            log_info("line %u before the abort", i);
        if (is_fatal)
            log_fatal("fatal: the last %s", "word");
        abort();
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(log, the_lines_before_an_abort_are_there) {
    for (unsigned is_fatal = 0; is_fatal < 2; is_fatal++) {
        make_path();
        cr_assert_eq(abort_behind_lines(is_fatal == 1), SIGABRT);
        const char *text = contents();
        cr_assert_not_null(strstr(text, "line 499 before the abort"));
        cr_assert_eq(strstr(text, "error: fatal: the last word") != NULL, is_fatal == 1);
        unlink(path);
        memcpy(path + sizeof path - 7, "XXXXXX", 6);
    }
}
