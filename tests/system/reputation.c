/* Vetted in peace, trusted in war: what a client did while the primaries were up decides whether the strict host meets
 * it. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct site {
    struct scene scene;
    struct test_sink vm, bastion;
};

static void begin(struct site *site, const char *reputation) {
    struct scene *scene = &site->scene;
    scene_begin(scene, false);
    sink_begin(scene, &site->vm, "vm1", "--greeting-delay 50"); /* time enough to talk too early */
    sink_begin(scene, &site->bastion, "bastion", "");
    postern_lines(
        scene,
        "[reputation]\nmin-score = 30\nmin-days = 0\nmin-age = 0\nmax-entries = 1000\n%s[dns]\nservers = 127.0.0.1:1\n",
        reputation);
    postern_tier(scene, "primary", "inter = 200ms\nfastinter = 100ms\nfall = 2\n");
    postern_backend(scene, "vm1", site->vm.port, "");
    postern_tier(scene, "strict", "admit = vetted\n");
    postern_backend(scene, "bastion", site->bastion.port, "");
    postern_start(scene);
    await_up(scene, "vm1");
    await_up(scene, "bastion");
}

static void send_from(struct site *site, const char *source, unsigned sessions, const char *options) {
    json_decref(load_run(&site->scene, "--concurrency 1 --sessions %u --source %s %s", sessions, source, options));
}

static json_int_t known(struct site *site, const char *address, const char *key) {
    json_t *row = ctl_json(&site->scene, "show reputation %s", address);
    const json_t *value = json_object_get(row, key);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : json_is_true(value);
    json_decref(row);
    return number;
}

/* What a client hears when the primaries are gone. */
static bool is_served(struct site *site, const char *source) {
    json_t *result = load_run(&site->scene, "--concurrency 1 --sessions 1 --source %s", source);
    bool is = figure(result, "accepted") == 1;
    cr_assert(is || figure(result, "tempfailed") == 1, "%s", json_dumps(result, 0));
    json_decref(result);
    return is;
}

Test(reputation, who_sent_good_mail_is_served_by_the_strict_host_and_nobody_else_is) {
    struct site site;
    begin(&site, "require-fcrdns = no\n");
    send_from(&site, "127.0.21.1", 5, "");
    send_from(&site, "127.0.23.1", 5, "");
    send_from(&site, "127.0.23.1", 1, "--early 20");
    sink_fault(&site.vm, "dot-550");
    send_from(&site, "127.0.22.1", 3, "");
    WAIT_FOR(known(&site, "127.0.21.1", "vetted") == 1, 5000);
    WAIT_FOR(known(&site, "127.0.22.1", "rejected_today") == 3, 5000);
    WAIT_FOR(known(&site, "127.0.23.1", "has_clean_month") == 0, 5000);
    cr_assert_eq(known(&site, "127.0.23.1", "vetted"), 0);
    sink_fault(&site.vm, "refuse");
    WAIT_FOR(log_has(&site.scene, "tier primary is down"), 10000);
    cr_assert(is_served(&site, "127.0.21.1"));
    cr_assert_not(is_served(&site, "127.0.22.1"), "a spammer");
    cr_assert_not(is_served(&site, "127.0.23.1"), "one that talks before the greeting");
    cr_assert_not(is_served(&site, "127.0.24.1"), "a stranger");
    cr_assert_eq(sink_figure(&site.bastion, "mails"), 1);
    scene_end(&site.scene);
}

Test(reputation, evidence_alone_vets_nobody_while_reverse_dns_is_required_and_unknown) {
    struct site site;
    begin(&site, "");
    send_from(&site, "127.0.21.1", 5, "");
    WAIT_FOR(known(&site, "127.0.21.1", "has_min_score") == 1, 5000);
    cr_assert_eq(known(&site, "127.0.21.1", "vetted"), 0);
    scene_end(&site.scene);
}

Test(reputation, a_250_after_the_dot_is_no_evidence_where_only_the_feed_knows) {
    struct site site;
    begin(&site, "require-fcrdns = no\nclean-evidence = feed\n");
    send_from(&site, "127.0.21.1", 5, "");
    send_from(&site, "127.0.21.2", 1, "--early 20");
    WAIT_FOR(known(&site, "127.0.21.2", "days") == 1, 5000);
    cr_assert_eq(known(&site, "127.0.21.1", "mails_today"), 0);
    int status;
    char *said = ctl(&site.scene, &status, "show reputation nobody");
    cr_assert(status == 1 && strstr(said, "is no address") != NULL, "%s", said);
    free(said);
    scene_end(&site.scene);
}

Test(reputation, who_is_in_deny_file_is_never_served_whatever_else_it_is) {
    struct site site;
    char options[300];
    /* The scene's folder is made by begin(), so the files stand beside it. */
    free(shell(NULL, "echo 127.0.25.0/24 > /tmp/postern-deny.$PPID && echo 127.0.25.0/24 > /tmp/postern-allow.$PPID"));
    snprintf(options, sizeof options, "deny-file = /tmp/postern-deny.%d\nallow-file = /tmp/postern-allow.%d\n",
             getpid(), getpid());
    begin(&site, options);
    free(shell(NULL, "rm -f /tmp/postern-deny.$PPID /tmp/postern-allow.$PPID"));
    json_t *result = load_run(&site.scene, "--concurrency 1 --sessions 3 --source 127.0.25.1");
    cr_assert_eq(figure(result, "refused"), 3);
    cr_assert_not_null(strstr(json_string_value(json_object_get(result, "last_reply")), "554 5.7.1"));
    json_decref(result);
    cr_assert(is_served(&site, "127.0.26.1"));
    scene_end(&site.scene);
}
