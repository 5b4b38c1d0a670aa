/* What operators decide about clients, by posternctl and by files. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_sink vm, bastion;

/* The primaries are down: only the vetted are served. */
static void begin(void) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    sink_begin(&scene, &bastion, "bastion", "");
    free(shell(NULL, "touch %s/allow %s/deny", scene.dir, scene.dir));
    postern_lines(&scene,
                  "[reputation]\nmin-days = 0\nmin-age = 0\nmax-entries = 1000\nrequire-fcrdns = no\nallow-file = "
                  "%s/allow\ndeny-file = %s/deny\n[dns]\nservers = 127.0.0.1:1\n",
                  scene.dir, scene.dir);
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", vm.port, "state = maint\n");
    postern_tier(&scene, "strict", "admit = vetted\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
}

static void end(void) {
    scene_end(&scene);
}

/* Where the unvetted are told at each recipient. */
Test(refusals, real_senders_hear_450_at_each_recipient_and_the_vetted_are_served) {
    scene_begin(&scene, false);
    sink_begin(&scene, &bastion, "bastion", "");
    free(shell(NULL, "echo 127.0.53.0/24 > %s/allow", scene.dir));
    postern_lines(&scene,
                  "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = "
                  "127.0.0.1:1\n[gate]\nrefuse = rcpt\n",
                  scene.dir);
    postern_tier(&scene, "strict", "admit = vetted\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
    int status;
    char *said = shell(&status,
                       "swaks --server 127.0.0.1 --port %u --local-interface 127.0.9.9 --pipeline --from a@client.test "
                       "--to u@example.test,v@example.test 2>&1",
                       scene.port);
    cr_assert_neq(status, 0);
    char *first = strstr(said, "450 4.3.2"), *second = first == NULL ? NULL : strstr(first + 1, "450 4.3.2");
    cr_assert(first != NULL && second != NULL && strstr(said, "221 2.0.0 Bye") != NULL, "%s", said);
    free(said);
    json_t *result = load_run(&scene, "--concurrency 20 --sessions 500 --source 127.0.54.0/24");
    cr_assert(figure(result, "tempfailed") == 500, "%s", json_dumps(result, 0));
    json_decref(result);
    result = load_run(&scene, "--concurrency 2 --sessions 20 --source 127.0.53.0/24");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    result = load_run(&scene, "--concurrency 1 --sessions 3 --source 127.0.54.9 --early 20");
    cr_assert(figure(result, "accepted") == 0 && figure(result, "dropped") == 0, "%s", json_dumps(result, 0));
    json_decref(result);
    cr_assert_eq(sink_figure(&bastion, "mails"), 20);
    WAIT_FOR(log_has(&scene, "not admitted: each recipient was refused with 450"), 5000);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    scene_end(&scene);
}

/* The tier is up: its backend passes its probes, and fails those who come by postern's other address. */
static void assert_blames_the_backends(const char *refuse, const char *reason) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    sink_begin(&scene, &bastion, "bastion", "");
    postern_lines(&scene, "[gate]\nrefuse = %s\n", refuse);
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_tier(&scene, "strict", "admit = vetted\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
    sink_fault(&vm, "refuse");
    char *said = shell(NULL,
                       "swaks --server 127.0.0.1 --port %u --local-interface 127.0.54.9 --from a@client.test --to "
                       "u@example.test 2>&1",
                       scene.port);
    cr_assert(strstr(said, " 421 4.3.2") != NULL || strstr(said, " 450 4.3.2") != NULL, "%s", said);
    free(said);
    WAIT_FOR(log_has(&scene, reason), 5000);
    cr_assert_not(log_has_by_now(&scene, "not admitted"));
    scene_end(&scene);
}

Test(refusals, who_was_failed_by_all_backends_is_not_said_to_be_refused_for_want_of_vetting_alone) {
    assert_blames_the_backends("greeting", "end=SC reason=\"all backends failed this client, and it is not vetted for "
                                           "the next tier\"");
    assert_blames_the_backends("rcpt", "end=SC reason=\"all backends failed this client, and it is not vetted for the "
                                       "next tier: each recipient was refused with 450\"");
}

TestSuite(decisions, .init = begin, .fini = end);

static bool is_served(const char *source) {
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 1 --source %s", source);
    bool is = figure(result, "accepted") == 1;
    json_decref(result);
    return is;
}

static bool says(int wanted_status, const char *command, const char *text) {
    int status;
    char *said = ctl(&scene, &status, "%s", command);
    bool is = status == wanted_status && strstr(said, text) != NULL;
    if (!is)
        fprintf(stderr, "%s: status %d: %s", command, status, said);
    free(said);
    return is;
}

Test(decisions, an_operator_vets_refuses_and_forgets_a_client) {
    cr_assert_not(is_served("127.0.51.1"));
    cr_assert(says(0, "reputation set 127.0.51.1 vetted", "vetted"));
    cr_assert(is_served("127.0.51.1"));
    cr_assert(says(0, "show reputation 127.0.51.1", "set_by_operator: vetted"));
    for (unsigned i = 0; i < 12; i++)
        cr_assert(says(0, "reputation feedback 127.0.51.2 ham", "feedback ham"));
    cr_assert(is_served("127.0.51.2"), "36 good units");
    cr_assert(says(0, "reputation set 127.0.51.2 refused", "refused"));
    cr_assert_not(is_served("127.0.51.2"));
    cr_assert(says(0, "reputation set 127.0.51.2 auto", "auto"));
    cr_assert(is_served("127.0.51.2"));
    cr_assert(says(0, "reputation feedback 127.0.51.2 trap", "feedback trap"));
    cr_assert_not(is_served("127.0.51.2"), "at once");
    cr_assert(says(0, "reputation clear 127.0.51.1", "forgotten"));
    cr_assert_not(is_served("127.0.51.1"));
    cr_assert(says(1, "reputation clear 127.0.99.1", "nothing is known"));
    cr_assert(says(1, "reputation feedback 127.0.51.2 nice", "allowed: good, ham, spam, virus, trap"));
    cr_assert(says(1, "reputation feedback here good", "is no address"));
    cr_assert(says(1, "reputation set 127.0.51.2 denied", "allowed: vetted, refused, auto"));
    cr_assert(says(1, "reputation top 0", "allowed: reputation top"));
}

Test(decisions, a_table_goes_out_as_csv_and_comes_back) {
    for (unsigned i = 1; i <= 5; i++)
        for (unsigned times = 0; times < i; times++)
            free(ctl(&scene, NULL, "reputation feedback 127.0.52.%u ham", i));
    free(ctl(&scene, NULL, "reputation set 2001:db8::1 vetted"));
    json_t *top = ctl_json(&scene, "reputation top 2 good");
    cr_assert_eq(json_array_size(top), 2);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(top, 0), "client")), "127.0.52.5");
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(top, 1), "client")), "127.0.52.4");
    json_decref(top);
    free(shell(NULL, "build/san/posternctl -s %s/control.sock reputation export > %s/all.csv", scene.dir, scene.dir));
    for (unsigned i = 1; i <= 5; i++)
        free(ctl(&scene, NULL, "reputation clear 127.0.52.%u", i));
    free(ctl(&scene, NULL, "reputation clear 2001:db8::1"));
    free(shell(NULL, "echo 127.0.52.9,2026-01-02,2026-01-01,1,1,1,1,1,, >> %s/all.csv; echo rubbish >> %s/all.csv",
               scene.dir, scene.dir));
    int status;
    char *said = shell(&status, "build/san/posternctl -s %s/control.sock reputation import %s/all.csv 2>&1", scene.dir,
                       scene.dir);
    cr_assert(status == 1 && strstr(said, "6 clients imported, 2 rows wrong") != NULL, "%d %s", status, said);
    cr_assert(strstr(said, "all.csv:8: first_seen or last_seen") && strstr(said, "all.csv:9: a row has 10 fields"),
              "%s", said);
    free(said);
    cr_assert(says(0, "show reputation 127.0.52.5", "good: 15.00"));
    cr_assert(says(0, "show reputation 2001:db8::1", "set_by_operator: vetted"));
    cr_assert(says(0, "show reputation", "clients: 6\n"));
}

