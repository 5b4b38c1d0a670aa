/* What a postern that was started by root may still do once it serves: nothing that `user` may not. Read from
 * /proc/PID/task, of each thread, while mail flows. These tests change users, so that they need root. */
#include "talk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct scene scene;
static struct test_sink sink;

#define NO_CAPABILITY "\t0000000000000000\n"
#define AS_NOBODY     "setpriv --reuid=nobody --regid=nogroup --clear-groups "

/* A change of user clears PR_SET_PDEATHSIG (prctl(2)): it would outlive a test that fails. */
static void end_postern(void) {
    if (scene.postern > 0)
        kill(scene.postern, SIGKILL);
}

TestSuite(privileges, .fini = end_postern);

/* A folder of nobody's, since its user removes the socket at its end. */
static void begin(void) {
    if (geteuid() != 0)
        cr_skip_test("needs root");
    scene_begin(&scene, false);
    free(shell(NULL, "chown nobody:nogroup %s", scene.dir));
    sink_begin(&scene, &sink, "vm1", "");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
}

static unsigned count_lines(const char *text, const char *line) {
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += strlen(line))
        count++;
    return count;
}

/* Of one reading, since the kernel's workers of a ring are threads, which come and go. */
static void assert_each_thread_has(const char *const *lines) {
    char *text = shell(NULL, "cat /proc/%d/task/*/status", (int)scene.postern);
    unsigned threads = count_lines(text, "\nPid:\t");
    cr_assert(threads >= 4, "%u threads: %s", threads, text);
    for (; *lines != NULL; lines++)
        cr_assert_eq(count_lines(text, *lines), threads, "not %u times %s in:\n%s", threads, *lines, text);
    free(text);
}

static const char *const without_rights[] = {
    "\nUid:\t65534\t65534\t65534\t65534\n",
    "\nGid:\t65534\t65534\t65534\t65534\n",
    "\nCapInh:" NO_CAPABILITY,
    "\nCapPrm:" NO_CAPABILITY,
    "\nCapEff:" NO_CAPABILITY,
    "\nCapAmb:" NO_CAPABILITY,
    "\nNoNewPrivs:\t1\n",
    NULL,
};

/* Of the same user, as a filter that was broken into may be. */
static void assert_memory_is_closed(void) {
    int status;
    char *limit = shell(NULL, "grep -E '^Max core file size +0 +0 ' /proc/%d/limits", (int)scene.postern);
    cr_assert_str_neq(limit, "");
    free(limit);
    free(shell(&status, AS_NOBODY "cat /proc/%d/environ >%s/environ 2>&1", (int)scene.postern, scene.dir));
    cr_assert_neq(status, 0);
    cr_assert(file_has(&scene, "environ", "Permission denied"));
}

static void assert_serves(void) {
    json_t *result = load_run(&scene, "--sessions 100 --concurrency 10");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
}

Test(privileges, nothing_of_roots_rights_is_left_in_any_thread) {
    static const char *const root_left[] = {"\nGroups:\t65534 \n", "\nCapBnd:" NO_CAPABILITY, NULL};
    int status;
    begin();
    postern_global(&scene, "user = nobody\nworkers = 2\n");
    postern_start(&scene);
    assert_serves();
    assert_each_thread_has(without_rights);
    assert_each_thread_has(root_left);
    assert_memory_is_closed();
    free(ctl(&scene, &status, "reload"));
    cr_assert_eq(status, 0);
    assert_serves();
    scene_stop(&scene);
    free(shell(&status, "test -n \"$(find %s/state -type f -user nobody)\" -a ! -e %s/control.sock", scene.dir,
               scene.dir));
    cr_assert_eq(status, 0, "its state is not its own, or its socket is left");
    scene_end(&scene);
}

