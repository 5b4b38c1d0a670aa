/* The first idea of postern: nothing is committed before a backend's 220, so what a backend does before it costs no
 * session. Three backends, one of which misbehaves, at 150 sessions a second. */
#include "harness.h"

#define RATE_AND_COUNT "--rate 150 --sessions 240"

struct three {
    struct scene scene;
    struct test_sink sinks[3];
};

static void begin(struct three *three, const char *fault) {
    struct scene *scene = &three->scene;
    scene_begin(scene, false);
    for (unsigned i = 0; i < 3; i++)
        sink_begin(scene, &three->sinks[i], (const char *[]){"vm1", "vm2", "vm3"}[i], "");
    /* Without probes, hedges and ejection, and with round robin, the bad one is tried by a third of all sessions to the
     * end. */
    postern_lines(scene, "[timeouts]\ngreeting = 2s\nhedge-after = 0\n");
    postern_tier(scene, "primary", "check = none\nbalance = roundrobin\noutlier = 0\n");
    postern_sinks(scene, three->sinks, 3);
    postern_start(scene);
    sink_fault(&three->sinks[0], fault);
}

static void expect_no_session_lost(const char *fault) {
    struct three three;
    begin(&three, fault);
    json_t *result = load_run(&three.scene, RATE_AND_COUNT);
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(server_figure(&three.scene, "vm1", "failures") >= 70, "the bad backend was not tried");
    cr_assert(sink_figure(&three.sinks[1], "mails") + sink_figure(&three.sinks[2], "mails") == 240);
    WAIT_FOR(info_figure(&three.scene, "sessions") == 0, 5000);
    WAIT_FOR(info_figure(&three.scene, "buffers_in_use") == 0, 5000);
    json_decref(result);
    scene_end(&three.scene);
}

Test(commit_on_220, a_backend_that_refuses_connections_costs_no_session) {
    expect_no_session_lost("refuse");
}

Test(commit_on_220, a_backend_that_resets_connections_costs_no_session) {
    expect_no_session_lost("reset");
}

Test(commit_on_220, a_backend_that_closes_at_once_costs_no_session) {
    expect_no_session_lost("close-accept");
}

Test(commit_on_220, a_backend_that_greets_with_421_costs_no_session) {
    expect_no_session_lost("banner-421");
}

Test(commit_on_220, a_backend_that_greets_with_554_costs_no_session) {
    expect_no_session_lost("banner-554");
}

Test(commit_on_220, a_backend_that_never_greets_costs_no_session) {
    expect_no_session_lost("hang");
}

Test(commit_on_220, a_backend_that_greets_with_garbage_costs_no_session) {
    expect_no_session_lost("banner-garbage");
}

Test(commit_on_220, a_backend_that_greets_with_half_a_line_costs_no_session) {
    expect_no_session_lost("banner-half");
}

Test(commit_on_220, a_backend_that_greets_without_a_line_end_costs_no_session) {
    expect_no_session_lost("banner-longline");
}

Test(commit_on_220, a_backend_that_greets_an_octet_a_second_costs_no_session) {
    expect_no_session_lost("banner-drip");
}

Test(commit_on_220, a_greeting_of_two_lines_is_passed_on_whole) {
    struct three three;
    begin(&three, "banner-multiline");
    json_t *result = load_run(&three.scene, "--concurrency 5 --sessions 30");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&three.sinks[0], "mails") >= 8);
    json_decref(result);
    scene_end(&three.scene);
}

/* Another backend would say the same to this client, so it hears the first one's words, once. */
Test(commit_on_220, a_client_that_a_backend_refuses_by_policy_hears_just_that) {
    struct three three;
    begin(&three, "banner-421-policy");
    sink_fault(&three.sinks[1], "banner-554-policy");
    sink_fault(&three.sinks[2], "banner-421-policy");
    json_t *result = load_run(&three.scene, "--concurrency 1 --sessions 30");
    cr_assert(figure(result, "tempfailed") == 20 && figure(result, "refused") == 10, "%s", json_dumps(result, 0));
    cr_assert(server_figure(&three.scene, "vm1", "failures") == 0);
    cr_assert(server_figure(&three.scene, "vm2", "failures") == 0);
    cr_assert(info_figure(&three.scene, "tries_total") == 30);
    json_decref(result);
    scene_end(&three.scene);
}

Test(commit_on_220, with_every_backend_hanging_the_client_hears_421_in_time) {
    struct three three;
    begin(&three, "hang");
    sink_fault(&three.sinks[1], "hang");
    sink_fault(&three.sinks[2], "reset");
    json_t *result = load_run(&three.scene, "--concurrency 5 --sessions 10");
    cr_assert(figure(result, "tempfailed") == 10, "%s", json_dumps(result, 0));
    cr_assert_not_null(strstr(json_string_value(json_object_get(result, "last_reply")), "421 4.3.2 mx.example.test"));
    json_decref(result);
    scene_end(&three.scene);
}

/* Where replay is not allowed: never a bare close, always a correct 421. */
static void expect_421_not_a_close(const char *fault) {
    struct three three;
    begin(&three, fault);
    json_t *result = load_run(&three.scene, "--concurrency 10 --sessions 90 --size 300000");
    cr_assert(figure(result, "dropped") == 0 && figure(result, "timed_out") == 0, "%s", json_dumps(result, 0));
    /* Round robin is kept per worker, so the bad one's share is a third, but for a session a worker. */
    cr_assert(figure(result, "tempfailed") >= 28 && figure(result, "tempfailed") <= 32, "%s", json_dumps(result, 0));
    json_decref(result);
    scene_end(&three.scene);
}

Test(commit_on_220, a_backend_that_dies_in_content_ends_the_session_with_421_behind_it) {
    expect_421_not_a_close("data-die");
}

Test(commit_on_220, a_backend_that_dies_at_the_dot_ends_the_session_with_421) {
    expect_421_not_a_close("dot-close");
}
