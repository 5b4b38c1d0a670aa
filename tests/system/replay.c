/* A backend that fails in mid-dialog costs no session before content, a correct 421 after it, and no mail is doubled or
 * lost. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct three {
    struct scene scene;
    struct test_sink sinks[3];
};

/* `tier`: further lines of [tier primary]. */
static void begin(struct three *three, const char *timeouts, const char *tier) {
    struct scene *scene = &three->scene;
    scene_begin(scene, false);
    for (unsigned i = 0; i < 3; i++) {
        char options[100];
        snprintf(options, sizeof options, "--ids %s/vm%u.ids", scene->dir, i + 1);
        sink_begin(scene, &three->sinks[i], (const char *[]){"vm1", "vm2", "vm3"}[i], options);
    }
    postern_lines(scene, "[timeouts]\n%s", timeouts);
    postern_tier(scene, "primary", "");
    postern_lines(scene, "balance = roundrobin\n%s", tier);
    postern_sinks(scene, three->sinks, 3);
    postern_start(scene);
}

static void end(struct three *three) {
    struct scene *scene = &three->scene;
    WAIT_FOR(info_figure(scene, "sessions") == 0, 5000);
    WAIT_FOR(info_figure(scene, "buffers_in_use") == 0, 5000);
    for (unsigned i = 0; i < 3; i++)
        sink_fault(&three->sinks[i], "none");
    scene_end(scene);
}

/* Every mail that a client saw accepted is queued exactly once, and nothing else is. */
static void assert_each_mail_once(struct three *three) {
    struct scene *scene = &three->scene;
    for (unsigned i = 0; i < 3; i++)
        sink_quit(&three->sinks[i]);
    char *said =
        shell(NULL, "cd %s && sort vm*.ids > queued && sort accepted.ids | diff - queued | head -5", scene->dir);
    cr_assert_str_eq(said, "", "accepted (<) and queued (>) differ:\n%s", said);
    free(said);
}

/* Without probes or ejection, so that a third of all sessions meets the bad backend to the end. */
static void expect_no_session_lost(const char *fault, const char *load) {
    struct three three;
    begin(&three, "reply = 2s\n", "check = none\noutlier = 0\n");
    sink_fault(&three.sinks[0], fault);
    json_t *result =
        load_run(&three.scene, "--rate 150 --sessions 240 --ids %s/accepted.ids %s", three.scene.dir, load);
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(server_figure(&three.scene, "vm1", "failures") >= 70, "the bad backend was not tried");
    assert_each_mail_once(&three);
    json_decref(result);
    scene_end(&three.scene);
}

Test(replay, a_backend_that_dies_at_mail_costs_no_session) {
    expect_no_session_lost("mail-die", "");
}

Test(replay, a_backend_that_says_421_at_mail_costs_no_session) {
    expect_no_session_lost("mail-421", "");
}

Test(replay, a_backend_that_dies_at_rcpt_costs_no_session) {
    expect_no_session_lost("rcpt-die", "");
}

/* What could not be carried over were sessions in content, which begins with DATA, and each of them heard 421. */
static void expect_only_content_lost(struct three *three, const json_t *result) {
    json_int_t lost = figure(result, "tempfailed");
    cr_assert(figure(result, "dropped") == 0 && figure(result, "timed_out") == 0, "%s", json_dumps(result, 0));
    cr_assert_eq(figure(result, "accepted") + lost, figure(result, "sessions"), "%s", json_dumps(result, 0));
    WAIT_FOR((json_int_t)log_count(&three->scene, "code=421 phase=\\(data\\|content\\|dot\\) ") == lost, 5000);
}

Test(replay, a_backend_that_is_killed_costs_only_what_is_in_content) {
    struct three three;
    begin(&three, "reply = 2s\n", "inter = 300ms\n");
    pid_t load = load_begin(&three.scene, "load.json", "--rate 150 --sessions 1000000");
    WAIT_FOR(sink_figure(&three.sinks[1], "mails") > 30, 10000);
    kill(three.sinks[1].pid, SIGKILL);
    json_int_t mails = sink_figure(&three.sinks[2], "mails");
    WAIT_FOR(sink_figure(&three.sinks[2], "mails") > mails + 150, 10000);
    json_t *result = load_stop(&three.scene, load, "load.json");
    expect_only_content_lost(&three, result);
    json_decref(result);
    WAIT_FOR(info_figure(&three.scene, "sessions") == 0, 5000);
    scene_end(&three.scene);
}

