/* postern.ini as operators write it, right and wrong. */
#include "ini.h"

#include "conf/added_backend.h"
#include "conf/finish.h"
#include "conf/limits.h"
#include "conf/load.h"
#include "conf/print.h"
#include "conf/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned lines_of(const char *text) {
    unsigned lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

Test(config, a_minimal_file_has_every_documented_default) {
    struct config *config = parse_text(MINIMAL);
    cr_assert_not_null(config, "%s", messages);
    cr_assert_gt(strlen(config->global.hostname), 0);
    cr_assert_eq(config->global.workers, 0);
    cr_assert_str_eq(config->global.user, "postern");
    cr_assert_eq(config->global.drain_time_ms, 600000);
    cr_assert_eq(config->global.stop_timeout_ms, 90000);
    cr_assert_eq(config->listens[0].per_client_max, 50);
    cr_assert_eq(config->listens[0].proxy_timeout_ms, 3000);
    cr_assert_eq(config->timeouts.connect_ms, 3000);
    cr_assert_eq(config->timeouts.greeting_ms, 10000);
    cr_assert_eq(config->timeouts.hedge_after_ms, 1000);
    cr_assert_eq(config->timeouts.client_ms, 300000);
    cr_assert_eq(config->timeouts.reply_ms, 60000);
    cr_assert_eq(config->timeouts.server_ms, 540000);
    const struct config_tier *tier = &config->tiers[0];
    cr_assert(tier->balance == BALANCE_LEASTCONN && tier->admit == ADMIT_ALL && !tier->gate && tier->up_min == 1);
    cr_assert(tier->failback_delay_ms == 10000 && tier->queue_max == 1000 && tier->queue_timeout_ms == 30000);
    cr_assert(tier->check == CHECK_EHLO && tier->check_timeout_ms == 8000 && tier->inter_ms == 2000);
    cr_assert(tier->fastinter_ms == 500 && tier->downinter_ms == 2000 && tier->rise == 2 && tier->fall == 3);
    cr_assert(tier->outlier == 5 && tier->slowstart_ms == 0 && tier->proxy == PROXY_NONE);
    cr_assert_str_eq(tier->check_from, "<>");
    const struct config_backend *backend = &config->backends[0];
    cr_assert(backend->weight == 100 && backend->state == BACKEND_READY && backend->port == 25 && backend->tier == 0);
    cr_assert(config->reputation.enabled && config->reputation.score_min == 90 && config->reputation.days_min == 3);
    cr_assert_eq(config->gate.message_bytes_max, 15728640);
    cr_assert_eq(config->control.mode, 0660);
    cr_assert_str_eq(config->control.socket, "/run/postern/control.sock");
    cr_assert_eq(config->status.listen.count, 0);
    config_free(config);
}

Test(config, every_kind_of_value_is_read) {
    struct config *config = parse_text(
        "[global]\nworkers = 3\nmax-sessions=9000\nuser =\nlog-level = debug\n"
        "[listen mx]\naddress = 127.0.0.1:2525, [::1]:2525\nproxy-from = 192.0.2.0/24 "
        "2001:db8::/32\nconnect-rate = 30/1m\n"
        "[tier a]\nbalance = source\nsource = 192.0.2.1 192.0.2.2\ncheck-require = STARTTLS PIPELINING\n"
        "admit = vetted\nproxy = v2\nmax-sessions = 7\nmin-up = 0\n"
        "[backend b]\ntier = a\naddress = 192.0.2.9\n[backend c]\ntier = a\naddress = 192.0.2.10:26\nproxy = v1\n"
        "max-sessions = 0\nsource = 192.0.2.3\nweight = 256\nstate = drain\n"
        "[gate]\nmax-size = 15M\npipelining = off\n[control]\nmode = 0600\n[status]\nlisten = 127.0.0.1:8025\n");
    cr_assert_not_null(config, "%s", messages);
    cr_assert(config->global.workers == 3 && config->global.sessions_max == 9000);
    cr_assert_str_eq(config->global.user, "");
    cr_assert_eq(config->listens[0].addresses.count, 2);
    cr_assert_eq(config->listens[0].proxy_from.count, 2);
    cr_assert(config->listens[0].connect_rate.events == 30 && config->listens[0].connect_rate.period_ms == 60000);
    cr_assert_eq(config->tiers[0].check_require.count, 2);
    cr_assert_str_eq(config->tiers[0].check_require.items[1], "PIPELINING");
    const struct config_backend *heir = &config->backends[0], *own = &config->backends[1];
    cr_assert(heir->proxy == PROXY_V2 && heir->sessions_max == 7 && heir->source.count == 2 && heir->port == 25);
    cr_assert(own->proxy == PROXY_V1 && own->sessions_max == 0 && own->source.count == 1 && own->port == 26);
    cr_assert(own->weight == 256 && own->state == BACKEND_DRAIN);
    cr_assert(config->gate.message_bytes_max == 15728640 && !config->gate.pipelining);
    cr_assert_eq(config->control.mode, 0600);
    config_free(config);
}

