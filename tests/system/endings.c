/* Thousands of sessions that end in one instant, in each way in which they can: none is stuck, each client is told what
 * it should hear, good mail flows meanwhile, and nothing is left of them. `make bench-endings` measures the same.
 * All are heard at once, without waiting for any: so many are begun by talk.h, and not spoken by it. */
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SESSIONS 3000u
#define AT_ONCE  100u /* that open at a time */

static struct held {
    int fd; /* -1: closed */
    unsigned replies;
    char line[512];
    size_t line_length;
    char code[4]; /* of the last reply */
} held[SESSIONS];

static struct scene scene;
static struct test_sink sinks[4]; /* the last one is for the good mail */
static struct pollfd polled[SESSIONS];

TestSuite(endings, .timeout = 400);

static void begin(const char *client, unsigned most, bool is_queue) {
    static const char *const names[] = {"vm1", "vm2", "vm3", "good"};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    scene_begin(&scene, false);
    for (unsigned i = 0; i < 4; i++)
        sink_begin(&scene, &sinks[i], names[i], "");
    free(shell(NULL, "echo 127.71.0.1 > %s/vetted", scene.dir));
    postern_global(&scene, "max-sessions = 4000\nworkers = 2\n");
    postern_lines(&scene, "[timeouts]\nclient = %s\nreply = 3s\n[reputation]\nallow-file = %s/vetted\n", client,
                  scene.dir);
    postern_tier(&scene, "primary", "balance = roundrobin\nqueue = 4000\nqueue-timeout = 300s\n");
    postern_lines(&scene, "max-sessions = %u\n", most);
    postern_sinks(&scene, sinks, 3);
    if (is_queue)
        postern_tier(&scene, "other", "admit = vetted\n");
    postern_backend(&scene, "good", sinks[3].port, is_queue ? "weight = 100\n" : "weight = 0\n");
    postern_start(&scene);
    for (unsigned i = 0; i < 4; i++)
        await_up(&scene, names[i]);
}

/* --- the clients --- */

static void say(struct held *session, const char *text) {
    ssize_t said = send(session->fd, text, strlen(text), MSG_NOSIGNAL);
    (void)said; /* one that is gone is heard to be */
}

static void all_say(const char *text) {
    for (unsigned i = 0; i < SESSIONS; i++)
        if (held[i].fd >= 0)
            say(&held[i], text);
}

static void on_line(struct held *session) {
    memcpy(session->code, session->line, 3);
    if (session->line[3] == '-')
        return;
    if (++session->replies == 1 && session->line[0] == '2')
        say(session, "EHLO client.example\r\n");
}

static void on_octets(struct held *session, const char *octets, ssize_t length) {
    for (ssize_t i = 0; i < length; i++) {
        cr_assert_lt(session->line_length, sizeof session->line);
        session->line[session->line_length++] = octets[i];
        if (octets[i] != '\n')
            continue;
        on_line(session);
        session->line_length = 0;
    }
}

static void hear(struct held *session) {
    char octets[4096];
    ssize_t length = recv(session->fd, octets, sizeof octets, MSG_DONTWAIT);
    if (length > 0) {
        on_octets(session, octets, length);
    } else if (length == 0 || errno != EAGAIN) {
        close(session->fd);
        session->fd = -1;
    }
}

/* Hears what has come for all of them. */
static void turn(void) {
    for (unsigned i = 0; i < SESSIONS; i++)
        polled[i] = (struct pollfd){.fd = held[i].fd, .events = POLLIN};
    poll(polled, SESSIONS, 20);
    for (unsigned i = 0; i < SESSIONS; i++)
        if (held[i].fd >= 0 && polled[i].revents != 0)
            hear(&held[i]);
}

static unsigned count_open(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < SESSIONS; i++)
        count += held[i].fd >= 0;
    return count;
}

/* Those whose EHLO was answered, among the first `most`. */
static unsigned count_ready(unsigned most) {
    unsigned count = 0;
    for (unsigned i = 0; i < most; i++)
        count += held[i].replies >= 2;
    return count;
}

static void open_one(struct held *session, unsigned number) {
    struct talk talk;
    char source[20];
    snprintf(source, sizeof source, "127.70.0.%u", 1 + number % 200);
    talk_begin(&talk, source, scene.port);
    *session = (struct held){.fd = talk.fd};
}

static void open_all(bool is_queue) {
    for (unsigned i = 0; i < SESSIONS; i++)
        held[i].fd = -1;
    for (unsigned i = 0; i < SESSIONS; i++) {
        open_one(&held[i], i);
        if (i % AT_ONCE != AT_ONCE - 1)
            continue;
        uint64_t end = now_ms() + 60000;
        while (is_queue ? info_figure(&scene, "sessions") < i + 1 : count_ready(i + 1) < i + 1) {
            cr_assert_lt(now_ms(), end, "%u of %u are served", count_ready(i + 1), i + 1);
            turn();
        }
    }
}

