/* max-sessions keeps a VM from swapping; who finds no slot waits, for a time, in a bounded queue. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static void begin(struct scene *scene, struct test_sink *sink, const char *tier) {
    scene_begin(scene, false);
    sink_begin(scene, sink, "vm1", "--greeting-delay 20");
    postern_tier(scene, "primary", "");
    postern_lines(scene, "check = none\n%s", tier);
    postern_backend(scene, "vm1", sink->port, "");
    postern_start(scene);
}

Test(queue, more_clients_than_slots_wait_and_are_all_served) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "max-sessions = 4\n");
    json_t *result = load_run(&scene, "--sessions 200 --concurrency 60");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&sink, "mails") == 200);
    char *waiting = row_value(&scene, "tiers", "primary", "queue");
    cr_assert_str_eq(waiting, "0");
    json_decref(result);
    scene_end(&scene);
}

Test(queue, a_backend_never_gets_more_than_its_max_sessions) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "max-sessions = 3\n");
    pid_t load = load_begin(&scene, "load.json", "--sessions 60 --concurrency 30");
    for (unsigned i = 0; i < 20; i++)
        cr_assert(sink_figure(&sink, "current") <= 3);
    json_t *result = load_end(&scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    scene_end(&scene);
}

Test(queue, who_waits_too_long_hears_421) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "max-sessions = 1\nqueue-timeout = 300ms\n");
    pid_t held = load_begin(&scene, "held.json", "--sessions 1 --hold 2");
    WAIT_FOR(info_figure(&scene, "relayed_total") == 1, 5000);
    json_t *result = load_run(&scene, "--sessions 5 --concurrency 5");
    cr_assert(figure(result, "tempfailed") == 5, "%s", json_dumps(result, 0));
    cr_assert_not_null(strstr(json_string_value(json_object_get(result, "last_reply")), "421 4.3.2"));
    json_t *first = load_end(&scene, held, "held.json");
    ASSERT_ALL_ACCEPTED(first);
    json_decref(result);
    json_decref(first);
    scene_end(&scene);
}

Test(queue, a_full_queue_answers_421_at_once_and_never_overflows_into_the_next_tier) {
    struct scene scene;
    struct test_sink sink, bastion;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    sink_begin(&scene, &bastion, "bastion", "");
    postern_tier(&scene, "primary", "check = none\nmax-sessions = 1\nqueue = 2\nqueue-timeout = 10s\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_tier(&scene, "strict", "check = none\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    pid_t held = load_begin(&scene, "held.json", "--sessions 1 --hold 2");
    WAIT_FOR(info_figure(&scene, "relayed_total") == 1, 5000);
    json_t *result = load_run(&scene, "--sessions 10 --concurrency 10");
    cr_assert(figure(result, "accepted") == 2 && figure(result, "tempfailed") == 8, "%s", json_dumps(result, 0));
    cr_assert(sink_figure(&bastion, "mails") == 0);
    json_decref(load_end(&scene, held, "held.json"));
    json_decref(result);
    scene_end(&scene);
}

/* Sessions are spread over all workers, so a slot often comes free where no vetted client waits. */
Test(queue, vetted_clients_are_served_first_whoever_came_first_and_the_others_after_them) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    free(shell(NULL, "echo 127.0.53.0/24 > %s/allow", scene.dir));
    postern_global(&scene, "workers = 4\n");
    postern_lines(&scene, "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:1\n",
                  scene.dir);
    postern_tier(&scene, "primary", "check = none\nmax-sessions = 1\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    pid_t held = load_begin(&scene, "held.json", "--sessions 1 --hold 2 --source 127.0.54.200");
    WAIT_FOR(info_figure(&scene, "relayed_total") == 1, 5000);
    pid_t strangers =
        load_begin(&scene, "strangers.json", "--sessions 6 --concurrency 6 --hold 0.5 --source 127.0.54.0/24");
    char *waiting = NULL;
    WAIT_FOR((free(waiting), waiting = row_value(&scene, "tiers", "primary", "queue"), strcmp(waiting, "6") == 0),
             5000);
    free(waiting);
    json_t *result = load_run(&scene, "--sessions 6 --concurrency 6 --source 127.0.53.0/24");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    cr_assert_leq(info_figure(&scene, "relayed_total"), 1 + 6 + 1, "a stranger was served while a vetted one waited");
    result = load_end(&scene, strangers, "strangers.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    json_decref(load_end(&scene, held, "held.json"));
    scene_end(&scene);
}
