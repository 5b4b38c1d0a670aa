/* Backends given by name, resolved by a real unbound. */
#include "unbound.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool is_at(struct scene *scene, const char *address, const char *health) {
    char *at = row_value(scene, "servers", "vm1", "address");
    char *state = row_value(scene, "servers", "vm1", "health");
    bool is = strncmp(at, address, strlen(address)) == 0 && strcmp(state, health) == 0;
    free(at);
    free(state);
    return is;
}

#define CONFIG                                                                                                         \
    "[dns]\nservers = 127.0.0.1:%u\ntimeout = 500ms\n[tier primary]\ninter = 300ms\nfastinter = 200ms\n"               \
    "[backend vm1]\ntier = primary\naddress = vm1.test:%u\n"

Test(names, a_changed_address_gets_the_new_sessions_and_the_old_one_drains) {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink old, new;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.1\"");
    sink_begin(&scene, &old, "old", "");
    sink_begin_at(&scene, &new, "new", "127.0.0.2", old.port, "");
    postern_begin(&scene, CONFIG, unbound.port, old.port);
    WAIT_FOR(is_at(&scene, "127.0.0.1:", "up"), 10000);
    json_decref(load_run(&scene, "--concurrency 1 --sessions 5"));
    cr_assert_eq(sink_figure(&old, "mails"), 5);

    pid_t held = load_begin(&scene, "held.json", "--concurrency 3 --sessions 3 --hold 4");
    WAIT_FOR(sink_figure(&old, "current") >= 3, 5000);
    unbound_tell(&unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.2\"");
    WAIT_FOR(is_at(&scene, "127.0.0.2:", "up"), 10000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    cr_assert_eq(sink_figure(&new, "mails"), 5);
    cr_assert_eq(sink_figure(&old, "mails"), 5);
    result = load_end(&scene, held, "held.json");
    cr_assert(figure(result, "dropped") == 0 && figure(result, "tempfailed") == 0, "%s", json_dumps(result, 0));
    json_decref(result);
    scene_end(&scene);
}

Test(names, a_name_that_comes_late_or_goes_delays_no_start_and_takes_nobody_out) {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink sink;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, "");
    sink_begin(&scene, &sink, "vm", "");
    postern_begin(&scene, CONFIG, unbound.port, sink.port);
    WAIT_FOR(is_at(&scene, "-", "down"), 10000);
    cr_assert(log_has(&scene, "server vm1: DNS: vm1.test: no such"));
    unbound_tell(&unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.1\"");
    WAIT_FOR(is_at(&scene, "127.0.0.1:", "up"), 15000);
    kill(unbound.pid, SIGSTOP);
    WAIT_FOR(log_has(&scene, "no answer in time; the last address stays"), 10000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    kill(unbound.pid, SIGCONT);
    scene_end(&scene);
}