Test(config, sections_stand_in_any_order) {
    assert_good_text(BACKEND TIER LISTEN);
}

/* What DESIGN §11 lists of inih: each would be taken in silence. */

Test(config, a_line_over_200_octets_is_not_split_into_two_options) {
    char text[1000] = MINIMAL "[reputation]\nallow-file = /";
    memset(text + strlen(text), 'x', 400);
    text[strlen(text)] = '\n';
    struct config *config = parse_text(text);
    cr_assert_not_null(config, "%s", messages);
    cr_assert_eq(strlen(config->reputation.allow_file), 401);
    config_free(config);
}

Test(config, a_line_beyond_the_bound_is_an_error_with_its_number) {
    size_t length = strlen(MINIMAL) + CONFIG_LINE_MAX + 100;
    char *text = calloc(1, length + 1);
    snprintf(text, length, MINIMAL "[reputation]\nallow-file = ");
    memset(text + strlen(text), 'y', CONFIG_LINE_MAX);
    cr_assert_null(parse_text(text));
    cr_assert_not_null(strstr(messages, "t.ini:8: line of "), "%s", messages);
    free(text);
}

Test(config, a_long_section_name_is_not_cut_into_another) {
    char name[64 + 1];
    char text[500];
    memset(name, 'n', 64);
    name[64] = '\0';
    snprintf(text, sizeof text, LISTEN "[tier %.60s]\n[backend b]\ntier=%.60s\naddress=192.0.2.1\n", name, name);
    assert_good_text(text);
    snprintf(text, sizeof text, LISTEN TIER BACKEND "[backend %s]\n", name);
    assert_wrong_text(text, "needs a name of 1 to 63");
}

Test(config, an_empty_section_is_seen) {
    assert_wrong_text(LISTEN TIER "[backend vm1]\n", "t.ini:4: [backend vm1] tier: is missing");
    assert_wrong_text("[listen mx]\n" TIER BACKEND, "[listen mx] address: is missing");
    assert_wrong_text(MINIMAL "[tier spare]\n", "[tier spare]: has no backend");
}

Test(config, after_a_bad_header_options_do_not_fall_into_the_section_before) {
    assert_wrong_text(MINIMAL "[backend vm2\nweight = 3\n", "t.ini:7: \"[backend vm2\": not a section header");
    cr_assert_eq(lines_of(messages), 1, "%s", messages);
    assert_wrong_text(MINIMAL "[bakend vm2]\nweight = 3\n", "[bakend]: unknown section; allowed: global");
    assert_wrong_text(MINIMAL "[gate] x\nmax-size = 1\n", "not a section header");
    assert_good_text(MINIMAL "[gate] ; a comment\nmax-size = 1\n");
}

Test(config, a_nul_octet_is_an_error_and_not_the_end) {
    static const char text[] = MINIMAL "[gate]\nmax-\0size = x\n";
    cr_assert_null(parse_octets(text, sizeof text - 1));
    cr_assert_not_null(strstr(messages, "t.ini:8: a NUL octet"), "%s", messages);
}

