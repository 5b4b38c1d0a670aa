/* What one client may have: a flood of one address holds what it may and no more, others are served, and nothing of it
 * is left when its sessions have ended, however they did. */
#include "talk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SESSIONS "421 4.7.0 mx.example.test Error: too many connections from your address\r\n"
#define RATE     "421 4.7.0 mx.example.test Error: too many connections from your address within a time\r\n"
#define NETWORK  "421 4.7.0 mx.example.test Error: too many connections from your network\r\n"
#define FEWER    "421 4.7.0 mx.example.test Error: too many connections from your address, fewer are served now\r\n"

static struct scene scene;
static struct test_sink sink;

static void begin(const char *listen, const char *limits, const char *tier) {
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    postern_listen(&scene, listen);
    postern_lines(&scene, "[limits]\n%s", limits);
    postern_tier(&scene, "primary", tier);
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
}

TestSuite(limits, .timeout = 120);

/* Connects from there and hears what it is greeted with. */
static void greet(struct talk *talk, const char *source, const char *begins) {
    talk_begin(talk, source, scene.port);
    talk_expect(talk, begins);
}

static void is_refused(const char *source, const char *reply) {
    struct talk talk;
    greet(&talk, source, reply);
    talk_expect(&talk, "closed");
    talk_end(&talk);
}

/* By a proxy, which names the client. */
static void greet_proxied(struct talk *talk, const char *client, const char *begins) {
    char header[120];
    snprintf(header, sizeof header, "PROXY %s %s %s 1234 25\r\n", strchr(client, ':') != NULL ? "TCP6" : "TCP4", client,
             strchr(client, ':') != NULL ? "2001:db8::25" : "192.0.2.25");
    talk_begin(talk, NULL, scene.port);
    talk_tell(talk, header);
    talk_expect(talk, begins);
}

/* A figure of the row that `show clients` has of this client; -1: there is none. */
static json_int_t client_figure(const char *client, const char *key) {
    json_t *list = ctl_json(&scene, "show clients %s", strcmp(key, "refused") == 0 ? "refused" : "sessions"), *row;
    json_int_t value = -1;
    size_t i;
    json_array_foreach(list, i, row) {
        if (strcmp(json_string_value(json_object_get(row, "client")), client) == 0)
            value = json_integer_value(json_object_get(row, key));
    }
    json_decref(list);
    return value;
}

/* Nobody has a session any more. */
static bool all_are_gone(void) {
    json_t *list = ctl_json(&scene, "show clients");
    bool are = json_array_size(list) == 0;
    json_decref(list);
    return are && info_figure(&scene, "sessions") == 0;
}

Test(limits, an_address_that_floods_holds_its_50_and_costs_others_nothing) {
    static struct talk held[50];
    struct talk other;
    begin("max-per-client = 50\n", "limits-except =\n", "");
    for (unsigned i = 0; i < 50; i++)
        greet(&held[i], "127.0.0.9", "220");
    for (unsigned i = 0; i < 2000; i++) {
        is_refused("127.0.0.9", SESSIONS);
        if (i % 100 == 0) {
            talk_open(&other, "127.0.0.10", scene.port);
            talk_envelope(&other);
            talk_quit(&other);
        }
    }
    cr_assert_eq(client_figure("127.0.0.9", "sessions"), 50);
    cr_assert_eq(client_figure("127.0.0.9", "max_sessions"), 50);
    cr_assert_eq(client_figure("127.0.0.9", "refused"), 2000);
    cr_assert_eq(info_figure(&scene, "limited_total"), 2000);
    cr_assert_eq(info_figure(&scene, "sessions"), 50);
    for (unsigned i = 0; i < 50; i++) { /* they go on as before */
        talk_exchange(&held[i], TALK_HELLO, "250");
        talk_quit(&held[i]);
    }
    WAIT_FOR(all_are_gone(), 10000);
    greet(&other, "127.0.0.9", "220");
    talk_end(&other);
    scene_end(&scene);
}