/* As a service manager starts it: a user's from the beginning, who may bind port 25. */
Test(privileges, a_capability_that_another_user_was_given_is_gone_when_it_serves) {
    char command[512];
    begin();
    postern_global(&scene, "user = nobody\nworkers = 2\n");
    postern_write(&scene);
    free(shell(NULL, "cp %s/postern %s/ && chmod 644 %s/postern.ini", scene.build, scene.dir, scene.dir));
    snprintf(command, sizeof command,
             "exec " AS_NOBODY "--inh-caps=+net_bind_service --ambient-caps=+net_bind_service %s/postern -c "
             "%s/postern.ini",
             scene.dir, scene.dir);
    scene.postern = spawn(&scene, "postern.log", (const char *const[]){"/bin/sh", "-c", command, NULL});
    WAIT_FOR(log_has(&scene, "serves with"), 10000);
    cr_assert(log_has(&scene, "[global] user = nobody is ignored: not started as root"));
    assert_serves();
    assert_each_thread_has(without_rights);
    assert_memory_is_closed();
    scene_end(&scene);
}

Test(privileges, root_stays_root_only_where_the_operator_says_so_and_is_warned) {
    static const char *const closed[] = {"\nUid:\t0\t0\t0\t0\n", "\nNoNewPrivs:\t1\n", NULL};
    begin();
    postern_start(&scene);
    WAIT_FOR(log_has(&scene, "[global] user is empty: postern stays root"), 5000);
    assert_each_thread_has(closed);
    assert_memory_is_closed();
    assert_serves();
    scene_end(&scene);
}

