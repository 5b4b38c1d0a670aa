/* The operator's hand: every verb, and that a wrong word changes nothing. */
#include "talk.h"

#include <stdlib.h>
#include <string.h>

struct pair {
    struct scene scene;
    struct test_sink sinks[2];
};

static void begin(struct pair *pair) {
    scene_begin(&pair->scene, false);
    sink_begin(&pair->scene, &pair->sinks[0], "vm1", "");
    sink_begin(&pair->scene, &pair->sinks[1], "vm2", "");
    postern_tier(&pair->scene, "primary", "balance = roundrobin\ninter = 100ms\n");
    postern_sinks(&pair->scene, pair->sinks, 2);
    postern_start(&pair->scene);
}

static void expect_error(struct scene *scene, const char *words, const char *said) {
    int status;
    char *before = ctl(scene, NULL, "show servers | awk '{ print $1, $3, $5, $8 }'");
    char *answer = ctl(scene, &status, "%s", words);
    cr_assert(status == 1, "%s: status %d", words, status);
    cr_assert(strncmp(answer, "error: ", 7) == 0 && strstr(answer, said) != NULL, "%s: %s", words, answer);
    char *after = ctl(scene, NULL, "show servers | awk '{ print $1, $3, $5, $8 }'");
    cr_assert_str_eq(before, after);
    free(before);
    free(answer);
    free(after);
}

Test(control, a_wrong_command_changes_nothing_and_says_what_is_allowed) {
    struct pair pair;
    begin(&pair);
    struct scene *scene = &pair.scene;
    expect_error(scene, "frobnicate", "allowed: help, show info");
    expect_error(scene, "show", "allowed: help, show info");
    expect_error(scene, "show server", "allowed: ");
    expect_error(scene, "set server", "incomplete command; allowed: set server NAME state");
    expect_error(scene, "set server vm1 state", "incomplete");
    expect_error(scene, "set server vm9 state drain", "no server \"vm9\"; allowed: vm1, vm2");
    expect_error(scene, "set server vm1 state off", "allowed: ready, drain, maint");
    expect_error(scene, "set server vm1 weight 257", "0 to 256");
    expect_error(scene, "set server vm1 weight -1", "0 to 256");
    expect_error(scene, "set server vm1 colour red", "allowed: state");
    expect_error(scene, "set server vm1 state drain now", "too many words");
    expect_error(scene, "add server vm3 address 127.0.0.1:9", "incomplete");
    expect_error(scene, "add server vm3 tier nowhere address 127.0.0.1:9", "there is no [tier nowhere]");
    expect_error(scene, "add server vm3 tier primary address 127.0.0.1:x", "address");
    expect_error(scene, "add server vm3 tier primary address 127.0.0.1:9 colour red", "colour: unknown option");
    expect_error(scene, "add server vm1 tier primary address 127.0.0.1:9", "exists");
    expect_error(scene, "del server vm9", "no server");
    expect_error(scene, "del server vm1 softly", "allowed: del server NAME [force]");
    expect_error(scene, "shutdown sessions server vm9", "no server");
    expect_error(scene, "show sessions server", "allowed: show sessions");
    char words[1400] = "show ";
    memset(words + 5, 'x', 1200);
    int status;
    char *answer = ctl(scene, &status, "%.590s", words);
    cr_assert(status == 1);
    free(answer);
    scene_end(scene);
}

Test(control, posternctl_without_a_postern_exits_2) {
    int status;
    free(shell(&status, "build/posternctl -s /nonexistent/socket show info 2>&1"));
    cr_assert(status == 2);
    free(shell(&status, "build/posternctl 2>&1"));
    cr_assert(status == 2);
}

