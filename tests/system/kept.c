/* What is kept over restarts, however the last one came. */
#include "harness.h"

#include <lmdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_sink vm;

static void begin(void) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
}

static void start_in(struct scene *of) {
    postern_lines(of, "[reputation]\nmin-score = 30\nmin-days = 0\nmin-age = 0\nmax-entries = 100000\nrequire-fcrdns "
                      "= no\n[dns]\nservers = 127.0.0.1:1\n");
    postern_tier(of, "primary", "check = none\n");
    postern_backend(of, "vm1", vm.port, "");
    postern_start(of);
    WAIT_FOR(log_has(of, "clients are known"), 10000);
}

static void start(void) {
    start_in(&scene);
}

static void stop(int signal) {
    kill_child(&scene, scene.postern, signal);
    scene.postern = 0;
    free(shell(NULL, "mv %s/postern.log %s/postern.log.old", scene.dir, scene.dir));
}

static json_int_t mails_of_in(struct scene *of, const char *address) {
    json_t *row = ctl_json(of, "show reputation %s", address);
    json_int_t mails = json_integer_value(json_object_get(row, "clean mails"));
    json_decref(row);
    return mails;
}

static json_int_t mails_of(const char *address) {
    return mails_of_in(&scene, address);
}

static bool is_kept_as(const char *state) {
    char *text = ctl(&scene, NULL, "show reputation"), line[100];
    snprintf(line, sizeof line, "kept: %s\n", state);
    bool is = strstr(text, line) != NULL;
    free(text);
    return is;
}

static bool is_kept(void) {
    return is_kept_as("on");
}