Test(config, a_directory_or_a_missing_or_huge_file_is_said) {
    struct config *config = NULL;
    size_t length;
    char *said = NULL;
    FILE *errors = open_memstream(&said, &length);
    cr_assert_eq(config_load("/tmp", errors, &config), -EISDIR);
    cr_assert_eq(config_load("/nonexistent.ini", errors, &config), -ENOENT);
    cr_assert_eq(config_load("/dev/zero", errors, &config), -EFBIG);
    fclose(errors);
    cr_assert_null(config);
    cr_assert_not_null(strstr(said, "/tmp: cannot be read: Is a directory"), "%s", said);
    cr_assert_eq(lines_of(said), 3, "%s", said);
    free(said);
}

Test(config, an_indented_line_is_an_option_of_its_own_and_no_continuation) {
    assert_wrong_text(MINIMAL "[gate]\nmax-size = 1\n  more = 2\n", "t.ini:9: [gate] more: unknown option");
}

Test(config, a_byte_order_mark_and_dos_line_ends_are_no_trouble) {
    assert_good_text("\xef\xbb\xbf[listen mx]\r\naddress = 127.0.0.1:2525\r\n[tier primary]\r\n[backend vm1]\r\n"
                     "tier = primary\r\naddress = 192.0.2.11:25\r\n");
}

Test(config, comments_stand_on_their_own_line_or_behind_a_blank) {
    struct config *config = parse_text(MINIMAL "; one\n# two\n[reputation] \nallow-file = /a;b ; three\n");
    cr_assert_not_null(config, "%s", messages);
    cr_assert_str_eq(config->reputation.allow_file, "/a;b");
    config_free(config);
}

/* Mistakes. */

Test(config, all_mistakes_are_said_at_once_each_with_its_place) {
    assert_wrong_text("stray = 1\n[global]\nworkers = -1\nwrokers = 2\n" LISTEN
                      "[tier primary]\nbalance = best\ncheck = mail\ninter = 5\n[backend vm1]\ntier = primry\n",
                      "t.ini:1: \"stray = 1\": stands before the first [section]\n");
    cr_assert_not_null(
        strstr(messages, "t.ini:3: [global] workers: \"-1\" is wrong; allowed: auto, or a number from 1"), "%s",
        messages);
    cr_assert_not_null(strstr(messages, "t.ini:4: [global] wrokers: unknown option; did you mean workers? allowed: "));
    cr_assert_not_null(strstr(messages, "t.ini:8: [tier primary] balance: \"best\" is wrong; allowed: roundrobin | "));
    cr_assert_not_null(
        strstr(messages, "t.ini:10: [tier primary] inter: \"5\" is wrong; allowed: a duration with its unit"));
    cr_assert_not_null(strstr(messages, "[tier primary] check: mail needs check-rcpt"));
    cr_assert_not_null(strstr(messages, "[backend vm1] address: is missing"));
    cr_assert_not_null(strstr(messages, "[backend vm1] tier: there is no [tier primry]"));
}

Test(config, what_is_given_twice_is_an_error) {
    assert_wrong_text(MINIMAL "[gate]\nmax-size = 1\nmax-size = 2\n", "t.ini:9: [gate] max-size: given twice");
    assert_wrong_text(MINIMAL "[gate]\n[gate]\n", "t.ini:8: [gate]: given twice");
    assert_wrong_text(MINIMAL BACKEND, "t.ini:7: [backend vm1]: given twice");
    assert_wrong_text(MINIMAL "[gate x]\n", "has no name; allowed: [gate]");
    assert_wrong_text(MINIMAL "[tier]\n", "needs a name");
    assert_wrong_text(MINIMAL "[tier a/b]\n", "needs a name");
}

Test(config, a_line_without_an_equals_sign_is_an_error) {
    assert_wrong_text(MINIMAL "[gate]\nmax-size\n", "t.ini:8: \"max-size\": not an option; allowed: name = value");
    assert_wrong_text(MINIMAL "[gate]\n = 5\n", "t.ini:8: \"= 5\": not an option; allowed: name = value");
}