Test(decisions, files_are_read_anew_whole_or_not_at_all) {
    cr_assert_not(is_served("127.0.53.1"));
    free(shell(NULL, "echo 127.0.53.0/24 > %s/allow; echo 127.0.53.7 > %s/deny", scene.dir, scene.dir));
    cr_assert_not(is_served("127.0.53.1"), "not yet");
    cr_assert(says(0, "reload", "read anew"));
    cr_assert(is_served("127.0.53.1"));
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 1 --source 127.0.53.7");
    cr_assert_eq(figure(result, "refused"), 1);
    json_decref(result);
    free(shell(NULL, "echo 127.0.54.0/24 > %s/allow; echo rubbish > %s/deny", scene.dir, scene.dir));
    cr_assert(says(1, "reload", "deny:1: \"rubbish\" is no network"));
    cr_assert(is_served("127.0.53.1") && !is_served("127.0.54.1"), "nothing has changed");
    kill(scene.postern, SIGHUP);
    WAIT_FOR(log_has(&scene, "reload: nothing has changed:"), 5000);
    free(shell(NULL, "echo > %s/deny", scene.dir));
    kill(scene.postern, SIGHUP);
    WAIT_FOR(log_has(&scene, "reloaded: 1 networks and 0 domains in allow-file, 0 networks in deny-file"), 5000);
    cr_assert(is_served("127.0.54.1") && !is_served("127.0.53.1"));
}
