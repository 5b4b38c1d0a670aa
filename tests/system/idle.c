/* Thousands of idle sessions cost little memory. The figure is for DESIGN §15's target of 1,024 octets. */
#include "harness.h"

#include <stdio.h>

#define SESSIONS 9000
/* Half as much again as the target: whoever adds to what a session keeps should notice. */
#define OCTETS_MAX 1536

Test(idle, nine_thousand_idle_sessions_are_held_and_cheap) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, true);
    sink_begin(&scene, &sink, "vm1", "");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    json_int_t before = info_figure(&scene, "resident_kb");
    pid_t load = load_begin(&scene, "load.json", "--sessions %u --concurrency %u --hold 600 --source 127.0.0.0/16",
                            SESSIONS, SESSIONS);
    WAIT_FOR(info_figure(&scene, "relayed_total") == SESSIONS, 20000);
    json_int_t after = info_figure(&scene, "resident_kb");
    json_int_t each = (after - before) * 1024 / SESSIONS;
    fprintf(stderr, "user memory per idle session: %lld octets (%lld kB before, %lld kB with %u sessions)\n",
            (long long)each, (long long)before, (long long)after, SESSIONS);
    cr_assert(each < OCTETS_MAX, "%lld octets a session", (long long)each);
    json_t *result = load_stop(&scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 5000);
    json_decref(result);
    scene_end(&scene);
}
