/* Large mails pass whole, and a slow side slows the fast one instead of filling postern's memory. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define SIZE 15000000

static void begin(struct scene *scene, struct test_sink *sink, const char *options) {
    scene_begin(scene, true);
    sink_begin(scene, sink, "vm1", options);
    postern_tier(scene, "primary", "");
    postern_backend(scene, "vm1", sink->port, "");
    postern_start(scene);
}

static json_int_t larger(json_int_t a, json_int_t b) {
    return a > b ? a : b;
}

static void expect_intact(struct scene *scene, struct test_sink *sink, const char *options) {
    json_int_t before = info_figure(scene, "resident_kb");
    pid_t load = load_begin(scene, "load.json", "--size %u %s", SIZE, options);
    json_int_t most = 0;
    WAIT_FOR((most = larger(most, info_figure(scene, "resident_kb")), sink_figure(sink, "mails") > 0), 60000);
    json_t *result = load_end(scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    char *hash = sink_text(sink, "last_hash");
    cr_assert_str_eq(hash, json_string_value(json_object_get(result, "last_hash")));
    cr_assert(sink_figure(sink, "last_octets") == figure(result, "mail_octets"));
    cr_assert(most < before + 4096, "memory grew from %lld to %lld kB", (long long)before, (long long)most);
    free(hash);
    json_decref(result);
    scene_end(scene);
}

Test(bulk, fifteen_megabytes_to_a_slow_backend_pass_intact) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "--read-rate 6000000");
    expect_intact(&scene, &sink, "");
}

Test(bulk, fifteen_megabytes_from_a_slow_client_pass_intact) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "");
    expect_intact(&scene, &sink, "--send-rate 6000000");
}

Test(bulk, fifteen_megabytes_pass_intact_as_fast_as_they_can) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "");
    expect_intact(&scene, &sink, "");
}

/* Large buffers are few; who finds none takes a small one. */
Test(bulk, more_large_mails_at_once_than_large_buffers_pass) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "--read-rate 1000000");
    json_t *result = load_end(
        &scene, load_begin(&scene, "load.json", "--size 1500000 --sessions 160 --concurrency 160"), "load.json");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&sink, "mails") == 160);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 5000);
    json_decref(result);
    scene_end(&scene);
}