Test(config, values_out_of_bounds_are_errors) {
    static const char *const wrong[] = {
        "[backend b]\nweight = 257",
        "[backend b]\nweight = 1.5",
        "[backend b]\nweight =x",
        "[tier a]\nrise = 0",
        "[tier a]\nfall = 65",
        "[tier a]\ninter = 1ms",
        "[tier a]\ninter = 99999999999999999999s",
        "[tier a]\ncheck-timeout = 2 s",
        "[tier a]\ngate = maybe",
        "[gate]\nmax-size = 15X",
        "[gate]\nmax-size = 2048G",
        "[control]\nmode = 888",
        "[control]\nmode = 07777",
        "[listen l]\nconnect-rate = 30",
        "[listen l]\nconnect-rate = 30/0s",
        "[listen l]\nconnect-rate = 30/25h",
        "[listen l]\nconnect-rate = 1000001/1d",
        "[tier a]\nmax-per-client = 65535",
        "[limits]\nvetted-factor = 0",
        "[limits]\nlimits-except = 127.0.0.1/8",
        "[listen l]\naddress = nowhere",
        "[listen l]\nproxy-from = 192.0.2.1/24",
        "[tier a]\nsource = 192.0.2.1:25",
        "[global]\nmax-sessions = 0",
        "[global]\nmax-sessions = 1000001",
        "[status]\nlisten = 127.0.0.1:1 127.0.0.1:2",
        "[gate]\nrecipient-delimiter = +-=_~^%&$",
        "[global]\nworkers = 65",
    };
    char text[300];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, MINIMAL "%s\n", wrong[i]);
        assert_wrong_text(text, "is wrong; allowed: ");
    }
    assert_good_text(MINIMAL "[timeouts]\nhedge-after = 0\n");
}

Test(config, a_backends_address_may_be_a_name_but_no_mistyped_number) {
    struct config *config = parse_text(LISTEN TIER "[backend b]\ntier = primary\naddress = vm1.example.net:2525\n"
                                                   "[backend c]\ntier = primary\naddress = vm2\n");
    cr_assert_not_null(config, "%s", messages);
    cr_assert(config->backends[0].host_is_name && config->backends[0].port == 2525);
    cr_assert_str_eq(config->backends[0].host, "vm1.example.net");
    cr_assert_eq(config->backends[1].port, 25);
    config_free(config);
    static const char *const wrong[] = {"192.0.2.300:25", "192.0.2:25", "vm1:0", "vm1:70000",
                                        "vm1:x",          "vm_1/2",     "a:1:2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, LISTEN TIER "[backend b]\ntier = primary\naddress = %s\n", wrong[i]);
        assert_wrong_text(text, "is wrong; allowed: an address");
    }
    assert_wrong_text(LISTEN TIER
                      "[backend b]\ntier = primary\naddress = vm1\n[backend c]\ntier = primary\naddress = VM1:25\n",
                      "is that of [backend b] too");
}

Test(config, one_host_may_serve_two_tiers_but_not_one_twice) {
    struct config *config =
        parse_text(LISTEN TIER "[tier strict]\n" BACKEND "[backend again]\ntier = strict\naddress = 192.0.2.11:25\n");
    char *text = NULL;
    size_t length;
    cr_assert_not_null(config, "%s", messages);
    FILE *out = open_memstream(&text, &length);
    config_print(config, out);
    fclose(out);
    cr_assert_not_null(strstr(text, "; warning: backends vm1 (tier primary) and again (tier strict) are the same host"),
                       "%s", text);
    free(text);
    config_free(config);
    assert_wrong_text(MINIMAL "[backend again]\ntier = primary\naddress = 192.0.2.11:25\n",
                      "[backend again] address: is that of [backend vm1] too; in one tier each has its own");
}

