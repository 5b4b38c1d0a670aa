/* Several addresses of one /64, each with a name, a listing, or nothing of its own in the DNS. They come by a proxy,
 * since a test machine has one IPv6 address. */
#include "talk.h"
#include "unbound.h"

#include <stdlib.h>
#include <string.h>

#define NETWORK  "2001:db8:5::"
#define NAMED    NETWORK "a" /* its name is in allow-file */
#define NAMELESS NETWORK "b"
#define SECOND   NETWORK "c" /* a name in allow-file, too */
#define CONDUCT  "2001:db8:6::"
#define CLEAN    CONDUCT "a" /* behaves, as all of its network do */
#define LISTED   CONDUCT "b"
#define STRANGER CONDUCT "c" /* nothing is asked of it before it comes */
/* Of 2001:db8:6::b, as a list has it (RFC 5782 §2.4). */
#define LISTED_REVERSED "b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.0.0.0.8.b.d.0.1.0.0.2"

#define NAMED_DATA(address, name)                                                                                      \
    "  local-data: \"" name ". 300 IN AAAA " address "\"\n  local-data-ptr: \"" address " 300 " name "\"\n"

static struct scene scene;

/* What this client is greeted with. */
static char *greeting(const char *client) {
    struct talk talk;
    char header[120];
    snprintf(header, sizeof header, "PROXY TCP6 %s ::1 1234 25\r\n", client);
    talk_begin(&talk, "127.0.0.1", scene.port);
    talk_tell(&talk, header);
    char *said = strdup(talk_hear(&talk, 15000));
    talk_end(&talk);
    return said;
}

static bool is_admitted(const char *client) {
    char *said = greeting(client);
    bool is = strncmp(said, "220", 3) == 0;
    cr_assert(is || strncmp(said, "421 4.3.2", 9) == 0, "%s: %s", client, said);
    free(said);
    return is;
}

static bool shows(const char *client, const char *line) {
    char *text = ctl(&scene, NULL, "show reputation %s", client), wanted[80];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    char *whole;
    cr_assert(asprintf(&whole, "\n%s", text) > 0);
    bool has = strstr(whole, wanted) != NULL;
    free(whole);
    free(text);
    return has;
}

static void begin(struct test_sink *bastion, struct test_unbound *unbound) {
    scene_begin(&scene, false);
    sink_begin(&scene, bastion, "bastion", "");
    unbound_begin(&scene, unbound,
                  NAMED_DATA(NAMED, "mx1.partner.test") NAMED_DATA(SECOND, "mx2.partner.test")
                      NAMED_DATA(CLEAN, "mx.clean.test") NAMED_DATA(LISTED, "mx.listed.test") NAMED_DATA(
                          STRANGER, "mx.stranger.test") "  local-data: \"2.0.0.127.zen.test. 300 IN A 127.0.0.2\"\n"
                                                        "  local-data: \"" LISTED_REVERSED
                                                        ".zen.test. 300 IN A 127.0.0.4\"\n");
    free(shell(NULL, "echo .partner.test > %s/allow", scene.dir));
    postern_listen(&scene, "proxy-from = 127.0.0.1\n");
    postern_lines(&scene,
                  "[reputation]\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:%u\n[dnslist zen]\nzone = "
                  "zen.test\nanswers = 127.0.0.2-7\n",
                  scene.dir, unbound->port);
    postern_tier(&scene, "strict", "admit = vetted\n");
    postern_backend(&scene, "bastion", bastion->port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
    WAIT_FOR(log_has(&scene, "zen.test has passed"), 10000);
}

Test(addresses, a_name_in_allow_file_admits_its_own_address_alone) {
    struct test_sink bastion;
    struct test_unbound unbound;
    begin(&bastion, &unbound);
    cr_assert_not(is_admitted(NAMED), "not looked up yet");
    WAIT_FOR(shows(NAMED, "vetted: yes"), 10000);
    cr_assert(is_admitted(NAMED) && shows(NAMED, "in_allow_file: yes"));
    cr_assert_not(is_admitted(NAMELESS), "of the same /64");
    WAIT_FOR(shows(NAMELESS, "name: none that leads back"), 10000);
    cr_assert(!is_admitted(NAMELESS) && shows(NAMELESS, "in_allow_file: no"));
    cr_assert_not(is_admitted(SECOND), "not looked up yet");
    WAIT_FOR(shows(SECOND, "vetted: yes"), 10000);
    cr_assert(is_admitted(SECOND) && is_admitted(NAMED), "each by its own name");
    scene_end(&scene);
}

Test(addresses, a_listing_keeps_out_its_own_address_and_those_that_were_not_looked_up) {
    struct test_sink bastion;
    struct test_unbound unbound;
    int status;
    begin(&bastion, &unbound);
    free(ctl(&scene, &status,
             "reputation import " CLEAN
             ",$(date -u -d '40 days ago' +%%F),$(date -u -d yesterday +%%F),30,60,0,30,0,,"));
    cr_assert_eq(status, 0);
    is_admitted(CLEAN);
    WAIT_FOR(shows(CLEAN, "vetted: yes"), 10000);
    cr_assert(is_admitted(CLEAN) && is_admitted(STRANGER), "by conduct");
    is_admitted(LISTED);
    WAIT_FOR(shows(LISTED, "vetoed_by: zen"), 10000);
    cr_assert(!is_admitted(LISTED) && is_admitted(CLEAN), "the listing is its neighbour's");
    WAIT_FOR(shows(STRANGER, "vetted: yes"), 10000);
    cr_assert(is_admitted(STRANGER), "by its own look-up");
    cr_assert_not(is_admitted(CONDUCT "ff"), "against a veto only by its own look-up");
    scene_end(&scene);
}