static void assert_refused(const char *user, const char *message) {
    int status;
    char line[64], expected[200];
    begin();
    snprintf(line, sizeof line, "user = %s\n", user);
    postern_global(&scene, line);
    postern_write(&scene);
    char *said = shell(&status, "%s/postern -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert_eq(status, 1, "%s", said);
    snprintf(expected, sizeof expected, "postern: [global] user = %s: %s", user, message);
    cr_assert_eq(strncmp(said, expected, strlen(expected)), 0, "%s", said);
    free(said);
    free(shell(&status, "test ! -e %s/control.sock -a ! -e %s/state", scene.dir, scene.dir));
    cr_assert_eq(status, 0, "a start that was refused has left something");
    scene_end(&scene);
}

Test(privileges, root_without_a_user_to_become_is_refused) {
    assert_refused("no-such-user", "no such user; make it, name another");
    assert_refused("root", "is root; name another");
}

/* Nobody has said `user =`: then it is postern, who has to exist. */
Test(privileges, root_without_a_word_about_users_does_not_stay_root) {
    int status;
    begin();
    free(shell(&status, "getent passwd postern"));
    if (status == 0)
        cr_skip_test("this host has a user postern");
    postern_write(&scene);
    free(shell(NULL, "sed -i '/^user =/d' %s/postern.ini", scene.dir));
    char *said = shell(&status, "%s/postern -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert_eq(status, 1);
    cr_assert_not_null(strstr(said, "postern: [global] user = postern: no such user"), "%s", said);
    free(said);
    scene_end(&scene);
}

/* --- what its user must be able to do --- */

/* -T, and a start, which leaves nothing behind. */
static void assert_need_is_told(const char *option, const char *path, const char *trouble) {
    char expected[400];
    int status;
    snprintf(expected, sizeof expected, "postern: %s = %s/%s: user nobody can't %s", option, scene.dir, path, trouble);
    char *checked = shell(&status, "%s/postern -T -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert(status == 1 && strstr(checked, expected) != NULL, "-T: not \"%s\" but: %s", expected, checked);
    char *started = shell(&status, "timeout 10 %s/postern -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert(status == 1 && strstr(started, expected) != NULL, "start: not \"%s\" but: %s", expected, started);
    free(shell(&status, "test ! -e %s/control.sock", scene.dir));
    cr_assert_eq(status, 0);
    free(checked);
    free(started);
}

/* Root may read and write everything, so that nothing but the look as nobody can find these. */
static void make_what_is_roots_alone(void) {
    int status;
    free(shell(&status,
               "cd %s && umask 077 && for f in allow deny relay recipients access; do echo '# none' >$f; done && echo "
               "0123456789abcdef0123 >key && : >mail.log && mkdir state && : >state/reputation.mdb && chown nobody "
               "state",
               scene.dir));
    cr_assert_eq(status, 0);
}

static void begin_with_roots_files(void) {
    char global[128];
    begin();
    make_what_is_roots_alone();
    snprintf(global, sizeof global, "user = nobody\nlog = %s/mail.log\n", scene.dir);
    postern_global(&scene, global);
    postern_lines(&scene, "[reputation]\nallow-file = %s/allow\ndeny-file = %s/deny\n", scene.dir, scene.dir);
    postern_lines(&scene, "[gate]\nrelay-domains-file = %s/relay\nrecipients-file = %s/recipients\n", scene.dir,
                  scene.dir);
    postern_lines(&scene, "access-file = %s/access\n[feedback]\nlisten = 127.0.0.1:0\nkey-file = %s/key\n", scene.dir,
                  scene.dir);
}

static void assert_is_good_once_given(const char *command) {
    int status;
    free(shell(&status, "cd %s && %s", scene.dir, command));
    cr_assert_eq(status, 0);
    char *said = shell(&status, "%s/postern -T -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert(status == 0 && strstr(said, "can't") == NULL, "%s", said);
    free(said);
}

/* All of it at once, not the first alone. */
Test(privileges, what_its_user_may_not_read_or_write_is_told_at_the_start_and_by_a_check) {
    begin_with_roots_files();
    postern_write(&scene);
    assert_need_is_told("[reputation] allow-file", "allow", "read it: Permission denied");
    assert_need_is_told("[reputation] deny-file", "deny", "read it: Permission denied");
    assert_need_is_told("[gate] relay-domains-file", "relay", "read it: Permission denied");
    assert_need_is_told("[gate] recipients-file", "recipients", "read it: Permission denied");
    assert_need_is_told("[gate] access-file", "access", "read it: Permission denied");
    assert_need_is_told("[feedback] key-file", "key", "read it: Permission denied");
    assert_need_is_told("[global] log", "mail.log", "write it: Permission denied");
    assert_need_is_told("[global] state-dir", "state", "read and write reputation.mdb: Permission denied");
    free(shell(NULL, "chown root %s/state", scene.dir));
    assert_need_is_told("[global] state-dir", "state", "read and write it: Permission denied");
    assert_is_good_once_given("chown -R nobody allow deny relay recipients access key mail.log state");
    scene_end(&scene);
}

Test(privileges, a_folder_where_its_user_can_not_remove_the_socket_or_make_the_log_is_told) {
    char global[128], folder[128];
    begin();
    snprintf(global, sizeof global, "user = nobody\nlog = %s/new.log\n", scene.dir);
    postern_global(&scene, global);
    postern_write(&scene);
    free(shell(NULL, "chown root %s && chmod 755 %s", scene.dir, scene.dir));
    snprintf(folder, sizeof folder, "write to the folder %s: Permission denied", scene.dir);
    assert_need_is_told("[control] socket", "control.sock", folder);
    assert_need_is_told("[global] log", "new.log", folder);
    assert_is_good_once_given("chown nobody .");
    scene_end(&scene);
}

/* Configurations are checked where they are written, too. */
Test(privileges, a_check_where_the_user_does_not_exist_says_what_it_could_not_look_at) {
    int status;
    begin();
    postern_global(&scene, "user = no-such-user\n");
    postern_write(&scene);
    char *said = shell(&status, "%s/postern -T -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert_eq(status, 0, "%s", said);
    cr_assert_not_null(strstr(said, "postern: [global] user = no-such-user: no such user"), "%s", said);
    cr_assert_not_null(strstr(said, "what it may read and write is not checked"), "%s", said);
    free(said);
    scene_end(&scene);
}