/* Of sessions over a limit: those that have a line, and those of which a line says how many there were. */
static unsigned told_in_log(void) {
    char *sum = shell(NULL,
                      "sed -n 's/.* \\([0-9]*\\) more sessions were over a limit.*/\\1/p' %s/postern.log | "
                      "awk '{ n += $1 } END { print n + 0 }'",
                      scene.dir);
    unsigned left_out = (unsigned)strtoul(sum, NULL, 10);
    free(sum);
    return left_out + log_count(&scene, "end=PA reason=\"over max-per-client of its listener\"");
}

Test(limits, a_flood_does_not_fill_the_log_and_each_session_is_accounted_for) {
    struct talk held;
    begin("max-per-client = 1\n", "limits-except =\n", "");
    greet(&held, "127.0.0.9", "220");
    for (unsigned i = 0; i < 1000; i++)
        is_refused("127.0.0.9", SESSIONS);
    WAIT_FOR(told_in_log() == 1000, 10000);
    cr_assert(log_has(&scene, "more sessions were over a limit within a second, and have no line of their own"));
    talk_end(&held);
    scene_end(&scene);
}

/* Each way in which a session can end takes it off its client's count. */
Test(limits, counts_are_at_zero_after_every_kind_of_end) {
    struct talk talk;
    begin("max-per-client = 3\nconnect-rate = 1000/1h\n", "limits-except =\nmax-per-network = 4\n",
          "max-per-client = 3\n");
    for (unsigned round = 0; round < 5; round++) {
        talk_open(&talk, "127.0.0.9", scene.port);
        talk_quit(&talk);
        talk_open(&talk, "127.0.0.9", scene.port);
        talk_end(&talk); /* in mid-dialog */
        talk_open(&talk, "127.0.0.9", scene.port);
        talk_transaction(&talk);
        talk_tell(&talk, "Subject: x\r\n");
        talk_reset(&talk); /* in content */
        talk_begin(&talk, "127.0.0.9", scene.port);
        talk_reset(&talk); /* before it heard anything */
        WAIT_FOR(all_are_gone(), 10000);
        talk_open(&talk, "127.0.0.9", scene.port);
        cr_assert_eq(client_figure("127.0.0.9", "sessions"), 1);
        cr_assert_eq(client_figure("127.0.0.0/24", "sessions"), 1);
        free(ctl(&scene, NULL, "shutdown sessions server vm1"));
        talk_expect(&talk, "421 4.3.2");
        talk_end(&talk);
        WAIT_FOR(all_are_gone(), 10000);
    }
    /* No backend; and over a limit. */
    free(ctl(&scene, NULL, "set server vm1 state maint"));
    is_refused("127.0.0.9", "421 4.3.2");
    free(ctl(&scene, NULL, "set server vm1 state ready"));
    await_up(&scene, "vm1");
    struct talk held[3];
    for (unsigned i = 0; i < 3; i++)
        greet(&held[i], "127.0.0.9", "220");
    is_refused("127.0.0.9", SESSIONS);
    for (unsigned i = 0; i < 3; i++)
        talk_end(&held[i]);
    WAIT_FOR(all_are_gone(), 10000);
    scene_end(&scene);
}

Test(limits, an_ipv6_network_of_64_bits_is_one_client_also_behind_a_proxy) {
    struct talk talk[4], more;
    begin("proxy-from = 127.0.0.1\nmax-per-client = 2\n", "", "");
    greet_proxied(&talk[0], "2001:db8:5::1", "220");
    greet_proxied(&talk[1], "2001:db8:5::ffff:2", "220");
    greet_proxied(&more, "2001:db8:5:0:1::3", SESSIONS);
    talk_end(&more);
    greet_proxied(&talk[2], "2001:db8:5:1::1", "220");
    greet_proxied(&talk[3], "198.51.100.7", "220");
    cr_assert_eq(client_figure("2001:db8:5::/64", "sessions"), 2);
    cr_assert_eq(client_figure("2001:db8:5:1::/64", "sessions"), 1);
    cr_assert_eq(client_figure("198.51.100.7", "sessions"), 1);
    cr_assert_eq(client_figure("127.0.0.1", "sessions"), -1); /* the proxy is no client */
    for (unsigned i = 0; i < 4; i++)
        talk_end(&talk[i]);
    WAIT_FOR(all_are_gone(), 10000);
    scene_end(&scene);
}

