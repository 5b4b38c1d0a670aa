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

static void begin(struct scene *scene, const struct test_unbound *unbound, unsigned port) {
    postern_lines(scene, "[dns]\nservers = 127.0.0.1:%u\ntimeout = 500ms\n", unbound->port);
    postern_tier(scene, "primary", "inter = 300ms\nfastinter = 200ms\n");
    postern_backend_at(scene, "vm1", "vm1.test", port, "");
    postern_start(scene);
}

Test(names, a_changed_address_gets_the_new_sessions_and_the_old_one_drains) {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink old, new;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.1\"");
    sink_begin(&scene, &old, "old", "");
    sink_begin_at(&scene, &new, "new", "127.0.0.2", old.port, "");
    begin(&scene, &unbound, old.port);
    WAIT_FOR(is_at(&scene, "127.0.0.1:", "up"), 10000);
    json_decref(load_run(&scene, "--concurrency 1 --sessions 5"));
    cr_assert_eq(sink_figure(&old, "mails"), 5);

    pid_t held = load_begin(&scene, "held.json", "--concurrency 3 --sessions 3 --hold 600");
    WAIT_FOR(sink_figure(&old, "current") >= 3, 5000);
    unbound_tell(&unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.2\"");
    WAIT_FOR(is_at(&scene, "127.0.0.2:", "up"), 10000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    cr_assert_eq(sink_figure(&new, "mails"), 5);
    cr_assert_eq(sink_figure(&old, "mails"), 5);
    result = load_stop(&scene, held, "held.json");
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
    begin(&scene, &unbound, sink.port);
    WAIT_FOR(is_at(&scene, "-", "down"), 10000);
    WAIT_FOR(log_has(&scene, "server vm1: DNS: vm1.test: no such"), 5000);
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

/* What a resolver says of a domain that it blocks, or when it has lost its mind. */
Test(names, an_answer_that_is_no_hosts_address_moves_nobody_and_is_told) {
    static const char *const bad[][2] = {{"IN A 0.0.0.0", "0.0.0.0:"},
                                         {"IN A 224.0.0.1", "224.0.0.1:"},
                                         {"IN A 255.255.255.255", "255.255.255.255:"},
                                         {"IN AAAA ::", "[::]:"},
                                         {"IN AAAA ::ffff:0.0.0.0", "0.0.0.0:"},
                                         {"IN AAAA fe80::1", "fe80::1 is of an interface"},
                                         {"IN AAAA ff02::1", "[ff02::1]:"}};
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink sink;
    char data[100], alarm[100];
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.1\"");
    sink_begin(&scene, &sink, "vm", "");
    begin(&scene, &unbound, sink.port);
    WAIT_FOR(is_at(&scene, "127.0.0.1:", "up"), 10000);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(data, sizeof data, "  local-data: \"vm1.test. 1 %s\"", bad[i][0]);
        snprintf(alarm, sizeof alarm, "server vm1: DNS: an address of vm1.test is not used: %s", bad[i][1]);
        unbound_tell(&unbound, data);
        WAIT_FOR(log_has(&scene, alarm), 10000);
        cr_assert(is_at(&scene, "127.0.0.1:", "up"), "%s", bad[i][0]);
        json_t *result = load_run(&scene, "--concurrency 1 --sessions 2");
        ASSERT_ALL_ACCEPTED(result);
        json_decref(result);
    }
    WAIT_FOR(log_has(&scene, "vm1.test: none of its addresses can be used; the last address stays"), 5000);
    scene_end(&scene);
}

/* A server of this host may trust whoever comes from here. */
Test(names, a_backend_elsewhere_does_not_become_this_host) {
    struct scene scene;
    struct test_unbound unbound;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, "  local-data: \"vm1.test. 1 IN A 192.0.2.77\"");
    begin(&scene, &unbound, 25);
    WAIT_FOR(is_at(&scene, "192.0.2.77:25", "starting") || is_at(&scene, "192.0.2.77:25", "down"), 10000);
    unbound_tell(&unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.1\"");
    WAIT_FOR(log_has(&scene, "an address of vm1.test is not used: 127.0.0.1 is this host"), 10000);
    unbound_tell(&unbound, "  local-data: \"vm1.test. 1 IN AAAA ::1\"");
    WAIT_FOR(log_has(&scene, "an address of vm1.test is not used: ::1 is this host"), 10000);
    cr_assert(is_at(&scene, "192.0.2.77:25", "starting") || is_at(&scene, "192.0.2.77:25", "down"));
    scene_end(&scene);
}

Test(names, a_name_that_leads_back_to_postern_makes_no_loop) {
    struct scene scene;
    struct test_unbound unbound;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, "  local-data: \"vm1.test. 1 IN A 127.0.0.1\"");
    begin(&scene, &unbound, scene.port);
    WAIT_FOR(log_has(&scene, "is postern itself, by [listen mx]"), 10000);
    WAIT_FOR(is_at(&scene, "-", "down"), 10000);
    scene_end(&scene);
}

Test(names, a_dead_address_does_not_hide_one_that_answers) {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink ipv6, ipv4;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound,
                  "  local-data: \"vm1.test. 1 IN A 127.0.0.9\"\n  local-data: \"vm1.test. 1 IN AAAA ::1\"");
    sink_begin_at(&scene, &ipv6, "ipv6", "[::1]", free_port(), "");
    begin(&scene, &unbound, ipv6.port);
    WAIT_FOR(is_at(&scene, "[::1]:", "up"), 15000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);

    /* And back, when that one dies. */
    sink_begin_at(&scene, &ipv4, "ipv4", "127.0.0.9", ipv6.port, "");
    sink_fault(&ipv6, "refuse");
    WAIT_FOR(is_at(&scene, "127.0.0.9:", "up"), 15000);
    result = load_run(&scene, "--concurrency 1 --sessions 5");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    cr_assert(sink_figure(&ipv6, "mails") == 5 && sink_figure(&ipv4, "mails") == 5);
    scene_end(&scene);
}

Test(names, of_several_addresses_of_a_family_each_is_tried) {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink sink;
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound,
                  "  local-data: \"vm1.test. 1 IN A 127.0.0.7\"\n  local-data: \"vm1.test. 1 IN A 127.0.0.8\"\n"
                  "  local-data: \"vm1.test. 1 IN A 127.0.0.9\"\n");
    sink_begin_at(&scene, &sink, "third", "127.0.0.9", free_port(), "");
    begin(&scene, &unbound, sink.port);
    WAIT_FOR(is_at(&scene, "127.0.0.9:", "up"), 20000);
    scene_end(&scene);
}
