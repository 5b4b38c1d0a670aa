/* Backends that limit what each client may do, in words or without, and clients over their limit, alone or by the
 * hundred: the sessions go on elsewhere, and the backend stays in. One that fails everybody goes all the same. */
#include "exim.h"
#include "postfix.h"
#include "scripted.h"

#include <stdlib.h>
#include <string.h>

struct site {
    struct scene scene;
    struct scripted limited; /* vm1 */
    struct test_sink sinks[2];
};

/* The first host knows its clients by PROXY version 1, the others take everything. */
static void begin(struct site *site, const char *tier) {
    struct scene *scene = &site->scene;
    scene_begin(scene, false);
    scripted_begin(&site->limited);
    site->limited.takes_proxy = true;
    scripted_answer(&site->limited, "EHLO", "250-vm1\r\n250-PIPELINING\r\n250 8BITMIME\r\n"); /* as the others do */
    sink_begin(scene, &site->sinks[0], "vm2", "--proxy v1");
    sink_begin(scene, &site->sinks[1], "vm3", "--proxy v1");
    postern_tier(scene, "primary", "balance = roundrobin\nproxy = v1\n");
    postern_lines(scene, "%s", tier);
    postern_backend(scene, "vm1", site->limited.port, "");
    postern_sinks(scene, site->sinks, 2);
    postern_start(scene);
}

static void begin_checked(struct site *site) {
    begin(site, "inter = 500ms\n");
    WAIT_FOR(log_has(&site->scene, "vm1 health starting -> up") && log_has(&site->scene, "vm2 health starting -> up") &&
                 log_has(&site->scene, "vm3 health starting -> up"),
             5000);
}

static void end(struct site *site) {
    WAIT_FOR(info_figure(&site->scene, "sessions") == 0, 15000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") == 0, 5000);
    scripted_end(&site->limited);
    scene_end(&site->scene);
}

static bool is_out(struct site *site, const char *name) {
    static const char *const ways[] = {"up -> ejected", "going-down -> ejected", "up -> down", "going-down -> down"};
    bool is = false;
    for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char text[80];
        snprintf(text, sizeof text, "server %s health %s", name, ways[i]);
        is |= log_has_by_now(&site->scene, text);
    }
    return is;
}

static bool server_is_up(struct site *site, const char *name) {
    char *health = row_value(&site->scene, "servers", name, "health");
    bool is = strcmp(health, "up") == 0;
    free(health);
    return is;
}

static void assert_all_stay(struct site *site, const char *what) {
    cr_assert_not(is_out(site, "vm1") || is_out(site, "vm2") || is_out(site, "vm3"), "%s", what);
}

/* `clients` of a network of their own, each with eight sessions at once that last a while, in waves. */
static pid_t begin_burst(struct site *site, unsigned network, unsigned clients) {
    char name[24];
    unsigned bits = clients <= 6 ? 29 : clients <= 14 ? 28 : 24;
    unsigned hosts = (1u << (32 - bits)) - 2, waves = hosts <= 14 ? 6 : 2;
    snprintf(name, sizeof name, "burst%u.json", network);
    return load_begin(&site->scene, name, "--concurrency %u --sessions %u --think 0.05 --source 127.1.%u.0/%u",
                      8 * hosts, 8 * waves * hosts, network, bits);
}

static void end_burst(struct site *site, pid_t load, unsigned network) {
    char name[24];
    snprintf(name, sizeof name, "burst%u.json", network);
    json_t *result = load_end(&site->scene, load, name);
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
}

struct kind {
    const char *name;
    struct scripted_limit limit;
};

/* Haraka's, Exim's, sendmail's and Exchange's words; those of none in particular; and firewalls. */
static const struct kind kinds[] = {
    {"Haraka", {{"GREETING", "421 Too many connections\r\n", HANGS_UP, 0}, 1, 0}},
    {"Exim",
     {{"GREETING", "421 Too many concurrent SMTP connections from this IP address; please try again later\r\n",
       HANGS_UP, 0},
      1,
      0}},
    {"sendmail", {{"GREETING", "421 4.3.2 Connection rate limit exceeded.\r\n", HANGS_UP, 0}, 0, 2}},
    {"Exchange", {{"EHLO", "421 4.3.2 Service not available\r\n", HANGS_UP, 0}, 1, 0}},
    {"450 as greeting", {{"GREETING", "450 try later\r\n", HANGS_UP, 0}, 0, 1}},
    {"554 as greeting", {{"GREETING", "554 SMTP service not available\r\n", HANGS_UP, 0}, 0, 1}},
    {"421 at MAIL", {{"MAIL", "421 Too many messages from your host\r\n", HANGS_UP, 0}, 0, 2}},
    {"421 at RCPT", {{"RCPT", "421 4.5.3 Too many recipients\r\n", HANGS_UP, 0}, 1, 0}},
    {"a close behind the connection", {{"GREETING", "", HANGS_UP, 0}, 0, 1}},
    {"a reset behind the connection", {{"GREETING", "", RESETS, 0}, 1, 0}},
    {"a reset at MAIL", {{"MAIL", "", RESETS, 0}, 0, 1}},
};

