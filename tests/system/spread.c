/* Load is spread by weight, and nothing is left behind. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define MAILS 20000

static void expect_share(json_int_t got, json_int_t all, double wanted) {
    double share = (double)got / (double)all;
    cr_assert(share > wanted - 0.05 && share < wanted + 0.05, "share %.3f instead of %.3f", share, wanted);
}

/* Reputations are kept: the store has opened its files. */
static bool is_kept(struct scene *scene) {
    char *said = ctl(scene, NULL, "show reputation");
    bool is = strstr(said, "kept: on\n") != NULL;
    free(said);
    return is;
}

Test(spread, twenty_thousand_mails_are_accepted_by_weight_and_nothing_is_left) {
    struct scene scene;
    struct test_sink sinks[2];
    int status;
    scene_begin(&scene, true);
    sink_begin(&scene, &sinks[0], "vm1", "");
    sink_begin(&scene, &sinks[1], "vm2", "");
    /* leastconn would give a sink that has to wait for a core less than its weight, and rightly so */
    postern_tier(&scene, "primary", "balance = roundrobin\n");
    postern_backend(&scene, "vm1", sinks[0].port, "weight = 50\n");
    postern_backend(&scene, "vm2", sinks[1].port, "weight = 150\n");
    postern_start(&scene);
    WAIT_FOR(is_kept(&scene), 10000);
    json_int_t descriptors = info_figure(&scene, "descriptors");
    free(shell(&status, "smtp-source -s 100 -m %u -l 1000 127.0.0.1:%u 2>&1", MAILS, scene.port));
    cr_assert(status == 0, "smtp-source: %d", status);
    json_int_t first = sink_figure(&sinks[0], "mails"), second = sink_figure(&sinks[1], "mails");
    cr_assert(first + second == MAILS, "accepted: %lld", (long long)(first + second));
    expect_share(first, MAILS, 0.25);
    expect_share(second, MAILS, 0.75);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 10000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 5000);
    /* +1: the question's own connection. A lookup of the client's name, under way, holds another one for some time. */
    WAIT_FOR(info_figure(&scene, "descriptors") <= descriptors + 1, 20000);
    cr_assert(info_figure(&scene, "cq_overflows") == 0);
    cr_assert(info_figure(&scene, "resident_kb") < 24 * 1024);
    cr_assert(server_figure(&scene, "vm1", "mails") + server_figure(&scene, "vm2", "mails") == MAILS);
    scene_end(&scene);
}

static void expect_spread(const char *balance, unsigned sessions, bool exact) {
    struct scene scene;
    struct test_sink sinks[2];
    scene_begin(&scene, false);
    sink_begin(&scene, &sinks[0], "vm1", "");
    sink_begin(&scene, &sinks[1], "vm2", "");
    postern_tier(&scene, "primary", "");
    postern_lines(&scene, "balance = %s\n", balance);
    postern_sinks(&scene, sinks, 2);
    postern_start(&scene);
    json_t *result = load_run(&scene, "--concurrency 10 --sessions %u --source 127.0.0.0/16", sessions);
    ASSERT_ALL_ACCEPTED(result);
    if (exact)
        expect_share(sink_figure(&sinks[0], "mails"), sessions, 0.5);
    cr_assert(sink_figure(&sinks[0], "mails") > sessions / 4 && sink_figure(&sinks[1], "mails") > sessions / 4);
    json_decref(result);
    scene_end(&scene);
}

Test(spread, round_robin_shares_evenly) {
    expect_spread("roundrobin", 600, true);
}

Test(spread, random2_shares) {
    expect_spread("random2", 600, false);
}

Test(spread, source_shares_many_clients) {
    expect_spread("source", 600, false);
}

Test(spread, source_keeps_one_client_on_one_backend) {
    struct scene scene;
    struct test_sink sinks[2];
    scene_begin(&scene, false);
    sink_begin(&scene, &sinks[0], "vm1", "");
    sink_begin(&scene, &sinks[1], "vm2", "");
    postern_tier(&scene, "primary", "balance = source\n");
    postern_sinks(&scene, sinks, 2);
    postern_start(&scene);
    json_t *result = load_run(&scene, "--concurrency 4 --sessions 100 --source 127.0.7.7");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&sinks[0], "mails") == 0 || sink_figure(&sinks[1], "mails") == 0);
    json_decref(result);
    scene_end(&scene);
}
