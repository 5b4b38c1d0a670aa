/* An IPv4 client that an operator names as ::ffff:192.0.2.1, in files, options and commands. */
#include "talk.h"

#include <stdlib.h>
#include <string.h>

#define DENIED  "127.0.41.9"
#define ALLOWED "127.0.42.9"
#define TOLD    "127.0.43.9"

static void begin(struct scene *scene, struct test_sink *vm) {
    scene_begin(scene, false);
    sink_begin(scene, vm, "vm1", "");
    free(
        shell(NULL, "echo ::ffff:127.0.41.0/120 > %s/deny; echo ::ffff:127.0.42.9 > %s/allow", scene->dir, scene->dir));
}

static void assert_greets(struct scene *scene, const char *source, const char *say, const char *wanted) {
    struct talk talk;
    talk_begin(&talk, source, scene->port);
    talk_tell(&talk, say);
    const char *heard = talk_hear(&talk, 15000);
    cr_assert(strncmp(heard, wanted, strlen(wanted)) == 0, "%s: %s", source, heard);
    talk_end(&talk);
}

/* The reply holds this line. */
static bool shows(struct scene *scene, const char *address, const char *line) {
    char *text = ctl(scene, NULL, "show reputation %s", address), wanted[80];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    bool has = strstr(text, wanted) != NULL;
    free(text);
    return has;
}

Test(mapped, a_file_or_option_that_names_a_client_so_means_that_client) {
    struct scene scene;
    struct test_sink vm;
    begin(&scene, &vm);
    postern_listen(&scene, "proxy-from = ::ffff:127.0.44.0/120\n");
    postern_lines(&scene, "[reputation]\nallow-file = %s/allow\ndeny-file = %s/deny\n", scene.dir, scene.dir);
    postern_tier(&scene, "primary", "admit = vetted\n");
    postern_backend_at(&scene, "vm1", "[::ffff:127.0.0.1]", vm.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    assert_greets(&scene, DENIED, "", "554 5.7.1");
    assert_greets(&scene, "127.0.45.1", "", "421 4.3.2");
    assert_greets(&scene, ALLOWED, "", "220 ");
    assert_greets(&scene, "127.0.44.7", "PROXY TCP6 ::ffff:127.0.42.9 ::1 1234 25\r\n", "220 ");
    assert_greets(&scene, "127.0.44.7", "PROXY TCP4 127.0.41.1 127.0.0.1 1234 25\r\n", "554 5.7.1");
    scene_end(&scene);
}

Test(mapped, a_command_that_names_a_client_so_changes_that_client) {
    struct scene scene;
    struct test_sink vm;
    int status;
    begin(&scene, &vm);
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_start(&scene);
    free(ctl(&scene, &status, "reputation set ::ffff:" TOLD " vetted"));
    cr_assert(status == 0 && shows(&scene, TOLD, "set_by_operator: vetted"));
    cr_assert(shows(&scene, "::ffff:" TOLD, "set_by_operator: vetted"));
    cr_assert_not(shows(&scene, "::1", "set_by_operator: vetted"), "the IPv6 network in which mapped ones stand");
    free(ctl(&scene, &status, "reputation feedback ::ffff:" TOLD " spam"));
    cr_assert(status == 0 && shows(&scene, TOLD, "feedback spam: 1"));
    free(ctl(&scene, &status, "reputation clear ::ffff:" TOLD));
    cr_assert(status == 0 && !shows(&scene, TOLD, "set_by_operator: vetted"));
    free(ctl(&scene, &status, "reputation import ::ffff:" TOLD ",$(date -u +%%F),$(date -u +%%F),1,1,0,1,0,,refused"));
    cr_assert(status == 0 && shows(&scene, TOLD, "set_by_operator: refused"));
    char *said = ctl(&scene, &status, "add server vm2 tier primary address [::ffff:127.0.0.1]:%u", scene.port);
    cr_assert(status == 1 && strstr(said, "is postern itself") != NULL, "%s", said);
    free(said);
    said = ctl(&scene, &status, "add server vm2 tier primary address 2001:db8::11:25");
    cr_assert(status == 1 && strstr(said, "[2001:db8::11]:25") != NULL && strstr(said, "[2001:db8::11:25]") != NULL,
              "%s", said);
    free(said);
    scene_end(&scene);
}