/* Without any other mail, so that nothing but the probe tells a limit from a backend that is sick. */
static void expect_to_stay(struct site *site) {
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        unsigned limited = atomic_load(&site->limited.limited);
        site->limited.limit = kinds[i].limit;
        pid_t burst = begin_burst(site, i, 14);
        end_burst(site, burst, i);
        WAIT_FOR(info_figure(&site->scene, "sessions") == 0, 5000);
        cr_assert_geq(atomic_load(&site->limited.limited), limited + 10, "%s: few were over the limit", kinds[i].name);
        assert_all_stay(site, kinds[i].name);
    }
    WAIT_FOR(log_has(&site->scene, "where others served, but postern's own probe passes there: it stays"), 5000);
    cr_assert_gt(server_figure(&site->scene, "vm1", "failures"), 100);
}

Test(client_limits, nobody_over_a_limit_takes_the_backend_out_whatever_it_says, .timeout = 120) {
    struct site site;
    begin_checked(&site);
    expect_to_stay(&site);
    end(&site);
}

/* The trial is the only probe that there is. */
Test(client_limits, nor_where_the_tier_has_no_checks, .timeout = 120) {
    struct site site;
    begin(&site, "check = none\n");
    expect_to_stay(&site);
    end(&site);
}

/* Good mail, `rate` a second, beside bursts of 6, 14 and 254 clients, at the greeting and at MAIL. */
static void expect_to_stay_beside(unsigned rate) {
    static const unsigned bursts[] = {6, 14, 254};
    static const struct scripted_limit limits[] = {
        {{"GREETING", "421 Too many connections\r\n", HANGS_UP, 0}, 1, 0},
        {{"MAIL", "421 Too many messages from your host\r\n", HANGS_UP, 0}, 0, 2},
    };
    struct site site;
    begin_checked(&site);
    for (unsigned i = 0; i < 6; i++) {
        site.limited.limit = limits[i % 2];
        pid_t load =
            load_begin(&site.scene, "good.json", "--rate %u --sessions %u --source 127.2.%u.0/24", rate, 3 * rate, i);
        pid_t burst = begin_burst(&site, i, bursts[i / 2]);
        end_burst(&site, burst, i);
        json_t *good = load_end(&site.scene, load, "good.json");
        ASSERT_ALL_ACCEPTED(good);
        json_decref(good);
        assert_all_stay(&site, "beside good mail");
    }
    cr_assert_gt(atomic_load(&site.limited.limited), 100);
    end(&site);
}

Test(client_limits, bursts_of_clients_over_their_limit_leave_it_in_beside_much_good_mail, .timeout = 120) {
    expect_to_stay_beside(20);
}

Test(client_limits, and_beside_little, .timeout = 120) {
    expect_to_stay_beside(1);
}

/* --- backends that fail everybody --- */

