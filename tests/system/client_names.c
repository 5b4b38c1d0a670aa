/* Names that lead back to a client, however a real unbound says them. */
#include "unbound.h"

#include <stdlib.h>
#include <string.h>

#define LAST_OF_MANY "127.0.61.1" /* the last of 200 addresses of its name */
#define TENTH_NAME   "127.0.62.1"
#define SECOND_NAME  "127.0.63.1" /* the first one's addresses can't be told */
#define ELEVENTH     "127.0.64.1"
#define NO_ANSWER    "127.0.65.1" /* its only name's addresses can't be told */

static char *dns_data(void) {
    char *data = NULL;
    size_t length;
    FILE *out = open_memstream(&data, &length);
    cr_assert_not_null(out);
    fprintf(out, "  local-zone: \"broken.test.\" always_refuse\n");
    fprintf(out, "  local-data-ptr: \"" LAST_OF_MANY " 300 pool.test\"\n");
    for (unsigned i = 0; i < 199; i++)
        fprintf(out, "  local-data: \"pool.test. 300 IN A 192.0.2.%u\"\n", i);
    fprintf(out, "  local-data: \"pool.test. 300 IN A " LAST_OF_MANY "\"\n");
    for (unsigned i = 0; i < 9; i++) {
        fprintf(out, "  local-data-ptr: \"" TENTH_NAME " 300 n%u.test\"\n", i);
        fprintf(out, "  local-data: \"n%u.test. 300 IN A 192.0.2.1\"\n", i);
    }
    fprintf(out, "  local-data-ptr: \"" TENTH_NAME " 300 tenth.test\"\n");
    fprintf(out, "  local-data: \"tenth.test. 300 IN A " TENTH_NAME "\"\n");
    for (unsigned i = 0; i < 40; i++)
        fprintf(out, "  local-data-ptr: \"" ELEVENTH " 300 e%u.test\"\n", i);
    fprintf(out, "  local-data-ptr: \"" SECOND_NAME " 300 mx.broken.test\"\n");
    fprintf(out, "  local-data-ptr: \"" SECOND_NAME " 300 second.test\"\n");
    fprintf(out, "  local-data: \"second.test. 300 IN A " SECOND_NAME "\"\n");
    fprintf(out, "  local-data-ptr: \"" NO_ANSWER " 300 mx.broken.test\"\n");
    fclose(out);
    return data;
}

static bool has_name(struct scene *scene, const char *client, const char *wanted) {
    char *text = ctl(scene, NULL, "show reputation %s", client), line[80];
    snprintf(line, sizeof line, "\nname: %s\n", wanted);
    bool has = strstr(text, line) != NULL;
    free(text);
    return has;
}

Test(client_names, a_sender_with_many_names_or_addresses_or_a_broken_name_is_known_by_the_one_that_leads_back) {
    struct scene scene;
    struct test_unbound unbound;
    struct test_sink vm;
    char *data = dns_data();
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    unbound_begin(&scene, &unbound, data);
    postern_lines(&scene, "[dns]\nservers = 127.0.0.1:%u\ntimeout = 1s\n", unbound.port);
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_start(&scene);
    static const char *const clients[] = {LAST_OF_MANY, TENTH_NAME, SECOND_NAME, ELEVENTH, NO_ANSWER};
    for (unsigned i = 0; i < sizeof clients / sizeof clients[0]; i++)
        json_decref(load_run(&scene, "--concurrency 1 --sessions 1 --source %s", clients[i]));
    WAIT_FOR(has_name(&scene, LAST_OF_MANY, "confirmed"), 10000);
    WAIT_FOR(has_name(&scene, TENTH_NAME, "confirmed"), 10000);
    WAIT_FOR(has_name(&scene, SECOND_NAME, "confirmed"), 10000);
    WAIT_FOR(has_name(&scene, ELEVENTH, "none that leads back"), 10000);
    WAIT_FOR(has_name(&scene, NO_ANSWER, "unknown"), 10000);
    free(data);
    scene_end(&scene);
}