Test(limits, a_vetted_client_has_more_than_others) {
    struct talk held[6];
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    free(shell(NULL, "echo 127.0.0.9 > %s/allow", scene.dir));
    postern_listen(&scene, "max-per-client = 2\n");
    postern_lines(&scene, "[limits]\nlimits-except =\nvetted-factor = 3\n[reputation]\nallow-file = %s/allow\n",
                  scene.dir);
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    for (unsigned i = 0; i < 6; i++)
        greet(&held[i], "127.0.0.9", "220");
    is_refused("127.0.0.9", SESSIONS);
    for (unsigned i = 0; i < 6; i++)
        talk_end(&held[i]);
    for (unsigned i = 0; i < 2; i++)
        greet(&held[i], "127.0.0.10", "220");
    is_refused("127.0.0.10", SESSIONS);
    for (unsigned i = 0; i < 2; i++)
        talk_end(&held[i]);
    scene_end(&scene);
}

Test(limits, connections_in_a_time_are_limited_for_a_client_alone) {
    struct talk talk;
    begin("connect-rate = 3/1d\n", "limits-except =\n", "");
    for (unsigned i = 0; i < 3; i++) {
        talk_open(&talk, "127.0.0.9", scene.port);
        talk_quit(&talk);
    }
    is_refused("127.0.0.9", RATE);
    greet(&talk, "127.0.0.10", "220");
    talk_end(&talk);
    json_t *list = ctl_json(&scene, "show clients rate");
    const json_t *row = json_array_get(list, 0);
    cr_assert_str_eq(json_string_value(json_object_get(row, "client")), "127.0.0.9");
    cr_assert_str_eq(json_string_value(json_object_get(row, "limit")), "listen mx");
    cr_assert(figure(row, "rate") == 3 && figure(row, "max_rate") == 3 && figure(row, "refused") == 1);
    json_decref(list);
    scene_end(&scene);
}

Test(limits, a_whole_network_can_be_limited) {
    struct talk held[3];
    begin("", "limits-except =\nmax-per-network = 2\n", "");
    greet(&held[0], "127.0.3.1", "220");
    greet(&held[1], "127.0.3.2", "220");
    is_refused("127.0.3.3", NETWORK);
    greet(&held[2], "127.0.4.1", "220");
    cr_assert_eq(client_figure("127.0.3.0/24", "sessions"), 2);
    cr_assert_eq(client_figure("127.0.4.0/24", "sessions"), 1);
    for (unsigned i = 0; i < 3; i++)
        talk_end(&held[i]);
    WAIT_FOR(all_are_gone(), 10000);
    scene_end(&scene);
}

Test(limits, a_tier_can_allow_less_than_the_listener) {
    struct talk held[2];
    begin("max-per-client = 9\n", "limits-except =\n", "max-per-client = 2\n");
    for (unsigned i = 0; i < 2; i++)
        greet(&held[i], "127.0.0.9", "220");
    is_refused("127.0.0.9", FEWER);
    json_t *list = ctl_json(&scene, "show clients");
    cr_assert_eq(json_array_size(list), 2); /* the listener's, the tier's */
    cr_assert(figure(json_array_get(list, 0), "sessions") == 2 && figure(json_array_get(list, 1), "sessions") == 2);
    json_decref(list);
    for (unsigned i = 0; i < 2; i++)
        talk_end(&held[i]);
    WAIT_FOR(all_are_gone(), 10000);
    scene_end(&scene);
}

Test(limits, this_host_itself_is_excepted_unless_the_operator_says_otherwise) {
    struct talk held[8];
    begin("max-per-client = 1\nconnect-rate = 1/1d\n", "", "");
    for (unsigned i = 0; i < 8; i++)
        greet(&held[i], "127.0.0.1", "220");
    json_t *list = ctl_json(&scene, "show clients");
    cr_assert_eq(json_array_size(list), 0);
    json_decref(list);
    for (unsigned i = 0; i < 8; i++)
        talk_end(&held[i]);
    scene_end(&scene);
}

Test(limits, show_clients_says_what_is_allowed) {
    int status;
    begin("", "", "");
    char *answer = ctl(&scene, &status, "show clients by-name");
    cr_assert(status != 0 && strstr(answer, "allowed: show clients [sessions|rate|refused]") != NULL, "%s", answer);
    free(answer);
    scene_end(&scene);
}
