/* An operator takes each backend out, upgrades it and brings it back, while mail flows. */
#include "postfix.h"
#include "talk.h"

#include <stdlib.h>
#include <string.h>

Test(rolling, a_restart_of_all_three_postfix_under_load_loses_and_tempfails_nothing) {
    static const char *const names[] = {"pf1", "pf2", "pf3"};
    struct scene scene;
    struct test_postfix postfixes[3];
    int status;
    scene_begin(&scene, false);
    for (unsigned i = 0; i < 3; i++)
        postfix_begin(&scene, &postfixes[i], names[i], true, "");
    postern_tier(&scene, "primary", "proxy = v2\ninter = 300ms\nfastinter = 200ms\ndowninter = 300ms\n");
    postern_backend(&scene, "pf1", postfixes[0].port, "");
    postern_backend(&scene, "pf2", postfixes[1].port, "");
    postern_backend(&scene, "pf3", postfixes[2].port, "");
    postern_start(&scene);
    pid_t load = load_begin(&scene, "load.json", "--rate 50 --sessions 1000000 --mails 2 --patience 30");
    for (unsigned i = 0; i < 3; i++) {
        WAIT_FOR(postfix_log_count(&postfixes[i], "status=sent") > 20, 10000);
        free(ctl(&scene, &status, "set server %s state drain", names[i]));
        cr_assert_eq(status, 0);
        char *said = ctl(&scene, &status, "wait drained %s 20s", names[i]);
        cr_assert(status == 0, "%s", said);
        free(said);
        postfix_restart(&postfixes[i]);
        free(ctl(&scene, &status, "set server %s state ready", names[i]));
        unsigned before = postfix_log_count(&postfixes[i], "status=sent");
        WAIT_FOR(postfix_log_count(&postfixes[i], "status=sent") > before, 10000);
    }
    json_t *result = load_stop(&scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert_eq(figure(result, "mails"), 2 * figure(result, "sessions"));
    json_decref(result);
    for (unsigned i = 0; i < 3; i++)
        postfix_end(&postfixes[i]);
    scene_end(&scene);
}

Test(rolling, wait_drained_answers_when_the_last_session_has_ended_and_not_before) {
    static struct talk held[4];
    struct scene scene;
    struct test_sink sink, other;
    int status;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    sink_begin(&scene, &other, "vm2", "");
    postern_tier(&scene, "primary", "balance = roundrobin\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_backend(&scene, "vm2", other.port, "");
    postern_start(&scene);
    char *said = ctl(&scene, &status, "wait drained vm1");
    cr_assert(status == 1 && strstr(said, "error: server vm1 is ready") != NULL, "%s", said);
    free(said);
    for (unsigned i = 0; i < 4; i++)
        talk_open(&held[i], NULL, scene.port);
    cr_assert_geq(server_figure(&scene, "vm1", "sessions"), 1);
    free(ctl(&scene, &status, "set server vm1 state drain"));
    said = ctl(&scene, &status, "wait drained vm1 100ms");
    cr_assert(status == 1 && strstr(said, "still has") != NULL, "%s", said);
    free(said);
    char program[100], socket_path[100];
    snprintf(program, sizeof program, "%s/posternctl", scene.build);
    snprintf(socket_path, sizeof socket_path, "%s/control.sock", scene.dir);
    pid_t waits =
        spawn(&scene, "waits", (const char *const[]){program, "-s", socket_path, "wait", "drained", "vm1", "1m", NULL});
    WAIT_FOR(info_figure(&scene, "control_clients") == 2, 5000); /* and the one that asks */
    /* With one left, who waits a little is told so, and who waits longer nothing. */
    unsigned gone = 0;
    while (server_figure(&scene, "vm1", "sessions") > 1) {
        talk_quit(&held[gone++]);
        WAIT_FOR(info_figure(&scene, "sessions") == 4 - gone, 5000);
    }
    said = ctl(&scene, &status, "wait drained vm1 100ms");
    cr_assert(status == 1 && strstr(said, "still has 1 sessions") != NULL, "%s", said);
    free(said);
    cr_assert_not(file_has(&scene, "waits", "drained"));
    while (gone < 4)
        talk_quit(&held[gone++]);
    cr_assert_eq(await_child(&scene, waits, 20000), 0);
    cr_assert(file_has(&scene, "waits", "is drained"));
    cr_assert_eq(server_figure(&scene, "vm1", "sessions"), 0);
    said = ctl(&scene, &status, "wait drained vm1 soon");
    cr_assert(status == 1 && strstr(said, "a duration") != NULL, "%s", said);
    free(said);
    scene_end(&scene);
}

Test(rolling, an_operator_can_force_a_tier_and_give_it_back) {
    struct scene scene;
    struct test_sink vm, bastion;
    int status;
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    sink_begin(&scene, &bastion, "bastion", "");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_tier(&scene, "strict", "");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
    char *said = ctl(&scene, &status, "set tier nowhere");
    cr_assert(status == 1 && strstr(said, "allowed: auto, primary, strict") != NULL, "%s", said);
    free(said);
    free(ctl(&scene, &status, "set tier strict"));
    cr_assert_eq(status, 0);
    json_decref(load_run(&scene, "--concurrency 1 --sessions 5"));
    cr_assert_eq(sink_figure(&bastion, "mails"), 5);
    free(ctl(&scene, &status, "set tier auto"));
    json_decref(load_run(&scene, "--concurrency 1 --sessions 5"));
    cr_assert_eq(sink_figure(&vm, "mails"), 5);
    scene_end(&scene);
}