/* Good sessions that were carried over from it until it was out: they ended by then, or lost it. */
static unsigned met_before_out(struct site *site, const char *name) {
    char *count = shell(NULL,
                        "sed -E '/server %s health .* -> (ejected|down)/q' %s/postern.log | "
                        "grep -acE -- 'client=127.2.* (tries=[2-9]|.* replays=[1-9])'",
                        name, site->scene.dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}

static void expect_out_soon(bool is_checked, struct scripted_rule rule) {
    struct site site;
    if (is_checked)
        begin_checked(&site);
    else
        begin(&site, "check = none\n");
    scripted_rule(&site.limited, rule);
    json_t *good = load_run(&site.scene, "--rate 20 --sessions 60 --source 127.2.0.0/24");
    ASSERT_ALL_ACCEPTED(good);
    json_decref(good);
    cr_assert(is_out(&site, "vm1"), "%s \"%s\"", rule.line, rule.reply);
    unsigned met = met_before_out(&site, "vm1");
    cr_assert_leq(met, 10, "%s \"%s\": %u good sessions had met it", rule.line, rule.reply, met);
    cr_assert_not(is_out(&site, "vm2") || is_out(&site, "vm3"));
    /* The trial, which leaves before content. */
    bool is_behind_mail = strcmp(rule.line, "RCPT") == 0 || strcmp(rule.line, "DATA") == 0;
    cr_assert_eq(scripted_heard(&site.limited, "RCPT TO:<postmaster>") > 0, is_behind_mail, "%s", rule.line);
    end(&site);
}

/* By words or without any. */
static const struct scripted_rule failures[] = {
    {"GREETING", "421 4.3.2 going down\r\n", HANGS_UP, 0},
    {"GREETING", "", RESETS, 0},
    {"EHLO", "421 4.3.2 going down\r\n", HANGS_UP, 0},
    {"MAIL", "421 4.3.0 disk on fire\r\n", HANGS_UP, 0},
    {"RCPT", "", HANGS_UP, 0},
    {"DATA", "421 4.3.0 disk on fire\r\n", HANGS_UP, 0},
};

Test(client_limits, a_backend_that_fails_everybody_is_out_soon_whatever_its_probes_go_through, .timeout = 120) {
    for (unsigned i = 0; i < sizeof failures / sizeof failures[0]; i++)
        expect_out_soon(true, failures[i]);
}

Test(client_limits, and_without_checks, .timeout = 120) {
    for (unsigned i = 0; i < sizeof failures / sizeof failures[0]; i++)
        expect_out_soon(false, failures[i]);
}

/* The one that fails everybody is out within ten good sessions, the one that limits its clients stays, both at once. */
Test(client_limits, a_backend_that_fails_everybody_is_told_from_one_that_limits_its_clients, .timeout = 120) {
    struct site site;
    begin_checked(&site);
    site.limited.limit = (struct scripted_limit){{"MAIL", "421 Too many messages\r\n", HANGS_UP, 0}, 0, 2};
    sink_fault(&site.sinks[0], "mail-421");
    pid_t load = load_begin(&site.scene, "good.json", "--rate 20 --sessions 100 --source 127.2.0.0/24");
    pid_t burst = begin_burst(&site, 1, 14);
    end_burst(&site, burst, 1);
    json_t *good = load_end(&site.scene, load, "good.json");
    ASSERT_ALL_ACCEPTED(good);
    json_decref(good);
    cr_assert(is_out(&site, "vm2"));
    cr_assert_not(is_out(&site, "vm1") || is_out(&site, "vm3"));
    unsigned met = met_before_out(&site, "vm2");
    cr_assert_leq(met, 10, "%u good sessions had met it", met);
    end(&site);
}

/* --- real ones --- */

/* Beside vm1, the real one, whose sessions see the client's address by PROXY version 2 or postern's without. */
static void begin_beside(struct site *site, unsigned port, const char *proxy) {
    struct scene *scene = &site->scene;
    char option[20] = "";
    if (proxy[0] != '\0')
        snprintf(option, sizeof option, "--proxy %s", proxy);
    sink_begin(scene, &site->sinks[0], "vm2", option);
    sink_begin(scene, &site->sinks[1], "vm3", option);
    postern_tier(scene, "primary", "balance = roundrobin\ninter = 500ms\n");
    if (proxy[0] != '\0')
        postern_lines(scene, "proxy = %s\n", proxy);
    postern_backend(scene, "vm1", port, "");
    postern_sinks(scene, site->sinks, 2);
    postern_start(scene);
    WAIT_FOR(log_has(scene, "vm1 health starting -> up"), 5000);
}

/* Its x.7.x is about the client, who hears it, and 450 is an answer. */
Test(client_limits, a_real_postfix_that_limits_connections_and_mails_is_held_to_nothing, .timeout = 120) {
    struct test_postfix host;
    struct site site;
    scene_begin(&site.scene, false);
    postfix_begin(&site.scene, &host, "vm1", true,
                  "smtpd_client_event_limit_exceptions =\nsmtpd_client_connection_count_limit = 2\n"
                  "smtpd_client_message_rate_limit = 20\nsmtpd_peername_lookup = no\n");
    begin_beside(&site, host.port, "v2");
    pid_t load = load_begin(&site.scene, "good.json", "--rate 20 --sessions 60 --source 127.2.0.0/24");
    pid_t burst = begin_burst(&site, 1, 14);
    json_t *result = load_end(&site.scene, burst, "burst1.json"), *good = load_end(&site.scene, load, "good.json");
    cr_assert(figure(result, "tempfailed") > 0 && figure(result, "dropped") == 0, "%s", json_dumps(result, 0));
    ASSERT_ALL_ACCEPTED(good);
    json_decref(result);
    json_decref(good);
    assert_all_stay(&site, "Postfix");
    cr_assert_eq(server_figure(&site.scene, "vm1", "failures"), 0);
    cr_assert_not(log_has_by_now(&site.scene, "with proxy = none"));
    WAIT_FOR(postfix_log_has(&host, "Connection concurrency limit exceeded"), 5000);
    WAIT_FOR(info_figure(&site.scene, "sessions") == 0, 5000);
    postfix_end(&host);
    scene_end(&site.scene);
}

/* It knows postern's address alone, so that its limit for each host is one for all: when it is full the probe meets
 * that as well, and it is up again when it is not. */
Test(client_limits, a_real_exim_that_is_full_costs_no_session_and_comes_back, .timeout = 120) {
    static const unsigned bursts[] = {6, 14, 254};
    struct site site;
    scene_begin(&site.scene, false);
    exim_begin(&site.scene);
    begin_beside(&site, exim_start_host(&site.scene, "smtp_accept_max = 100\nsmtp_accept_max_per_host = 4\n"), "");
    for (unsigned i = 0; i < 3; i++) {
        pid_t burst = begin_burst(&site, i, bursts[i]);
        end_burst(&site, burst, i);
        WAIT_FOR(info_figure(&site.scene, "sessions") == 0, 5000);
        WAIT_FOR(server_is_up(&site, "vm1"), 20000);
    }
    WAIT_FOR(log_has(&site.scene, "421 Too many concurrent SMTP connections from this IP address"), 5000);
    cr_assert_not(log_has_by_now(&site.scene, "-> ejected"));
    scene_end(&site.scene);
}