Test(control, every_show_speaks_json_and_text) {
    struct pair pair;
    begin(&pair);
    static const char *const verbs[] = {"help", "show info", "show servers", "show tiers", "show sessions"};
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        json_decref(ctl_json(&pair.scene, "%s", verbs[i]));
        int status;
        free(ctl(&pair.scene, &status, "%s", verbs[i]));
        cr_assert(status == 0);
    }
    json_decref(ctl_json(&pair.scene, "set server vm1 weight 10"));
    json_decref(ctl_json(&pair.scene, "shutdown sessions server vm1"));
    scene_end(&pair.scene);
}

Test(control, every_counter_is_shown) {
    struct pair pair;
    begin(&pair);
    json_t *info = ctl_json(&pair.scene, "show info");
#define COUNTER(name, text) cr_assert(json_is_integer(json_object_get(info, #name)), #name);
#include "lb/relay/counters.def"
#undef COUNTER
    json_decref(info);
    scene_end(&pair.scene);
}

Test(control, help_fits_a_terminal_of_80_columns) {
    struct pair pair;
    begin(&pair);
    char *text = ctl(&pair.scene, NULL, "help"), *rest = text, *line;
    unsigned verbs = 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        cr_assert(strlen(line) < 80, "%s", line);
        verbs += line[0] != ' ' && line[0] != '\0';
    }
    cr_assert_gt(verbs, 15);
    free(text);
    scene_end(&pair.scene);
}

Test(control, a_server_is_added_by_the_rules_of_the_file) {
    struct pair pair;
    int status;
    begin(&pair);
    struct scene *scene = &pair.scene;
    char words[200];
    snprintf(words, sizeof words, "add server vm3 tier primary address 127.0.0.1:%u", pair.sinks[0].port);
    expect_error(scene, words, "server vm1 of the same tier has this address");
    expect_error(scene, "add server vm3 tier primary address 127.0.0.1:9 \\#weight 5", "option and value in turn");
    expect_error(scene, "add server vm3 tier primary address 127.0.0.1:9 weight \\;", "option and value in turn");
    expect_error(scene, "add server vm3 tier primary address 127.0.0.1:9 weight 300", "error: [backend vm3] weight");
    expect_error(scene, "add server auto tier primary address 127.0.0.1:9", "neither auto nor json");
    free(ctl(scene, &status, "del server vm1"));
    cr_assert_eq(status, 0);
    free(ctl(scene, &status, "%s", words));
    cr_assert_eq(status, 0, "its address is free again");
    scene_end(scene);
}

static void expect_answer(struct scene *scene, const char *words, const char *said) {
    int status;
    char *answer = ctl(scene, &status, "%s", words);
    cr_assert(status == 0 && strstr(answer, said) != NULL, "%s: %s", words, answer);
    free(answer);
}

Test(control, an_answer_names_what_the_entry_is_kept_under) {
    struct pair pair;
    begin(&pair);
    struct scene *scene = &pair.scene;
    expect_answer(scene, "reputation set 2001:db8:0:5::1 refused", "2001:db8:0:5::/64: refused");
    expect_answer(scene, "show reputation 2001:db8:0:5::2", "client: 2001:db8:0:5::/64\n");
    expect_answer(scene, "reputation feedback 2001:db8:0:5::3 spam", "2001:db8:0:5::/64: ");
    expect_answer(scene, "reputation clear 2001:db8:0:5::4", "2001:db8:0:5::/64 is forgotten");
    expect_answer(scene, "reputation set ::ffff:192.0.2.7 refused", "192.0.2.7: refused");
    expect_answer(scene, "show reputation ::ffff:192.0.2.7 json", "\"client\":\"192.0.2.7\"");
    expect_answer(scene, "reputation clear ::ffff:192.0.2.7", "192.0.2.7 is forgotten");
    scene_end(scene);
}