static void await_end_of(unsigned left) {
    uint64_t end = now_ms() + 120000;
    while (count_open() > left) {
        cr_assert_lt(now_ms(), end, "%u sessions are stuck", count_open() - left);
        turn();
    }
}

static unsigned count_heard(const char *code) {
    unsigned count = 0;
    for (unsigned i = 0; i < SESSIONS; i++)
        count += memcmp(held[i].code, code, 3) == 0;
    return count;
}

/* --- the good mail, and what is left --- */

static void serve_by_good(void) {
    free(ctl(&scene, NULL, "set server good weight 100"));
    for (unsigned i = 0; i < 3; i++)
        free(ctl(&scene, NULL, "set server %s weight 0", sinks[i].name));
}

static pid_t good_begin(void) {
    return load_begin(&scene, "good.json", "--source 127.71.0.1 --rate 20 --sessions 100 --patience 60");
}

static bool is_all_gone(void) {
    bool is_gone = info_figure(&scene, "sessions") == 0 && info_figure(&scene, "buffers_in_use") == 0;
    for (unsigned i = 0; i < 4 && is_gone; i++)
        is_gone = server_figure(&scene, sinks[i].name, "sessions") == 0;
    char *waiting = row_value(&scene, "tiers", "primary", "queue");
    is_gone &= strcmp(waiting, "0") == 0;
    free(waiting);
    return is_gone;
}

static void finish(pid_t good) {
    json_t *result = load_end(&scene, good, "good.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(is_all_gone(), 30000);
    cr_assert_eq(info_figure(&scene, "cq_overflows"), 0);
    json_t *mail = load_run(&scene, "--source 127.71.0.1");
    ASSERT_ALL_ACCEPTED(mail);
    json_decref(mail);
    scene_end(&scene);
}

/* --- the ways --- */

Test(endings, idle_clients_whose_time_is_up_together_are_all_told) {
    begin("15s", 0, false);
    open_all(false);
    serve_by_good();
    pid_t good = good_begin();
    all_say("NOOP\r\n");
    await_end_of(0);
    cr_assert_eq(count_heard("421"), SESSIONS);
    finish(good);
}

Test(endings, shutdown_sessions_ends_thousands) {
    begin("5m", 0, false);
    open_all(false);
    serve_by_good();
    pid_t good = good_begin();
    for (unsigned i = 0; i < 3; i++)
        free(ctl(&scene, NULL, "shutdown sessions server %s", sinks[i].name));
    await_end_of(0);
    cr_assert_eq(count_heard("421"), SESSIONS);
    finish(good);
}

Test(endings, backends_that_die_leave_no_session_behind) {
    begin("5m", 0, false);
    open_all(false);
    serve_by_good();
    pid_t good = good_begin();
    for (unsigned i = 0; i < 3; i++)
        kill_child(&scene, sinks[i].pid, SIGKILL);
    all_say("QUIT\r\n");
    await_end_of(0);
    cr_assert_eq(count_heard("221"), SESSIONS);
    finish(good);
}

Test(endings, backends_that_stop_in_mid_session_leave_no_session_behind) {
    begin("5m", 0, false);
    open_all(false);
    serve_by_good();
    pid_t good = good_begin();
    for (unsigned i = 0; i < 3; i++)
        kill(sinks[i].pid, SIGSTOP);
    all_say("NOOP\r\nQUIT\r\n");
    await_end_of(0);
    for (unsigned i = 0; i < 3; i++)
        kill(sinks[i].pid, SIGCONT);
    cr_assert_eq(count_heard("221"), SESSIONS);
    finish(good);
}

Test(endings, a_queue_of_thousands_is_told_when_its_tier_goes_down) {
    begin("5m", 1, true);
    open_all(true);
    for (unsigned i = 0; i < 3; i++)
        free(ctl(&scene, NULL, "set server %s state maint", sinks[i].name));
    pid_t good = good_begin();
    await_end_of(3);
    all_say("QUIT\r\n");
    await_end_of(0);
    cr_assert_eq(count_heard("421"), SESSIONS - 3);
    cr_assert_eq(count_heard("221"), 3);
    finish(good);
}

Test(endings, thousands_are_told_when_postern_stops) {
    begin("5m", 0, false);
    open_all(false);
    kill(scene.postern, SIGTERM);
    await_end_of(0);
    cr_assert_eq(count_heard("421"), SESSIONS);
    scene_end(&scene);
}

Test(endings, a_reload_while_thousands_leave_keeps_none_of_them) {
    begin("5m", 0, false);
    open_all(false);
    serve_by_good();
    pid_t good = good_begin();
    kill(scene.postern, SIGHUP);
    all_say("QUIT\r\n");
    await_end_of(0);
    cr_assert_eq(count_heard("221"), SESSIONS);
    finish(good);
}
