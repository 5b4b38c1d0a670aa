/* What the DNS has to say about who is vetted: a real unbound, real sessions, and an outage at the end. */
#include "unbound.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct site {
    struct scene scene;
    const char *dns_timeout;
    struct test_sink vm, bastion;
    struct test_unbound unbound;
};

/* Forward and backward for one client. */
#define NAMED(octets, name)                                                                                            \
    "  local-data: \"" name ". 300 IN A " octets "\"\n  local-data-ptr: \"" octets " 300 " name "\"\n"
#define LISTED(zone, reversed, answer) "  local-data: \"" reversed "." zone ". 300 IN A " answer "\"\n"

/* Each in a /24 of its own: nobody has neighbours. */
#define GOOD     "127.0.21.1" /* behaves */
#define REFUSING "127.0.22.1" /* the same; a list answers 127.255.255.254 for it */
#define ODD      "127.0.23.1" /* another answers 127.0.0.255 */
#define SHORT    "127.0.24.1" /* behaves, not for long enough */
#define SPAMMER  "127.0.31.1" /* 550 after DATA */
#define LISTED_  "127.0.32.1"
#define LIAR     "127.0.33.1" /* its name does not lead back */
#define NAMELESS "127.0.34.1"
#define EARLY    "127.0.35.1" /* talks before the greeting */
#define LATE     "127.0.36.1"
#define STRANGER "127.0.37.1"

static const char dns_data[] = LISTED("zen.test", "2.0.0.127", "127.0.0.2")
    LISTED("drop.test", "2.0.0.127", "127.0.0.2") NAMED(GOOD, "mx.good.test") NAMED(REFUSING, "mx.strange.test")
        LISTED("zen.test", "1.22.0.127", "127.255.255.254") NAMED(ODD, "mx.odd.test")
            LISTED("drop.test", "1.23.0.127", "127.0.0.255") NAMED(SHORT, "mx.short.test")
                NAMED(SPAMMER, "mx.spammer.test") NAMED(LISTED_, "mx.listed.test")
                    LISTED("zen.test", "1.32.0.127", "127.0.0.4") NAMED(EARLY, "mx.early.test")
                        NAMED(LATE, "mx.late.test") "  local-data-ptr: \"" LIAR " 300 mx.liar.test\"\n"
                                                    "  local-zone: \"all.test.\" redirect\n"
                                                    "  local-data: \"all.test. 300 IN A 127.0.0.2\"\n";

/* The rules for who is vetted are the defaults. */
static void start(struct site *site) {
    struct scene *scene = &site->scene;
    postern_lines(
        scene,
        "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:%u\ntimeout = "
        "%s\ntries = 2\n[dnslist zen]\nzone = zen.test\nanswers = 127.0.0.2-7 127.0.0.9\n[dnslist drop]\nzone = "
        "drop.test\nanswers = 127.0.0.2\n[dnslist all]\nzone = all.test\nanswers = 127.0.0.2\n",
        scene->dir, site->unbound.port, site->dns_timeout);
    postern_tier(scene, "primary", "inter = 200ms\nfastinter = 100ms\nfall = 2\n");
    postern_backend(scene, "vm1", site->vm.port, "");
    postern_tier(scene, "strict", "admit = vetted\n");
    postern_backend(scene, "bastion", site->bastion.port, "");
    postern_start(scene);
    await_up(scene, "bastion");
}

static void begin_with(struct site *site, const char *dns_timeout) {
    struct scene *scene = &site->scene;
    site->dns_timeout = dns_timeout;
    scene_begin(scene, false);
    sink_begin(scene, &site->vm, "vm1", "--greeting-delay 50"); /* time enough to talk too early */
    sink_begin(scene, &site->bastion, "bastion", "");
    unbound_begin(scene, &site->unbound, dns_data);
    free(shell(NULL, "touch %s/allow", scene->dir));
    start(site);
    await_up(scene, "vm1");
    WAIT_FOR(log_has(scene, "dnslist zen: zen.test has passed") && log_has(scene, "dnslist drop: drop.test has passed"),
             10000);
}

static void begin(struct site *site) {
    begin_with(site, "300ms");
}

/* It has sent mail on 30 days of the last 40: this much good evidence as of yesterday. */
static void remember(struct site *site, const char *client, double good) {
    int status;
    char *said = shell(&status,
                       "build/san/posternctl -s %s/control.sock reputation import %s,$(date -u -d '40 days ago' "
                       "+%%F),$(date -u -d yesterday +%%F),30,%.1f,0,30,0,, 2>&1",
                       site->scene.dir, client, good);
    cr_assert(status == 0, "%s", said);
    free(said);
}

