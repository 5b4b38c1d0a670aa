/* What is kept over restarts, however the last one came. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_sink vm;

static void begin(void) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
}

static void start(void) {
    postern_begin(&scene,
                  "[reputation]\nmin-score = 30\nmin-days = 0\nmin-age = 0\nmax-entries = 100000\nrequire-fcrdns = no\n"
                  "[dns]\nservers = 127.0.0.1:1\n[tier primary]\ncheck = none\n"
                  "[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n",
                  vm.port);
    WAIT_FOR(log_has(&scene, "clients are known"), 10000);
}

static void stop(int signal) {
    kill_child(&scene, scene.postern, signal);
    scene.postern = 0;
    free(shell(NULL, "mv %s/postern.log %s/postern.log.old", scene.dir, scene.dir));
}

static json_int_t mails_of(const char *address) {
    json_t *row = ctl_json(&scene, "show reputation %s", address);
    json_int_t mails = json_integer_value(json_object_get(row, "clean mails"));
    json_decref(row);
    return mails;
}

static bool is_kept(void) {
    char *text = ctl(&scene, NULL, "show reputation");
    bool is = strstr(text, "kept: on\n") != NULL;
    free(text);
    return is;
}

TestSuite(kept, .init = begin);

Test(kept, a_stop_and_a_start_forget_nothing) {
    start();
    json_decref(load_run(&scene, "--concurrency 1 --sessions 5 --source 127.0.31.1"));
    stop(SIGTERM);
    start();
    cr_assert_eq(mails_of("127.0.31.1"), 5);
    cr_assert(is_kept());
    scene_end(&scene);
}

Test(kept, a_file_that_is_damaged_cut_or_of_another_program_is_set_aside_and_mail_goes_on) {
    static const char *const damages[] = {
        /* All but the two pages that say where everything is. */
        "cd %s/state && dd if=/dev/urandom of=reputation.mdb bs=4096 seek=2 conv=notrunc "
        "count=$(($(stat -c %%s reputation.mdb) / 4096 - 2)) 2>/dev/null",
        "truncate -s 12288 %s/state/reputation.mdb",
        "echo a text of somebody else > %s/state/reputation.mdb",
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        start();
        json_decref(load_run(&scene, "--concurrency 4 --sessions 300 --source 127.0.32.0/24"));
        stop(SIGTERM);
        char command[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof command, damages[i], scene.dir);
#pragma GCC diagnostic pop
        free(shell(NULL, "%s", command));
        start();
        cr_assert(log_has(&scene, "reputations begin anew"), "%s", damages[i]);
        cr_assert(is_kept());
        json_t *result = load_run(&scene, "--concurrency 1 --sessions 5 --source 127.0.31.1");
        ASSERT_ALL_ACCEPTED(result);
        json_decref(result);
        stop(SIGTERM);
        free(shell(NULL, "test -f %s/state/reputation.mdb.bad && rm %s/state/*", scene.dir, scene.dir));
    }
    start();
    scene_end(&scene);
}

Test(kept, a_folder_that_cannot_be_written_or_is_in_use_costs_no_mail) {
    free(shell(NULL, "echo > %s/state", scene.dir)); /* a file stands in its place */
    start();
    cr_assert(log_has(&scene, "Not a directory: reputations are not kept"));
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5 --source 127.0.31.1");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(mails_of("127.0.31.1") == 5, 5000);
    cr_assert_not(is_kept());
    scene_end(&scene);
}

/* The flush interval is half a second; what was known a little longer before the kill must be known after it. */
Test(kept, kill_9_at_any_moment_loses_one_flush_at_most_and_never_the_file, .timeout = 120) {
    start();
    for (unsigned round = 0; round < 20; round++) {
        char log[32];
        snprintf(log, sizeof log, "load%u.json", round);
        pid_t load = load_begin(&scene, log, "--rate 200 --sessions 4000 --source 127.0.31.1");
        pause_ms(100 + round * 97 % 400); /* anywhere in a flush */
        json_int_t before = mails_of("127.0.31.1");
        pause_ms(800);
        stop(SIGKILL);
        kill_child(&scene, load, SIGKILL);
        start();
        cr_assert_not(log_has(&scene, "anew"), "round %u", round);
        cr_assert(mails_of("127.0.31.1") >= before && before > 0, "round %u: %lld mails of %lld", round,
                  mails_of("127.0.31.1"), before);
    }
    scene_end(&scene);
}