Test(config, two_listeners_at_one_address_are_said) {
    assert_wrong_text(MINIMAL "[listen other]\nproxy-timeout = 1s\naddress = 127.0.0.1:2525\n",
                      "t.ini:9: [listen other] address: 127.0.0.1:2525 stands in [listen mx] too");
    assert_wrong_text("[listen mx]\naddress = 127.0.0.1:25 127.0.0.1:26 127.0.0.1\n" TIER BACKEND,
                      "t.ini:2: [listen mx] address: 127.0.0.1:25 stands there twice");
    cr_assert_null(strstr(messages, "too"), "%s", messages);
    assert_wrong_text(MINIMAL "[feedback]\nkey-file = /k\nlisten = 127.0.0.1:2525\n",
                      "t.ini:9: [feedback] listen: 127.0.0.1:2525 stands in [listen mx] too");
    assert_wrong_text(MINIMAL "[feedback]\nkey-file = /k\nlisten = 0.0.0.0:2525\n", "stands in [listen mx] too");
    assert_wrong_text(MINIMAL "[feedback]\nkey-file = /k\nlisten = [::ffff:127.0.0.1]:2525\n",
                      "stands in [listen mx] too");
    assert_wrong_text(MINIMAL "[status]\nlisten = 127.0.0.1:2525\n",
                      "t.ini:8: [status] listen: 127.0.0.1:2525 stands in [listen mx] too");
    assert_wrong_text(MINIMAL "[status]\nlisten = 127.0.0.1:8025\n[feedback]\nkey-file = /k\nlisten = 127.0.0.1:8025\n",
                      "t.ini:11: [feedback] listen: 127.0.0.1:8025 stands in [status] too");
    assert_good_text(MINIMAL "[listen all]\naddress = 0.0.0.0:2525\n[feedback]\nkey-file = /k\nlisten = [::]:2525\n");
    assert_good_text(MINIMAL "[status]\nlisten = 127.0.0.1:8025\n[feedback]\nkey-file = /k\nlisten = 127.0.0.1:8026\n");
}

Test(config, a_contradiction_is_said_at_the_line_that_has_to_change) {
    assert_wrong_text(MINIMAL "[dns]\ntries = 3\nservers = [fe80::1%lo]:53\n", "t.ini:9: [dns] servers: ");
    assert_wrong_text(MINIMAL "[feedback]\nlisten = 127.0.0.1:8026\n", "t.ini:8: [feedback] listen: needs key-file");
    assert_wrong_text(LISTEN TIER "[backend vm1]\naddress = 192.0.2.11:25\ntier = other\n",
                      "t.ini:6: [backend vm1] tier: there is no [tier other]");
    assert_wrong_text(MINIMAL "weight = 3\nsource = 2001:db8::1\n", "t.ini:8: [backend vm1] source: none is of");
    assert_wrong_text(LISTEN "[tier primary]\nrise = 3\nsource = 2001:db8::1\n" BACKEND,
                      "t.ini:5: [backend vm1] source: none is of");
    assert_wrong_text(LISTEN "[tier primary]\nrise = 3\nmin-up = 2\n" BACKEND, "t.ini:5: [tier primary] min-up: 2");
    assert_wrong_text(LISTEN TIER "[tier strict]\n" BACKEND, "t.ini:4: [tier strict]: has no backend");
    assert_wrong_text(LISTEN TIER BACKEND "[backend vm2]\ntier = primary\naddress = 192.0.2.11:25\n",
                      "t.ini:9: [backend vm2] address: is that of [backend vm1] too");
    assert_wrong_text(LISTEN, "t.ini:2: there is no [tier NAME]");
    assert_wrong_text("", "t.ini:1: there is no [listen NAME]");
}

Test(config, an_example_is_that_of_the_option) {
    assert_wrong_text(MINIMAL "[feedback]\nlisten = here\n", "192.0.2.1:8026");
    assert_wrong_text(MINIMAL "[status]\nlisten = here\n", "192.0.2.1:8025");
    assert_wrong_text(MINIMAL "[dns]\nservers = fe80::1\n", "[fe80::1%eth0]:53");
    assert_wrong_text(MINIMAL "source = fe80::1\n", "as fe80::1%eth0\n");
    assert_wrong_text("[listen mx]\naddress = fe80::1%lo:25\n" TIER BACKEND, "stands in brackets, as [fe80::1%lo]:25");
}

Test(config, contradictions_are_said) {
    assert_wrong_text(TIER BACKEND, "there is no [listen NAME]");
    assert_wrong_text(LISTEN, "there is no [tier NAME]");
    assert_wrong_text(LISTEN TIER, "there is no [backend NAME]");
    assert_wrong_text(MINIMAL "[listen other]\naddress = 127.0.0.1:2525\n", "127.0.0.1:2525 stands in [listen mx] too");
    assert_wrong_text(MINIMAL "[backend vm2]\ntier = primary\naddress = 192.0.2.11:25\n",
                      "is that of [backend vm1] too");
    assert_wrong_text(LISTEN "[tier primary]\nmin-up = 2\n" BACKEND, "min-up: 2, but it has 1 backends");
    assert_wrong_text(LISTEN "[tier primary]\nsource = 2001:db8::1\n" BACKEND,
                      "none is of the address family of 192.0.2.11");
}

