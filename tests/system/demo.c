/* What a newcomer sees first: `make run` does what it says on the screen. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* The demo's own commands, run as it prints them: from the text behind a label to the end of that line. */
static char *printed_command(struct scene *scene, const char *label) {
    char *command =
        shell(NULL, "sed -n 's/^ *%s  *//p' %s/demo.log | sed 's/ *(and: .*//' | head -1", label, scene->dir);
    cr_assert(strlen(command) > 5, "the demo prints no command for: %s", label);
    command[strcspn(command, "\n")] = '\0';
    return command;
}

static void run_printed(struct scene *scene, const char *label) {
    int status;
    char *command = printed_command(scene, label);
    char *said = shell(&status, "%s 2>&1", command);
    cr_assert(status == 0, "%s\n%s", command, said);
    free(command);
    free(said);
}

/* Of the session that the demo has led. */
static bool is_nothing_left(const struct scene *scene, pid_t demo) {
    int status;
    free(shell(&status, "pgrep -s %d || test -e %s/demo", (int)demo, scene->build));
    return status != 0;
}

Test(demo, every_command_that_make_run_prints_works_and_ctrl_c_ends_all_of_it) {
    struct scene scene;
    char port[12];
    scene_begin(&scene, false);
    snprintf(port, sizeof port, "%u", scene.port);
    pid_t demo = spawn(&scene, "demo.log", (const char *const[]){"setsid", "bench/demo", scene.build, port, NULL});
    WAIT_FOR(file_has(&scene, "demo.log", " serves with "), 15000);
    cr_assert_not(file_has(&scene, "demo.log", "sed: "), "what a newcomer sees first is no error");
    run_printed(&scene, "a mail");
    run_printed(&scene, "a drain");
    run_printed(&scene, "vm2 hangs");
    run_printed(&scene, "some load");
    run_printed(&scene, "the table");
    run_printed(&scene, "all commands");
    run_printed(&scene, "all three die");
    WAIT_FOR(file_has(&scene, "demo.log", "tier primary is down"), 10000);
    run_printed(&scene, "a mail");
    char *said = shell(
        NULL, "swaks --server 127.0.0.1:%u --local-interface 127.0.0.2 --from a@b.test --to c@d.test 2>&1", scene.port);
    cr_assert_not_null(strstr(said, "421 4.3.2"), "%s", said);
    free(said);
    /* A terminal's Ctrl-C reaches the whole group. */
    kill(-demo, SIGINT);
    await_child(&scene, demo, 20000);
    WAIT_FOR(is_nothing_left(&scene, demo), 5000);
    scene_end(&scene);
}

/* As typed, and not as a part of the make that runs these tests. */
Test(demo, make_run_has_nothing_to_say_but_what_the_demo_says) {
    int status;
    char *said = shell(&status, "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -n run 2>&1 >/dev/null");
    cr_assert(status == 0 && said[0] == '\0', "%s", said);
    free(said);
}

Test(demo, the_configurations_that_we_give_to_operators_are_good) {
    static const char *const makers[] = {"cat conf/postern.ini",
                                         "sed -n '/^```ini/,/^```/p' README.md | grep -v '^```'"};
    struct scene scene;
    int status;
    scene_begin(&scene, false);
    for (unsigned i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        free(shell(NULL, "chmod 755 %s; cp conf/vetted %s/; %s | sed 's#/etc/postern/vetted#%s/vetted#' > %s/given.ini",
                   scene.dir, scene.dir, makers[i], scene.dir, scene.dir));
        char *said = shell(&status, "%s/postern -T -c %s/given.ini 2>&1", scene.build, scene.dir);
        cr_assert(status == 0 && strstr(said, "[backend bastion]") != NULL, "%s:\n%s", makers[i], said);
        free(said);
    }
    scene_end(&scene);
}
