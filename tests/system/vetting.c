/* What the DNS has to say about who is vetted: a real unbound, real sessions, and an outage at the end. */
#include "unbound.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct site {
    struct scene scene;
    struct test_sink vm, bastion;
    struct test_unbound unbound;
};

/* Forward and backward for one client. */
#define NAMED(octets, name)                                                                                            \
    "  local-data: \"" name ". 300 IN A " octets "\"\n  local-data-ptr: \"" octets " 300 " name "\"\n"
#define LISTED(reversed, answer) "  local-data: \"" reversed ".zen.test. 300 IN A " answer "\"\n"

static const char dns_data[] = LISTED("2.0.0.127", "127.0.0.2") NAMED("127.0.21.1", "mx.good.test") /* behaves */
    NAMED("127.0.21.2", "mx.strange.test") LISTED("2.21.0.127", "127.255.255.254") NAMED("127.0.21.3", "mx.odd.test")
        LISTED("3.21.0.127", "127.0.0.255") NAMED("127.0.22.1", "mx.spammer.test") /* 550 after DATA */
    NAMED("127.0.22.2", "mx.listed.test")
        LISTED("2.22.0.127",
               "127.0.0.4") "  local-data-ptr: \"127.0.22.3 300 mx.liar.test\"\n" /* its name does not lead back */
    NAMED("127.0.22.5", "mx.early.test")
        NAMED("127.0.22.6",
              "mx.late.test") "  local-zone: \"all.test.\" redirect\n  local-data: \"all.test. 300 IN A 127.0.0.2\"\n";

static void begin(struct site *site) {
    struct scene *scene = &site->scene;
    scene_begin(scene, false);
    sink_begin(scene, &site->vm, "vm1", "");
    sink_begin(scene, &site->bastion, "bastion", "");
    unbound_begin(scene, &site->unbound, dns_data);
    postern_begin(scene,
                  "[reputation]\nmin-score = 30\nmin-days = 0\nmin-age = 0\nmax-entries = 1000\n"
                  "[dns]\nservers = 127.0.0.1:%u\ntimeout = 300ms\ntries = 2\n"
                  "[dnslist zen]\nzone = zen.test\nanswers = 127.0.0.2-7 127.0.0.9\n"
                  "[dnslist all]\nzone = all.test\nanswers = 127.0.0.2\n"
                  "[tier primary]\ninter = 200ms\nfastinter = 100ms\nfall = 2\n"
                  "[tier strict]\nadmit = vetted\n"
                  "[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n"
                  "[backend bastion]\ntier = strict\naddress = 127.0.0.1:%u\n",
                  site->unbound.port, site->vm.port, site->bastion.port);
    WAIT_FOR(log_has(scene, "server vm1 health starting -> up") &&
                 log_has(scene, "server bastion health starting -> up") && log_has(scene, "dnslist zen: zen.test has"),
             10000);
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
    static const char *const behave[] = {"127.0.21.1", "127.0.21.2", "127.0.21.3", "127.0.22.2",
                                         "127.0.22.3", "127.0.22.4", "127.0.22.5"};
    for (size_t i = 0; i < sizeof behave / sizeof behave[0]; i++)
        send_from(&site, behave[i], 5, "");
    send_from(&site, "127.0.22.5", 1, "--early 20");
    sink_fault(&site.vm, "dot-550");
    send_from(&site, "127.0.22.1", 3, "");
    WAIT_FOR(shows(&site, "127.0.21.1", "vetted: yes") && shows(&site, "127.0.21.2", "vetted: yes") &&
                 shows(&site, "127.0.21.3", "vetted: yes"),
             10000);
    cr_assert(shows(&site, "127.0.21.1", "name: confirmed") && shows(&site, "127.0.21.1", "domain: good.test"));
    WAIT_FOR(shows(&site, "127.0.22.2", "vetoed_by: zen"), 5000);
    WAIT_FOR(shows(&site, "127.0.22.3", "name: none that leads back"), 5000);
    WAIT_FOR(shows(&site, "127.0.22.4", "has_fcrdns: no"), 5000);
    WAIT_FOR(shows(&site, "127.0.22.1", "mails rejected by the filter: 3"), 5000);
    cr_assert(log_has(&site.scene, "dnslist zen: zen.test answers 127.255.255.254 for 127.0.21.2") ||
              log_has(&site.scene, "dnslist zen: zen.test answers 127.0.0.255 for 127.0.21.3"));
    cr_assert(log_has(&site.scene, "dnslist all: all.test is switched off: it lists 127.0.0.1"));

    take_primaries_down(&site);
    cr_assert(is_served(&site, "127.0.21.1"));
    cr_assert(is_served(&site, "127.0.21.2") && is_served(&site, "127.0.21.3"), "a strange answer is no listing");
    cr_assert_not(is_served(&site, "127.0.22.1"), "a spammer");
    cr_assert_not(is_served(&site, "127.0.22.2"), "listed");
    cr_assert_not(is_served(&site, "127.0.22.3"), "a name that does not lead back");
    cr_assert_not(is_served(&site, "127.0.22.4"), "no name");
    cr_assert_not(is_served(&site, "127.0.22.5"), "talks before the greeting");
    cr_assert_not(is_served(&site, "127.0.24.1"), "a stranger");
    cr_assert_eq(sink_figure(&site.bastion, "mails"), 3);
    WAIT_FOR(shows(&site, "127.0.24.1", "name: none that leads back"), 5000); /* the refused are looked up too */
    scene_end(&site.scene);
}

Test(vetting, with_dns_silent_the_vetted_stay_and_nobody_new_is) {
    struct site site;
    begin(&site);
    send_from(&site, "127.0.21.1", 5, "");
    WAIT_FOR(shows(&site, "127.0.21.1", "vetted: yes"), 10000);
    kill(site.unbound.pid, SIGSTOP);
    send_from(&site, "127.0.22.6", 5, "");
    WAIT_FOR(shows(&site, "127.0.22.6", "has_min_score: yes"), 5000);
    take_primaries_down(&site);
    cr_assert(is_served(&site, "127.0.21.1"));
    cr_assert_not(is_served(&site, "127.0.22.6"), "nothing is known of its name");
    cr_assert(shows(&site, "127.0.22.6", "name: unknown"));
    kill(site.unbound.pid, SIGCONT);
    scene_end(&site.scene);
}
