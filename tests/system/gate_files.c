/* The files of the gate: said at start, read anew while mail flows, and understood as a real Postfix does. */
#include "harness.h"
#include "lb/gate/tables.h"
#include "postfix.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_sink sink;

static void put(const char *name, const char *text) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", scene.dir, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* postern with `gate` as the options of [gate]; "%1$s" in it is the scene's folder. */
static void begin(const char *gate) {
    char options[1000];
    snprintf(options, sizeof options, gate, scene.dir);
    sink_begin(&scene, &sink, "vm1", "");
    postern_lines(&scene, "[reputation]\nmax-entries = 1000\n[gate]\npregreet-wait = 0s\n%s", options);
    postern_tier(&scene, "strict", "gate = on\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
}

static void assert_reload(int wanted_status, const char *text) {
    int status;
    char *said = ctl(&scene, &status, "reload");
    cr_assert(status == wanted_status && strstr(said, text) != NULL, "status %d: %s\nwanted: %s", status, said, text);
    free(said);
}

static void assert_check(int wanted_status, const char *text) {
    int status;
    char *said = shell(&status, "%s/postern -T -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert(status == wanted_status && strstr(said, text) != NULL, "status %d: %s\nwanted: %s", status, said, text);
    free(said);
}

#define ALL                                                                                                            \
    "relay-domains-file = %1$s/domains\nrecipients-file = %1$s/recipients\n"                                           \
    "access-file = %1$s/access\nrecipient-delimiter = +-\n"

Test(gate_files, a_rule_that_is_off_is_said_at_start) {
    scene_begin(&scene, false);
    put("domains", "example.test\n");
    begin("relay-domains-file = %1$s/domains\n");
    WAIT_FOR(log_has(&scene, "[gate] recipients-file is empty: this rule is off"), 5000);
    WAIT_FOR(log_has(&scene, "[gate] access-file is empty: this rule is off"), 5000);
    cr_assert_not(log_has_by_now(&scene, "relay-domains-file is empty"));
    assert_reload(0, "relay-domains-file: 1, recipients-file: off, access-file: off");
    assert_check(0, "; warning: [gate] recipients-file is empty");
    scene_end(&scene);
}

Test(gate_files, files_that_are_not_there_are_an_alarm_and_no_reason_not_to_start) {
    scene_begin(&scene, false);
    put("recipients", "");
    put("access", "192.0.2.1 OK\n");
    begin(ALL);
    WAIT_FOR(log_has(&scene, "relay-domains-file cannot be read: No such file or directory: until a reload"), 5000);
    WAIT_FOR(log_has(&scene, "recipients-file is empty: until a reload finds entries in it, its rule answers 4xx"),
             5000);
    assert_check(0, "recipients-file is empty: until a reload");
    assert_reload(0, "(relay-domains-file: unreadable, recipients-file: unreadable, access-file: 1), with alarms");
    put("domains", "example.test\nexample.org\n");
    put("recipients", "user@example.test\n");
    kill(scene.postern, SIGHUP);
    WAIT_FOR(log_has(&scene, "entries of the gate: relay-domains-file: 2, recipients-file: 1, access-file: 1"), 5000);
    scene_end(&scene);
}

Test(gate_files, a_file_that_vanishes_stays_in_force_and_a_mistake_changes_nothing) {
    scene_begin(&scene, false);
    put("domains", "example.test\n");
    put("recipients", "user@example.test\nother@example.test\n");
    put("access", "192.0.2.1 OK\n");
    begin(ALL);
    WAIT_FOR(log_has(&scene, "serves with"), 5000);
    free(shell(NULL, "rm %s/domains; : > %s/recipients", scene.dir, scene.dir));
    assert_reload(0, "(relay-domains-file: 1, recipients-file: 2, access-file: 1), with alarms in the log");
    WAIT_FOR(log_has(&scene, "reload: ") && log_has(&scene, "recipients-file is empty: what was read before stays"),
             5000);
    WAIT_FOR(log_has(&scene, "relay-domains-file cannot be read: No such file or directory: what was read before"),
             5000);
    put("domains", "example.test\n-wrong.test\n");
    put("recipients", "new@example.test\n");
    put("access", "192.0.2.1 OK\n192.0.2.2 HOLD\n");
    assert_reload(1, "domains:2: \"-wrong.test\" is no domain");
    assert_reload(1, "access:2: \"HOLD\" is no action for a client here; allowed: OK, REJECT [text]");
    assert_check(1, "access:2: \"HOLD\" is no action");
    kill(scene.postern, SIGHUP);
    WAIT_FOR(log_has(&scene, "reload: nothing has changed: "), 5000);
    put("domains", "example.test\n");
    put("access", "# nobody\n");
    assert_reload(0, "(relay-domains-file: 1, recipients-file: 1, access-file: 0); ");
    json_t *result = load_run(&scene, "--concurrency 1 --sessions 1");
    json_decref(result);
    scene_end(&scene);
}

Test(gate_files, a_wrong_file_at_start_is_named_with_its_line) {
    int status;
    scene_begin(&scene, false);
    put("access", "192.0.2.1/24 OK\n");
    postern_tier(&scene, "strict", "");
    postern_backend(&scene, "vm1", 1, "");
    postern_lines(&scene, "[gate]\naccess-file = %s/access\n", scene.dir);
    postern_write(&scene);
    char *said = shell(&status, "%s/postern -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert(status == 1 && strstr(said, "access:1: \"192.0.2.1/24\" is no client; allowed: ") != NULL, "%d %s",
              status, said);
    free(said);
    scene_end(&scene);
}

/* --- the same file before a real Postfix --- */

static const char client_access[] = "# A site's client_access, as it grew\n"
                                    "192.0.2.7       OK\n"
                                    "192.0.2         REJECT\n"
                                    "198.51          554 5.7.25 No reverse\n"
                                    "  name, no mail\n"
                                    "\n"
                                    "198.51.100      DUNNO\n"
                                    "203.0.113.9     1700000000\n"
                                    "203.0.113.8     550\n"
                                    "203.0.113       450 try later\n"
                                    "   # between\n"
                                    "10              DEFER 4.7.0 Slow down\n"
                                    "10              OK\n"
                                    "2001:db8        REJECT   Not from   there\n"
                                    "2001:db8:1      OK\n"
                                    "2001:DB8::25    warn seen\n"
                                    "Good.Example.ORG OK as agreed\n"
                                    "example.org     521 5.7.1 Listed\n"
                                    "mx.example.org  DUNNO\n"
                                    "com             421 4.7.0 Busy\n"
                                    "unknown         450 4.7.25 No name\n"
                                    "relay.test      RELAY\n"
                                    "172.16          550 4.7.0 Another class\n"
                                    "172.17          REJECT 4.7.26 Another class\n";

/* NULL: the client has no name. */
static const struct {
    const char *address, *name;
} clients[] = {
    {"192.0.2.7", "a.test"},
    {"192.0.2.8", "a.test"},
    {"198.51.7.1", "a.test"},
    {"198.51.100.1", "a.test"},
    {"203.0.113.9", "a.test"},
    {"203.0.113.8", "a.test"},
    {"203.0.113.7", "a.test"},
    {"10.1.2.3", "a.test"},
    {"192.0.3.1", "a.test"},
    {"192.0.2.8", "example.org"},
    {"192.0.2.7", "x.example.org"},
    {"192.0.2.7", "x.y.good.example.org"},
    {"10.1.2.3", "mx.example.org"},
    {"10.1.2.3", "badexample.org"},
    {"192.0.2.7", "host.isp.com"},
    {"192.0.2.7", NULL},
    {"192.0.3.1", NULL},
    {"10.1.2.3", "relay.test"},
    {"2001:db8::1", "a.test"},
    {"2001:db8:1:2:3:4:5:6", "a.test"},
    {"2001:db8::25", "a.test"},
    {"172.16.1.1", "a.test"},
    {"172.17.1.1", "a.test"},
    {"2001:db8:1::1", "a.test"},
    {"2001:db9::1", "a.test"},
};

/* What Postfix says at RCPT, without its "<name[address]>: Client host rejected: "; "" where it takes the recipient. */
static void ask_postfix(const struct test_postfix *postfix, const char *address, const char *name, char ret_said[300]) {
    bool is_ipv6 = strchr(address, ':') != NULL;
    char *said = shell(NULL,
                       "swaks --server 127.0.0.1 --port %u --xclient 'NAME=%s ADDR=%s%s' --from a@client.test --to "
                       "u@example.test --quit-after RCPT 2>&1",
                       postfix->port, name == NULL ? "[UNAVAILABLE]" : name, is_ipv6 ? "IPV6:" : "", address);
    char *refusal = strstr(said, "\n<** "), *cut = refusal == NULL ? NULL : strstr(refusal, "rejected: ");
    cr_assert(refusal == NULL ? strstr(said, "<-  250 2.1.5") != NULL : cut != NULL, "%s", said);
    ret_said[0] = '\0';
    if (refusal != NULL)
        snprintf(ret_said, 300, "%.*s %.*s", (int)strcspn(refusal + 5, "<") - 1, refusal + 5,
                 (int)strcspn(cut + 10, "\r\n"), cut + 10);
    free(said);
}

static void ask_ours(const struct gate_tables *tables, const char *client, const char *name, char ret_said[300]) {
    struct address address;
    struct access_action action;
    char text[80];
    snprintf(text, sizeof text, strchr(client, ':') != NULL ? "[%s]:25" : "%s:25", client);
    cr_assert_eq(address_parse(text, 25, &address), 0);
    gate_tables_access(tables, &address, name, &action);
    if (action.kind == ACCESS_REJECT)
        snprintf(ret_said, 300, "%u %s %s", action.code, action.enhanced, action.text);
    else
        snprintf(ret_said, 300, "%s", action.kind == ACCESS_OK ? "" : "450 4.3.0 went on");
}

/* `went on` tells DUNNO from OK. */
Test(gate_files, a_client_access_says_to_each_client_what_postfix_says) {
    struct test_postfix postfix;
    struct gate_tables *tables = NULL;
    char path[160], main_cf[600], theirs[300], ours[300], empty[1] = "";
    unsigned taken = 0, refused = 0;
    scene_begin(&scene, false);
    put("access", client_access);
    snprintf(path, sizeof path, "%s/access", scene.dir);
    snprintf(main_cf, sizeof main_cf,
             "inet_protocols = all\nsmtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtpd_client_restrictions = "
             "check_client_access hash:%s, check_client_access static:{450 4.3.0 went on}\n"
             "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = reject_unauth_destination\n",
             path);
    postfix_begin(&scene, &postfix, "strict", false, main_cf);
    free(shell(NULL, "postmap -c %s hash:%s 2>&1", postfix.dir, path));
    struct config_gate config = {
        .relay_domains_file = empty, .recipients_file = empty, .recipient_delimiter = empty, .access_file = path};
    cr_assert_eq(gate_tables_load(&config, NULL, stderr, &tables), 0);
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        ask_postfix(&postfix, clients[i].address, clients[i].name, theirs);
        ask_ours(tables, clients[i].address, clients[i].name, ours);
        cr_assert_str_eq(ours, theirs, "%s %s: \"%s\", Postfix: \"%s\"", clients[i].address,
                         clients[i].name == NULL ? "" : clients[i].name, ours, theirs);
        taken += *theirs == '\0';
        refused += *theirs != '\0';
    }
    cr_assert(taken >= 6 && refused >= 12, "%u %u", taken, refused);
    gate_tables_free(tables);
    postfix_end(&postfix);
    scene_end(&scene);
}
