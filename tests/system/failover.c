/* When all primaries are gone, vetted clients are served by the strict host and all others are told to come back. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct site {
    struct scene scene;
    struct test_sink vms[2], bastion;
};

static void begin(struct site *site, const char *failback) {
    struct scene *scene = &site->scene;
    scene_begin(scene, false);
    sink_begin(scene, &site->vms[0], "vm1", "");
    sink_begin(scene, &site->vms[1], "vm2", "");
    sink_begin(scene, &site->bastion, "bastion", "--proxy v2");
    free(shell(NULL, "echo '127.0.5.0/24 # our good senders' > %s/allow", scene->dir));
    postern_lines(scene, "[reputation]\nallow-file = %s/allow\n", scene->dir);
    postern_tier(scene, "primary", "check = ehlo\ninter = 200ms\nfastinter = 100ms\ndowninter = 200ms\nfall = 2\n");
    postern_lines(scene, "rise = 2\nfailback-delay = %s\n", failback);
    postern_backend(scene, "vm1", site->vms[0].port, "");
    postern_backend(scene, "vm2", site->vms[1].port, "");
    postern_tier(scene, "strict", "admit = vetted\nproxy = v2\ninter = 500ms\n");
    postern_backend(scene, "bastion", site->bastion.port, "");
    postern_start(scene);
}

static bool serves(struct site *site, const char *tier) {
    char *text = row_value(&site->scene, "tiers", tier, "serves");
    bool is_serving = strcmp(text, "yes") == 0;
    free(text);
    return is_serving;
}

static bool is_up(struct site *site, const char *server) {
    char *text = row_value(&site->scene, "servers", server, "health");
    bool up = strcmp(text, "up") == 0;
    free(text);
    return up;
}

Test(failover, the_vetted_are_served_when_all_primaries_die_and_nobody_is_dropped) {
    struct site site;
    begin(&site, "1s");
    struct scene *scene = &site.scene;
    WAIT_FOR(is_up(&site, "vm1") && is_up(&site, "vm2") && is_up(&site, "bastion"), 5000);
    pid_t vetted = load_begin(scene, "vetted.json", "--rate 50 --sessions 1000000 --source 127.0.5.0/24");
    pid_t others = load_begin(scene, "others.json", "--rate 50 --sessions 1000000 --source 127.0.6.0/24");
    WAIT_FOR(sink_figure(&site.vms[0], "mails") > 20, 5000);
    for (unsigned i = 0; i < 2; i++)
        sink_fault(&site.vms[i], "refuse");
    WAIT_FOR(sink_figure(&site.bastion, "mails") > 100, 20000);
    json_t *good = load_stop(scene, vetted, "vetted.json");
    json_t *strangers = load_stop(scene, others, "others.json");
    /* Sessions that a dying backend has in hand are the next issue's; refused connections cost nobody anything. */
    ASSERT_ALL_ACCEPTED(good);
    cr_assert(figure(strangers, "dropped") == 0 && figure(strangers, "timed_out") == 0, "%s", json_dumps(strangers, 0));
    cr_assert(figure(strangers, "tempfailed") > 0 && figure(strangers, "refused") == 0);
    cr_assert_not_null(
        strstr(json_string_value(json_object_get(strangers, "last_reply")), "421 4.3.2 mx.example.test"));
    char *client = sink_text(&site.bastion, "last_client");
    cr_assert(strncmp(client, "127.0.5.", 8) == 0, "the strict host saw %s", client);
    WAIT_FOR(serves(&site, "strict"), 10000);

    for (unsigned i = 0; i < 2; i++)
        sink_fault(&site.vms[i], "none");
    WAIT_FOR(serves(&site, "primary"), 10000);
    json_int_t at_bastion = sink_figure(&site.bastion, "mails");
    json_t *after = load_run(scene, "--concurrency 5 --sessions 50 --source 127.0.6.0/24");
    ASSERT_ALL_ACCEPTED(after);
    cr_assert(sink_figure(&site.bastion, "mails") == at_bastion, "the strict host still gets mail");
    free(client);
    json_decref(good);
    json_decref(strangers);
    json_decref(after);
    scene_end(scene);
}

/* Killed, not refusing: the last ones in hand hear 421 at worst, and the vetted get through within 3 seconds. */
Test(failover, killed_primaries_are_replaced_within_three_seconds) {
    struct site site;
    begin(&site, "1s");
    struct scene *scene = &site.scene;
    WAIT_FOR(is_up(&site, "vm1") && is_up(&site, "vm2") && is_up(&site, "bastion"), 5000);
    for (unsigned i = 0; i < 2; i++)
        kill_child(scene, site.vms[i].pid, SIGKILL);
    json_t *result = load_run(scene, "--sessions 1 --source 127.0.5.1 --patience 3");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&site.bastion, "mails") == 1);
    json_decref(result);
    scene_end(scene);
}

Test(failover, a_short_return_of_the_primaries_does_not_flap) {
    struct site site;
    begin(&site, "5s"); /* time enough to look */
    struct scene *scene = &site.scene;
    WAIT_FOR(is_up(&site, "vm1") && is_up(&site, "vm2") && is_up(&site, "bastion"), 5000);
    sink_fault(&site.vms[0], "banner-421");
    sink_fault(&site.vms[1], "hang");
    WAIT_FOR(serves(&site, "strict"), 20000);
    sink_fault(&site.vms[0], "none");
    WAIT_FOR(is_up(&site, "vm1"), 5000);
    cr_assert(serves(&site, "strict"), "the tier came back without its failback-delay");
    sink_fault(&site.vms[0], "banner-421");
    WAIT_FOR(!is_up(&site, "vm1"), 5000);
    cr_assert(serves(&site, "strict"));
    sink_fault(&site.vms[0], "none");
    WAIT_FOR(serves(&site, "primary"), 20000);
    WAIT_FOR(log_has(scene, "tier primary is up"), 5000);
    scene_end(scene);
}