Test(config, more_sections_than_the_bound_are_an_error) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    fputs(LISTEN TIER, out);
    for (unsigned i = 0; i <= CONFIG_BACKENDS_MAX; i++)
        fprintf(out, "[backend b%u]\ntier = primary\naddress = 10.0.%u.%u:25\n", i, i / 256, i % 256);
    fclose(out);
    assert_wrong_text(text, "[backend b256]: too many; allowed: 256");
    cr_assert_eq(lines_of(messages), 1, "%s", messages);
    free(text);
}

Test(config, what_T_prints_is_a_file_that_means_the_same) {
    struct config *config = parse_text(
        "[global]\nhostname = mx.example.net\nuser =\n" LISTEN "proxy-from = 192.0.2.0/24\nconnect-rate = 30/1m\n"
        "[tier primary]\nproxy = v2\nsource = 192.0.2.1\ninter = 1500ms\nfailback-delay = 0\n" BACKEND
        "max-sessions = 9\n[dnslist zen]\nzone = zen.example\nanswers = 127.0.0.2-7\n");
    char *first = NULL, *second = NULL;
    size_t length;
    cr_assert_not_null(config, "%s", messages);
    FILE *out = open_memstream(&first, &length);
    config_print(config, out);
    fclose(out);
    config_free(config);
    config = parse_text(first);
    cr_assert_not_null(config, "%s", messages);
    out = open_memstream(&second, &length);
    config_print(config, out);
    fclose(out);
    config_free(config);
    cr_assert_str_eq(first, second, "\n%s\n---\n%s", first, second);
    cr_assert_not_null(strstr(first, "inter = 1500ms\n"));
    free(first);
    free(second);
}

Test(config, T_warns_of_an_open_relay_and_of_what_hides_reputations) {
    struct config *config = parse_text(LISTEN "[tier primary]\nadmit = vetted\n" BACKEND);
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    config_print(config, out);
    fclose(out);
    cr_assert_not_null(strstr(text, "backend vm1 has proxy = none"), "%s", text);
    cr_assert_not_null(strstr(text, "senders who use STARTTLS are not vetted by it"));
    cr_assert_not_null(strstr(text, "ro-socket =  ; has no effect in this version"));
    config_free(config);
    free(text);
}

static struct config_backend added;

/* Adds a backend by words; returns what was wrong, or "". */
static const char *add(const struct config *config, const char *name, const char *line) {
    static char error[300];
    char copy[300], *words[16], *rest = copy;
    unsigned count = 0;
    snprintf(copy, sizeof copy, "%s", line);
    while ((words[count] = strsep(&rest, " ")) != NULL)
        count++;
    error[0] = '\0';
    int result = config_parse_backend(config, name, words, count, &added, error, sizeof error);
    cr_assert((result == 0) == (error[0] == '\0'), "%d %s", result, error);
    return error;
}