Test(control, an_export_is_whole_in_whatever_form_it_is_asked_for) {
    struct pair pair;
    begin(&pair);
    struct scene *scene = &pair.scene;
    for (unsigned i = 1; i <= 40; i++) { /* over the whole table, of which a part is a small piece */
        char words[80];
        snprintf(words, sizeof words, "reputation set 192.0.2.%u refused", i);
        expect_answer(scene, words, "refused");
    }
    expect_answer(scene, "reputation set ::1 vetted", "/64: vetted");
    static const char *const forms[] = {"export", "export json", "export 0", "export 0 json", "'export'"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char words[120];
        snprintf(words, sizeof words, "reputation %s | grep -c -e '^192.0.2.*,refused$' -e '^::1,'", forms[i]);
        expect_answer(scene, words, "41\n");
    }
    expect_answer(scene, "'reputation export' | wc -l", "42\n");
    scene_end(scene);
}

Test(control, the_help_of_one_command_is_asked_for_by_its_words) {
    struct pair pair;
    begin(&pair);
    struct scene *scene = &pair.scene;
    expect_answer(scene, "help reload", "reload\n    read allow-file");
    expect_answer(scene, "help reload | grep -c 'show info' || true", "0\n");
    expect_answer(scene, "help reputation set", "reputation set ADDRESS");
    expect_answer(scene, "help set | grep -c '^set '", "2\n");
    expect_error(scene, "help frobnicate", "unknown or incomplete command");
    expect_error(scene, "help set server now", "too many words");
    scene_end(scene);
}

static bool tier_is(const char *text, const char *name, const char *state, const char *serves, const char *forced) {
    char pattern[120];
    snprintf(pattern, sizeof pattern, "\"name\":\"%s\",\"state\":\"%s\",\"serves\":%s,\"forced\":%s,", name, state,
             serves, forced);
    return strstr(text, pattern) != NULL;
}

Test(control, a_tier_that_is_up_is_shown_so_while_another_one_alone_serves) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_tier(&scene, "strict", "");
    postern_backend(&scene, "bastion", sink.port, "state = maint\n");
    postern_start(&scene);
    await_up(&scene, "vm1");
    free(ctl(&scene, NULL, "set tier strict"));
    char *said = ctl(&scene, NULL, "show tiers json");
    cr_assert(tier_is(said, "primary", "up", "false", "false") && tier_is(said, "strict", "down", "true", "true"), "%s",
              said);
    free(said);
    free(ctl(&scene, NULL, "set tier auto"));
    said = ctl(&scene, NULL, "show tiers json");
    cr_assert(tier_is(said, "primary", "up", "true", "false") && tier_is(said, "strict", "down", "false", "false"),
              "%s", said);
    free(said);
    scene_end(&scene);
}

Test(control, what_is_mistyped_of_reputations_changes_nothing) {
    struct pair pair;
    int status;
    begin(&pair);
    struct scene *scene = &pair.scene;
    expect_error(scene, "reputation top 5 10", "allowed: reputation top");
    expect_error(scene, "reputation top good bad", "allowed: reputation top");
    expect_error(scene, "reputation top +5", "allowed: reputation top");
    expect_error(scene, "reputation export 12x", "allowed: reputation export [FROM]");
    expect_error(scene, "reputation set 192.0.2.300 vetted", "is no address");
    static const char *const clients[][2] = {{"192.0.2.1:25", "without port"},
                                             {"[2001:db8::1]:25", "without port"},
                                             {"2001:db8:0:5::1:25", "[2001:db8:0:5::1]:25"},
                                             {"fe80::1%lo", "without an interface"},
                                             {"::", "no client has"},
                                             {"0.0.0.0", "no client has"}};
    static const char *const forms[] = {"reputation set %s vetted", "reputation clear %s",
                                        "reputation feedback %s spam", "show reputation %s",
                                        "reputation import %s,,,0,0,0,0,0,,vetted"};
    for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++)
        for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
            char words[120];
            snprintf(words, sizeof words, forms[form], clients[i][0]);
            expect_error(scene, words, clients[i][1]);
        }
    expect_error(scene, "reputation set 192.0.2.1 veted", "allowed: vetted, refused, auto");
    static const char row[] = "198.51.100.7,2026-11-01,2026-11-20,5,5.0000,0.0000,5.00,0.00,,\\r\\n";
    char *said =
        shell(&status,
              "printf '\\357\\273\\277%s' > %s/rows; %s/posternctl -s %s/control.sock reputation import %s/rows 2>&1",
              row, scene->dir, scene->build, scene->dir, scene->dir);
    cr_assert(status == 0 && strstr(said, "1 clients imported, 0 rows wrong") != NULL, "a spreadsheet's file: %s",
              said);
    free(said);
    said = shell(&status,
                 "printf '198.51.100.8,,,2.5,0,0,0,0,,\\n%s' > %s/rows; %s/posternctl -s %s/control.sock reputation "
                 "import %s/rows 2>&1",
                 row, scene->dir, scene->build, scene->dir, scene->dir);
    cr_assert(status == 1 && strstr(said, "rows:1: days") != NULL && strstr(said, "1 clients imported, 1 rows wrong"),
              "%s", said);
    free(said);
    scene_end(scene);
}