/* An LMDB file as any program may have one. */
static void put_other_programs_store(void) {
    char path[128], octets[] = "8 octets";
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val value = {8, octets};
    snprintf(path, sizeof path, "%s/state/reputation.mdb", scene.dir);
    free(shell(NULL, "rm -f %s %s-lock", path, path));
    cr_assert(mdb_env_create(&env) == 0 && mdb_env_open(env, path, MDB_NOSUBDIR, 0600) == 0);
    cr_assert(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    cr_assert(mdb_put(txn, dbi, &value, &value, 0) == 0 && mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
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
        WAIT_FOR(log_has(&scene, "reputations begin anew"), 5000);
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

Test(kept, another_programs_store_and_what_is_no_file_are_set_aside_too) {
    start();
    stop(SIGTERM);
    put_other_programs_store();
    start();
    WAIT_FOR(log_has(&scene, "is damaged or not postern's; it is now") && is_kept(), 5000);
    stop(SIGTERM);
    free(shell(NULL, "cd %s/state && rm -r reputation.* && mkdir reputation.mdb", scene.dir));
    start();
    WAIT_FOR(log_has(&scene, "cannot be read; it is now") && is_kept(), 5000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5 --source 127.0.31.1");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    scene_end(&scene);
}

Test(kept, a_folder_that_cannot_be_written_costs_no_mail) {
    free(shell(NULL, "echo > %s/state", scene.dir)); /* a file stands in its place */
    start();
    WAIT_FOR(log_has(&scene, "Not a directory: reputations are not kept"), 5000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5 --source 127.0.31.1");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(mails_of("127.0.31.1") == 5, 5000);
    cr_assert_not(is_kept());
    scene_end(&scene);
}

/* A second one checks the file while the first one writes it, and must neither believe what it sees nor touch it. */
Test(kept, a_store_that_another_postern_uses_is_left_to_it) {
    struct scene second;
    start();
    pid_t load = load_begin(&scene, "load.json", "--rate 300 --sessions 1000000 --source 127.0.64.0/18");
    scene_begin(&second, false);
    free(shell(NULL, "ln -s %s/state %s/state", scene.dir, second.dir));
    for (unsigned i = 0; i < 5; i++) {
        start_in(&second);
        WAIT_FOR(log_has(&second, "another postern uses it: reputations are not kept"), 5000);
        cr_assert_not(log_has_by_now(&second, "set aside") || log_has_by_now(&second, "begin anew"));
        json_t *result = load_run(&second, "--concurrency 1 --sessions 5 --source 127.0.31.1");
        ASSERT_ALL_ACCEPTED(result);
        json_decref(result);
        WAIT_FOR(mails_of_in(&second, "127.0.31.1") == 5, 5000);
        kill_child(&second, second.postern, SIGTERM);
        second.postern = 0;
    }
    scene_end(&second);
    kill_child(&scene, load, SIGKILL);
    cr_assert(is_kept());
    json_decref(load_run(&scene, "--concurrency 1 --sessions 3 --source 127.0.31.2"));
    stop(SIGTERM);
    start();
    cr_assert_eq(mails_of("127.0.31.2"), 3);
    scene_end(&scene);
}

#define FULL "Input/output error, as from a full disk"

/* A limit on its size stops the file as a full disk does, and can be lifted. It holds for the log too, so the clients
 * come by import, of which the log says nothing. */
Test(kept, a_full_disk_costs_no_mail_and_when_there_is_room_again_all_is_kept) {
    start();
    free(shell(NULL, "prlimit --pid %d --fsize=65536:", (int)scene.postern));
    free(shell(NULL,
               "for i in $(seq 1500); do echo 127.0.$((64 + i / 250)).$((i %% 250)),2026-01-01,2026-02-01,9,9,0,9,0,,; "
               "done > %s/many.csv; build/san/posternctl -s %s/control.sock reputation import %s/many.csv",
               scene.dir, scene.dir, scene.dir));
    WAIT_FOR(log_has(&scene, FULL ": reputations are not kept for now"), 10000);
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 5 --source 127.0.31.1");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(mails_of("127.0.31.1") == 5 && is_kept_as(FULL), 5000);
    free(shell(NULL, "prlimit --pid %d --fsize=unlimited:", (int)scene.postern));
    WAIT_FOR(log_has(&scene, "reputations are kept") && is_kept(), 5000);
    stop(SIGTERM);
    start();
    WAIT_FOR(log_has(&scene, "1501 clients are known"), 5000);
    cr_assert_eq(mails_of("127.0.31.1"), 5);
    scene_end(&scene);
}

/* How many batches have been written, by the file's own header. */
static size_t batches(void) {
    char path[128];
    MDB_env *env;
    MDB_envinfo info;
    snprintf(path, sizeof path, "%s/state/reputation.mdb", scene.dir);
    cr_assert(mdb_env_create(&env) == 0);
    int result = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600);
    cr_assert(result == 0 && mdb_env_info(env, &info) == 0, "%s", mdb_strerror(result));
    mdb_env_close(env);
    return info.me_last_txnid;
}

/* Each flush holds all that was known when it began: of two that end after something was known, the second does. Then
 * the kill comes at any moment of the next one. */
Test(kept, kill_9_at_any_moment_loses_one_flush_at_most_and_never_the_file, .timeout = 120) {
    start();
    for (unsigned round = 0; round < 20; round++) {
        char log[32];
        snprintf(log, sizeof log, "load%u.json", round);
        pid_t load = load_begin(&scene, log, "--rate 200 --sessions 9000 --source 127.0.31.1");
        snprintf(log, sizeof log, "others%u.json", round);
        pid_t others = load_begin(&scene, log, "--rate 200 --sessions 9000 --source 127.0.64.0/18");
        json_int_t at_start = mails_of("127.0.31.1");
        WAIT_FOR(mails_of("127.0.31.1") > at_start, 5000);
        json_int_t before = mails_of("127.0.31.1");
        size_t written = batches();
        WAIT_FOR(batches() >= written + 2, 10000);
        pause_ms(round * 97 % 500);
        stop(SIGKILL);
        kill_child(&scene, load, SIGKILL);
        kill_child(&scene, others, SIGKILL);
        start();
        cr_assert_not(log_has_by_now(&scene, "anew") || log_has_by_now(&scene, "left out"), "round %u", round);
        cr_assert(mails_of("127.0.31.1") >= before, "round %u: %lld mails of %lld", round, mails_of("127.0.31.1"),
                  before);
    }
    scene_end(&scene);
}
