/* max-sessions keeps a VM from swapping; who finds no slot waits, for a time, in a bounded queue. */
#include "scripted.h"
#include "talk.h"

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

static bool waiting_are(struct scene *scene, unsigned count) {
    char *waiting = row_value(scene, "tiers", "primary", "queue");
    bool are = strtoul(waiting, NULL, 10) == count;
    free(waiting);
    return are;
}

/* Its clients say nothing until all that can come to it have, so that each place which comes free is seen to be taken
 * by one and no more. */
Test(queue, a_backend_never_gets_more_than_its_max_sessions) {
    static struct talk talks[30];
    struct scene scene;
    struct scripted host;
    scene_begin(&scene, false);
    scripted_begin(&host);
    postern_global(&scene, "workers = 1\n");
    postern_tier(&scene, "primary", "check = none\nmax-sessions = 3\nqueue-timeout = 1m\n");
    postern_backend(&scene, "vm1", host.port, "");
    postern_start(&scene);
    for (unsigned i = 0; i < 30; i++)
        talk_begin(&talks[i], NULL, scene.port);
    WAIT_FOR(waiting_are(&scene, 27), 5000);
    for (unsigned i = 0; i < 30; i++) {
        unsigned more = i < 27 ? 3 : 30 - i;
        WAIT_FOR(atomic_load(&host.ended) == i && atomic_load(&host.sessions) == i + more, 5000);
        WAIT_FOR(server_figure(&scene, "vm1", "sessions") == more, 5000);
        talk_expect(&talks[i], "220");
        talk_quit(&talks[i]);
    }
    scripted_end(&host);
    scene_end(&scene);
}

Test(queue, who_waits_too_long_hears_421) {
    struct scene scene;
    struct test_sink sink;
    struct talk held;
    begin(&scene, &sink, "max-sessions = 1\nqueue-timeout = 300ms\n");
    talk_open(&held, NULL, scene.port);
    json_t *result = load_run(&scene, "--sessions 5 --concurrency 5");
    cr_assert(figure(result, "tempfailed") == 5, "%s", json_dumps(result, 0));
    cr_assert_not_null(strstr(json_string_value(json_object_get(result, "last_reply")), "421 4.3.2"));
    talk_quit(&held);
    json_decref(result);
    scene_end(&scene);
}

Test(queue, a_full_queue_answers_421_at_once_and_never_overflows_into_the_next_tier) {
    struct scene scene;
    struct test_sink sink, bastion;
    struct talk held;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    sink_begin(&scene, &bastion, "bastion", "");
    postern_tier(&scene, "primary", "check = none\nmax-sessions = 1\nqueue = 2\nqueue-timeout = 1m\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_tier(&scene, "strict", "check = none\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    talk_open(&held, NULL, scene.port);
    pid_t load = load_begin(&scene, "load.json", "--sessions 10 --concurrency 10 --patience 60");
    /* Eight are told at once, while the two that wait have not heard anything. */
    WAIT_FOR(info_figure(&scene, "sessions") == 3 && waiting_are(&scene, 2), 5000);
    cr_assert_eq(info_figure(&scene, "sessions_total"), 11);
    talk_quit(&held);
    json_t *result = load_end(&scene, load, "load.json");
    cr_assert(figure(result, "accepted") == 2 && figure(result, "tempfailed") == 8, "%s", json_dumps(result, 0));
    cr_assert(sink_figure(&bastion, "mails") == 0);
    json_decref(result);
    scene_end(&scene);
}

/* How many strangers were served before the last of the vetted: each session's line is of when it ended, and there is
 * one place. The lines of one worker come in its order, those of several beside each other. */
static unsigned strangers_first(struct scene *scene) {
    char *count = shell(NULL,
                        "grep -a ' session id=' %s/postern.log | sort | awk '/client=127.0.54.[0-9]:/ { strangers++ } "
                        "/client=127.0.53/ { before = strangers } END { print before + 0 }'",
                        scene->dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}

/* Sessions are spread over all workers, so a slot often comes free where no vetted client waits. */
Test(queue, vetted_clients_are_served_first_whoever_came_first_and_the_others_after_them) {
    struct scene scene;
    struct talk held;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    free(shell(NULL, "echo 127.0.53.0/24 > %s/allow", scene.dir));
    postern_global(&scene, "workers = 4\n");
    postern_lines(&scene, "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:1\n",
                  scene.dir);
    postern_tier(&scene, "primary", "check = none\nmax-sessions = 1\nqueue-timeout = 1m\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    talk_open(&held, "127.0.54.200", scene.port);
    pid_t strangers =
        load_begin(&scene, "strangers.json", "--sessions 6 --concurrency 6 --source 127.0.54.0/24 --patience 60");
    WAIT_FOR(waiting_are(&scene, 6), 5000);
    pid_t vetted =
        load_begin(&scene, "vetted.json", "--sessions 6 --concurrency 6 --source 127.0.53.0/24 --patience 60");
    WAIT_FOR(waiting_are(&scene, 12), 5000);
    talk_quit(&held);
    json_t *result = load_end(&scene, vetted, "vetted.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    result = load_end(&scene, strangers, "strangers.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(log_count(&scene, " session id=") == 13, 5000);
    cr_assert_leq(strangers_first(&scene), 1, "strangers were served while a vetted one waited");
    scene_end(&scene);
}