Test(replay, a_backend_that_stops_breathing_costs_time_and_no_session) {
    struct three three;
    begin(&three, "reply = 1s\n", "inter = 300ms\ncheck-timeout = 1s\n");
    pid_t load = load_begin(&three.scene, "load.json", "--rate 100 --sessions 1000000");
    WAIT_FOR(sink_figure(&three.sinks[1], "mails") > 20, 10000);
    kill(three.sinks[1].pid, SIGSTOP);
    json_int_t mails = sink_figure(&three.sinks[2], "mails");
    WAIT_FOR(sink_figure(&three.sinks[2], "mails") > mails + 100, 10000);
    json_t *result = load_stop(&three.scene, load, "load.json");
    kill(three.sinks[1].pid, SIGCONT);
    expect_only_content_lost(&three, result);
    json_decref(result);
    end(&three);
}

Test(replay, a_backend_that_hangs_is_hedged_and_then_avoided) {
    struct three three;
    begin(&three, "hedge-after = 500ms\n", "check = none\n");
    sink_fault(&three.sinks[0], "hang");
    json_t *result = load_run(&three.scene, "--rate 100 --sessions 100");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(log_has(&three.scene, "server vm1 is suspect"), 5000);
    json_int_t tries = info_figure(&three.scene, "tries_total");
    cr_assert_gt(tries, 100);
    result = load_run(&three.scene, "--rate 100 --sessions 200");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert_eq(info_figure(&three.scene, "tries_total"), tries + 200, "it was asked again");
    cr_assert(server_figure(&three.scene, "vm1", "sessions_total") == 0);
    json_decref(result);
    scene_end(&three.scene);
}

/* Each of 50 clients is one whom the backend does not want: that says nothing about the backend. */
Test(replay, clients_that_a_backend_refuses_eject_nobody) {
    struct three three;
    begin(&three, "", "check = none\n");
    for (unsigned i = 0; i < 3; i++)
        sink_fault(&three.sinks[i], i == 1 ? "banner-554-policy" : "banner-421-policy");
    json_t *result = load_run(&three.scene, "--concurrency 1 --sessions 50 --source 127.0.7.0/24");
    cr_assert(figure(result, "tempfailed") + figure(result, "refused") == 50, "%s", json_dumps(result, 0));
    cr_assert_eq(info_figure(&three.scene, "tries_total"), 50);
    cr_assert_not(log_has_by_now(&three.scene, "ejected"));
    WAIT_FOR(log_has(&three.scene, "server vm1 refuses a client by its greeting, but with proxy = none"), 5000);
    json_decref(result);
    end(&three);
}

Test(replay, a_backend_that_passes_probes_and_fails_sessions_is_ejected_and_comes_back) {
    struct three three;
    begin(&three, "", "inter = 500ms\n");
    sink_fault(&three.sinks[0], "mail-reset");
    /* One at a time, so that the fifth failure is the last. */
    json_t *result = load_run(&three.scene, "--concurrency 1 --sessions 100 --source 127.0.8.0/24");
    ASSERT_ALL_ACCEPTED(result);
    WAIT_FOR(log_has(&three.scene, "server vm1 health up -> ejected"), 5000);
    json_int_t failures = server_figure(&three.scene, "vm1", "failures");
    cr_assert(failures >= 5 && failures <= 10, "%lld failures of one that was ejected for five", (long long)failures);
    sink_fault(&three.sinks[0], "none");
    WAIT_FOR(log_has(&three.scene, "health ejected -> up"), 20000);
    json_decref(result);
    end(&three);
}

/* Nobody did better, so nobody is at fault: what all of them do not take may be the clients' doing. */
Test(replay, of_a_pool_that_misbehaves_as_a_whole_nobody_is_ejected) {
    struct three three;
    begin(&three, "", "inter = 500ms\n");
    for (unsigned i = 0; i < 3; i++)
        sink_fault(&three.sinks[i], "mail-reset");
    json_t *result = load_run(&three.scene, "--rate 50 --sessions 100 --source 127.0.8.0/24");
    cr_assert(figure(result, "tempfailed") == 100, "%s", json_dumps(result, 0));
    char *usable = row_value(&three.scene, "tiers", "primary", "usable");
    cr_assert_str_eq(usable, "3");
    free(usable);
    json_decref(result);
    end(&three);
}