static void send_from(struct site *site, const char *source, unsigned sessions, const char *options) {
    json_decref(load_run(&site->scene, "--concurrency 1 --sessions %u --source %s %s", sessions, source, options));
}

/* One value of `show reputation ADDRESS`, as text. */
static bool shows(struct site *site, const char *address, const char *line) {
    char *text = ctl(&site->scene, NULL, "show reputation %s", address);
    char *found = strstr(text, line);
    size_t length = strlen(line);
    bool shows = found != NULL && (found == text || found[-1] == '\n') && found[length] == '\n';
    free(text);
    return shows;
}

/* What a client hears when the primaries are gone. */
static bool is_served(struct site *site, const char *source) {
    json_t *result = load_run(&site->scene, "--concurrency 1 --sessions 1 --source %s", source);
    bool is = figure(result, "accepted") == 1;
    cr_assert(is || figure(result, "tempfailed") == 1, "%s", json_dumps(result, 0));
    json_decref(result);
    return is;
}

static void take_primaries_down(struct site *site) {
    sink_fault(&site->vm, "refuse");
    WAIT_FOR(log_has(&site->scene, "tier primary is down"), 10000);
}

Test(vetting, good_senders_with_a_name_are_served_in_an_outage_and_all_others_hear_4xx) {
    struct site site;
    begin(&site);
    static const char *const behave[] = {GOOD, REFUSING, ODD, SPAMMER, LISTED_, LIAR, NAMELESS, EARLY};
    /* 28 good units make a score of 90: 27 of yesterday do not, two more of today do. */
    for (size_t i = 0; i < sizeof behave / sizeof behave[0]; i++)
        remember(&site, behave[i], 27);
    remember(&site, SHORT, 25);
    cr_assert(shows(&site, GOOD, "vetted: no") && shows(&site, GOOD, "has_min_score: no"));
    for (size_t i = 0; i < sizeof behave / sizeof behave[0]; i++)
        send_from(&site, behave[i], 5, "");
    send_from(&site, SHORT, 5, "");
    WAIT_FOR(shows(&site, GOOD, "vetted: yes") && shows(&site, REFUSING, "vetted: yes") &&
                 shows(&site, ODD, "vetted: yes") && shows(&site, SPAMMER, "vetted: yes") &&
                 shows(&site, EARLY, "vetted: yes"),
             10000);
    cr_assert(shows(&site, GOOD, "name: confirmed") && shows(&site, GOOD, "domain: good.test"));
    WAIT_FOR(shows(&site, LISTED_, "vetoed_by: zen") && shows(&site, LISTED_, "has_min_score: yes"), 5000);
    WAIT_FOR(shows(&site, LIAR, "name: none that leads back") && shows(&site, LIAR, "has_min_score: yes"), 5000);
    WAIT_FOR(shows(&site, NAMELESS, "has_fcrdns: no") && shows(&site, NAMELESS, "has_min_score: yes"), 5000);
    WAIT_FOR(shows(&site, SHORT, "name: confirmed") && shows(&site, SHORT, "has_min_score: no"), 5000);
    WAIT_FOR(log_has(&site.scene, "dnslist zen: zen.test answers 127.255.255.254 for " REFUSING), 5000);
    WAIT_FOR(log_has(&site.scene, "dnslist drop: drop.test answers 127.0.0.255 for " ODD), 5000);
    WAIT_FOR(log_has(&site.scene, "dnslist all: all.test is switched off: it lists 127.0.0.1"), 5000);

    send_from(&site, EARLY, 1, "--early 20");
    sink_fault(&site.vm, "dot-550");
    send_from(&site, SPAMMER, 3, "");
    WAIT_FOR(shows(&site, SPAMMER, "mails rejected by the filter: 3") && shows(&site, SPAMMER, "vetted: no"), 5000);
    WAIT_FOR(shows(&site, EARLY, "has_clean_month: no") && shows(&site, EARLY, "vetted: no"), 5000);

    take_primaries_down(&site);
    cr_assert(is_served(&site, GOOD));
    cr_assert(is_served(&site, REFUSING) && is_served(&site, ODD), "a strange answer is no listing");
    cr_assert_not(is_served(&site, SHORT), "a good sender, a mail too early");
    cr_assert_not(is_served(&site, SPAMMER), "a spammer");
    cr_assert_not(is_served(&site, LISTED_), "listed");
    cr_assert_not(is_served(&site, LIAR), "a name that does not lead back");
    cr_assert_not(is_served(&site, NAMELESS), "no name");
    cr_assert_not(is_served(&site, EARLY), "talks before the greeting");
    cr_assert_not(is_served(&site, STRANGER), "a stranger");
    cr_assert_eq(sink_figure(&site.bastion, "mails"), 3);
    WAIT_FOR(shows(&site, STRANGER, "name: none that leads back"), 5000); /* the refused are looked up too */
    scene_end(&site.scene);
}