Test(control, a_feeds_target_is_one_address_and_port) {
    static const char *const wrong[] = {"2001:db8::11:8026", "127.0.0.1:",      "127.0.0.1", "127.0.0.1:80x",
                                        "127.0.0.1:0",       "127.0.0.1:70000", ":8026",     "[]:8026"};
    int status;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *said =
            shell(&status,
                  "timeout 10 build/posternctl feed --follow /dev/null --once --to '%s' --key-file /nonexistent 2>&1",
                  wrong[i]);
        cr_assert(status == 2 && strstr(said, "usage: ") != NULL, "%s: %d %s", wrong[i], status, said);
        cr_assert((strstr(said, "has no port") != NULL) == (i == 1 || i == 2), "%s: %s", wrong[i], said);
        free(said);
    }
    char *said = shell(
        &status, "build/posternctl feed --follow /dev/null --once --to '[::1]:8026' --key-file /nonexistent 2>&1");
    cr_assert(strstr(said, "/nonexistent: cannot be read") != NULL, "%s", said);
    free(said);
}

Test(control, a_drained_server_finishes_its_sessions_and_gets_no_new_ones) {
    static struct talk held[10];
    struct pair pair;
    begin(&pair);
    struct scene *scene = &pair.scene;
    for (unsigned i = 0; i < 10; i++)
        talk_open(&held[i], NULL, scene->port);
    json_t *rows = ctl_json(scene, "show sessions server vm1");
    cr_assert(json_array_size(rows) > 0 && json_array_size(rows) < 10);
    json_decref(rows);
    free(ctl(scene, NULL, "set server vm1 state drain"));
    json_int_t mails = sink_figure(&pair.sinks[0], "mails");
    json_t *result = load_run(scene, "--sessions 40 --concurrency 4");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&pair.sinks[0], "mails") == mails);
    cr_assert(server_figure(scene, "vm1", "sessions") > 0, "the drain has cut sessions");
    for (unsigned i = 0; i < 10; i++)
        talk_quit(&held[i]);
    WAIT_FOR(server_figure(scene, "vm1", "sessions") == 0, 10000);
    free(ctl(scene, NULL, "set server vm1 state ready"));
    json_t *again = load_run(scene, "--sessions 40 --concurrency 4");
    ASSERT_ALL_ACCEPTED(again);
    cr_assert(sink_figure(&pair.sinks[0], "mails") > mails);
    json_decref(result);
    json_decref(again);
    scene_end(scene);
}

Test(control, weight_0_takes_no_new_sessions) {
    struct pair pair;
    begin(&pair);
    free(ctl(&pair.scene, NULL, "set server vm2 weight 0"));
    json_t *result = load_run(&pair.scene, "--sessions 20 --concurrency 4");
    ASSERT_ALL_ACCEPTED(result);
    cr_assert(sink_figure(&pair.sinks[1], "mails") == 0);
    json_decref(result);
    scene_end(&pair.scene);
}