Test(config, a_backend_added_by_command_is_read_by_the_files_rules) {
    struct config *config =
        parse_text(LISTEN "[tier spare]\n[tier primary]\nproxy = v2\nmax-sessions = 4\nsource = 192.0.2.1\n" BACKEND
                          "[backend s]\ntier = spare\naddress = 192.0.2.12\n");
    cr_assert_not_null(config, "%s", messages);
    cr_assert_str_eq(add(config, "vm9", "tier primary address 192.0.2.99:26 weight 7"), "");
    cr_assert(added.tier == 1 && added.weight == 7 && added.proxy == PROXY_V2 && added.sessions_max == 4);
    cr_assert(added.source.count == 1 && added.port == 26);
    config_backend_finish(&added);
    cr_assert_not_null(strstr(add(config, "vm9", "tier nowhere address 192.0.2.99:26"), "there is no [tier nowhere]"));
    cr_assert_not_null(strstr(add(config, "vm9", "tier primary"), "address: is missing"));
    cr_assert_not_null(
        strstr(add(config, "vm9", "tier primary address 192.0.2.99 weight"), "each option needs a value"));
    cr_assert_not_null(strstr(add(config, "vm9", "tier primary address 192.0.2.99 wieght 3"), "did you mean weight?"));
    static const char *const wrong[] = {
        "tier primary address 192.0.2.99 #weight 3", "tier primary address 192.0.2.99 [x y",
        "tier primary address 192.0.2.99 weight ;", "tier=x primary address 192.0.2.99"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not_null(strstr(add(config, "vm9", wrong[i]), "allowed: option and value in turn"), "%zu", i);
    cr_assert_eq(strncmp(add(config, "vm9", "tier primary address 192.0.2.99 weight 300"), "[backend vm9] weight", 20),
                 0);
    cr_assert_not_null(strstr(add(config, "v/9", "tier primary address 192.0.2.99"), "a name has"));
    config_free(config);
}

Test(config, every_option_has_a_help_text_and_a_default_that_is_allowed) {
    char error[300];
    for (size_t i = 0; i < options_count; i++) {
        _Alignas(16) char data[1024] = {0};
        struct option option = options[i];
        cr_assert_gt(strlen(option.help), 3, "%s", option.name);
        cr_assert_eq(option_find(option.section, option.name), &options[i], "%s stands twice", option.name);
        option.flags &= ~(unsigned)OPTION_REQUIRED;
        cr_assert_eq(option_parse(&option, option.default_text, data, error, sizeof error), 0, "%s: %s", option.name,
                     error);
        option_finish(&option, data);
    }
}

Test(config, answers_of_a_dns_list_and_the_key_of_a_feed_are_checked) {
#define LIST LISTEN TIER BACKEND "[dnslist zen]\nzone = zen.test\nanswers = "
    assert_good_text(LIST "127.0.0.2-7 127.0.0.9\n");
    assert_wrong_text(LIST "127.0.0.9-4\n", "[dnslist zen] answers: \"127.0.0.9-4\"");
    assert_wrong_text(LIST "27.0.0.2\n", "[dnslist zen] answers: \"27.0.0.2\"");
    assert_wrong_text(LIST "127.0.0.2 yes\n", "[dnslist zen] answers: \"yes\"");
    assert_wrong_text(LISTEN TIER BACKEND "[feedback]\nlisten = 127.0.0.1:8026\n", "[feedback] listen: needs key-file");
}

Test(config, limits_except_this_host_unless_the_list_is_emptied) {
    struct address client;
    struct config *config = parse_text(MINIMAL);
    cr_assert(address_parse("127.9.9.9", 25, &client) == 0 && cidr_list_contains(&config->limits.except, &client));
    cr_assert(address_parse("[::1]:25", 0, &client) == 0 && cidr_list_contains(&config->limits.except, &client));
    cr_assert(address_parse("192.0.2.1", 25, &client) == 0 && !cidr_list_contains(&config->limits.except, &client));
    config_free(config);
    config = parse_text(MINIMAL "[limits]\nlimits-except =\nvetted-factor = 3\nnetwork-rate = 9/1m\n");
    cr_assert(config->limits.except.count == 0 && config->limits.vetted_factor == 3);
    cr_assert(config->limits.network_rate.events == 9 && config->limits.per_network_max == 0);
    config_free(config);
}

Test(config, a_gate_that_would_not_know_what_to_offer_is_a_mistake) {
    assert_wrong_text(LISTEN "[tier primary]\ngate = on\ncheck = banner\n" BACKEND,
                      "[tier primary] gate: needs check = ehlo, starttls or mail");
    assert_wrong_text(LISTEN "[tier primary]\ngate = on\ncheck = none\n" BACKEND,
                      "[tier primary] gate: needs check = ehlo, starttls or mail");
    assert_good_text(LISTEN "[tier primary]\ngate = on\n" BACKEND);
    assert_good_text(LISTEN "[tier primary]\ngate = on\ncheck = starttls\n" BACKEND);
}