Test(vetting, with_dns_silent_mail_flows_the_vetted_stay_even_over_a_restart_and_nobody_new_is) {
    struct site site;
    begin_with(&site, "1m");
    remember(&site, GOOD, 27);
    send_from(&site, GOOD, 5, "");
    WAIT_FOR(shows(&site, GOOD, "vetted: yes"), 10000);
    kill(site.unbound.pid, SIGSTOP);
    remember(&site, LATE, 27);
    send_from(&site, LATE, 5, "");
    WAIT_FOR(shows(&site, LATE, "has_min_score: yes"), 5000);
    /* Who waited for the DNS would be given up by its client first. */
    json_t *result = load_run(&site.scene, "--concurrency 1 --sessions 20 --source 127.0.40.0/24 --patience 20");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    take_primaries_down(&site);
    cr_assert(is_served(&site, GOOD));
    cr_assert_not(is_served(&site, LATE), "nothing is known of its name");
    cr_assert(shows(&site, LATE, "name: unknown"));

    kill_child(&site.scene, site.scene.postern, SIGTERM);
    start(&site);
    WAIT_FOR(log_has(&site.scene, "clients are known"), 5000);
    cr_assert(is_served(&site, GOOD), "what the DNS said is kept");
    cr_assert_not(is_served(&site, LATE));
    kill(site.unbound.pid, SIGCONT);
    scene_end(&site.scene);
}

static json_int_t lookups(struct site *site, const char *key) {
    json_t *table = ctl_json(&site->scene, "show reputation");
    json_int_t value = figure(table, key);
    json_decref(table);
    return value;
}

Test(vetting, a_flood_of_strangers_with_dns_silent_keeps_a_bounded_number_of_lookups) {
    struct site site;
    begin(&site);
    remember(&site, GOOD, 27);
    send_from(&site, GOOD, 5, "");
    WAIT_FOR(shows(&site, GOOD, "vetted: yes"), 10000);
    take_primaries_down(&site);
    kill(site.unbound.pid, SIGSTOP);
    pid_t flood = load_begin(&site.scene, "flood.json", "--concurrency 50 --sessions 6000 --source 127.0.64.0/18");
    WAIT_FOR(lookups(&site, "lookups_dropped") > 0, 30000);
    cr_assert(lookups(&site, "lookups_running") <= 40 && lookups(&site, "lookups_waiting") <= 4096);
    cr_assert(is_served(&site, GOOD));
    json_t *result = load_end(&site.scene, flood, "flood.json");
    cr_assert_eq(figure(result, "tempfailed"), 6000, "%s", json_dumps(result, 0));
    json_decref(result);
    kill(site.unbound.pid, SIGCONT);
    json_int_t done = lookups(&site, "lookups_done");
    WAIT_FOR(lookups(&site, "lookups_done") > done + 200, 10000); /* it goes on by itself */
    scene_end(&site.scene);
}

Test(vetting, a_domain_counts_from_the_reload_that_brings_it_to_the_one_that_takes_it_away) {
    struct site site;
    begin(&site);
    send_from(&site, GOOD, 1, "");
    WAIT_FOR(shows(&site, GOOD, "name: confirmed") && shows(&site, GOOD, "vetted: no"), 10000);
    free(shell(NULL, "echo .good.test > %s/allow", site.scene.dir));
    free(ctl(&site.scene, NULL, "reload"));
    WAIT_FOR(shows(&site, GOOD, "vetted: yes") && shows(&site, GOOD, "in_allow_file: yes"), 5000);
    free(shell(NULL, "echo .other.test > %s/allow", site.scene.dir));
    free(ctl(&site.scene, NULL, "reload"));
    WAIT_FOR(shows(&site, GOOD, "vetted: no") && shows(&site, GOOD, "in_allow_file: no"), 5000);
    scene_end(&site.scene);
}