Test(control, maint_is_not_probed) {
    struct pair pair;
    begin(&pair);
    WAIT_FOR(sink_figure(&pair.sinks[0], "probes") > 2, 5000);
    free(ctl(&pair.scene, NULL, "set server vm1 state maint"));
    json_int_t others = sink_figure(&pair.sinks[1], "probes");
    WAIT_FOR(sink_figure(&pair.sinks[1], "probes") > others + 2, 5000); /* one may have been on its way */
    json_int_t probes = sink_figure(&pair.sinks[0], "probes");
    others = sink_figure(&pair.sinks[1], "probes");
    WAIT_FOR(sink_figure(&pair.sinks[1], "probes") > others + 5, 5000);
    cr_assert(sink_figure(&pair.sinks[0], "probes") == probes);
    free(ctl(&pair.scene, NULL, "set server vm1 state ready"));
    WAIT_FOR(sink_figure(&pair.sinks[0], "probes") > probes, 5000);
    scene_end(&pair.scene);
}

Test(control, servers_are_added_and_deleted_while_mail_flows) {
    struct pair pair;
    struct test_sink third;
    int status;
    begin(&pair);
    struct scene *scene = &pair.scene;
    sink_begin(scene, &third, "vm3", "");
    pid_t load = load_begin(scene, "load.json", "--rate 200 --sessions 1000000");
    for (unsigned round = 0; round < 5; round++) {
        free(ctl(scene, &status, "add server vm3 tier primary address 127.0.0.1:%u weight 200", third.port));
        cr_assert(status == 0);
        json_int_t mails = sink_figure(&third, "mails");
        WAIT_FOR(sink_figure(&third, "mails") > mails + 5, 5000);
        free(ctl(scene, NULL, "set server vm3 state drain"));
        WAIT_FOR(server_figure(scene, "vm3", "sessions") == 0, 5000);
        char *answer = ctl(scene, &status, "del server vm3");
        cr_assert(status == 0, "%s", answer);
        free(answer);
    }
    json_t *result = load_stop(scene, load, "load.json");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    scene_end(scene);
}

Test(control, a_server_with_sessions_is_deleted_by_force_only) {
    struct pair pair;
    int status;
    begin(&pair);
    struct scene *scene = &pair.scene;
    pid_t held = load_begin(scene, "held.json", "--sessions 10 --concurrency 10 --hold 60");
    WAIT_FOR(info_figure(scene, "relayed_total") == 10, 5000);
    char *answer = ctl(scene, &status, "del server vm1");
    cr_assert(status == 1 && strstr(answer, "force") != NULL, "%s", answer);
    free(answer);
    free(ctl(scene, &status, "del server vm1 force"));
    cr_assert(status == 0);
    free(ctl(scene, &status, "shutdown sessions server vm2"));
    cr_assert(status == 0);
    json_t *result = load_end(scene, held, "held.json");
    cr_assert(figure(result, "tempfailed") == 10 && figure(result, "dropped") == 0, "%s", json_dumps(result, 0));
    cr_assert_not_null(strstr(json_string_value(json_object_get(result, "last_reply")), "421 4.3.2"));
    json_decref(result);
    scene_end(scene);
}

Test(control, stopping_postern_tells_idle_clients_421) {
    struct pair pair;
    begin(&pair);
    struct scene *scene = &pair.scene;
    pid_t held = load_begin(scene, "held.json", "--sessions 10 --concurrency 10 --hold 60");
    WAIT_FOR(info_figure(scene, "relayed_total") == 10, 5000);
    kill_child(scene, scene->postern, 15);
    scene->postern = 0;
    json_t *result = load_end(scene, held, "held.json");
    cr_assert(figure(result, "tempfailed") == 10 && figure(result, "dropped") == 0, "%s", json_dumps(result, 0));
    json_decref(result);
    scene_end(scene);
}
