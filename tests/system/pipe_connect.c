/* Clients that a backend has invited to talk before the greeting (Exim's PIPECONNECT), and bots that were not. The gate
 * invites nobody, and in an outage it serves those who come as they were told to. A real Exim, told so by a sink. */
#include "exim.h"
#include "talk.h"
#include "unbound.h"

#include <stdlib.h>
#include <string.h>

#define INVITED "127.0.71.1"
#define EXIM    "127.0.0.1"

static struct scene scene;
static struct test_sink vm, bastion;
static struct test_unbound unbound;

static void begin(const char *vm_options) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", vm_options);
    sink_begin(&scene, &bastion, "bastion", "");
    unbound_begin(&scene, &unbound,
                  "  local-data: \"sender.test. 300 IN MX 10 mail.sender.test.\"\n"
                  "  local-data: \"example.test. 300 IN A 127.0.0.9\"\n");
    free(shell(NULL, "cd %s && echo 127.0.0.0/8 > allow && echo example.test > domains", scene.dir));
    postern_lines(&scene,
                  "[reputation]\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:%u\n[gate]\npregreet-wait = "
                  "2s\nrelay-domains-file = %s/domains\n",
                  scene.dir, unbound.port, scene.dir);
    postern_tier(&scene, "primary", "inter = 200ms\nfastinter = 100ms\nfall = 2\n");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_tier(&scene, "strict", "admit = vetted\ngate = on\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    await_up(&scene, "bastion");
}

static void take_primaries_down(void) {
    sink_fault(&vm, "refuse");
    WAIT_FOR(log_has(&scene, "tier primary is down"), 10000);
}

#define GROUP "EHLO exim.sender.test\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<user@example.test>\r\n"

/* All of the envelope before the greeting. */
static void talk_early(const char *name, const char *source) {
    struct talk talk;
    talk_begin(&talk, source, scene.port);
    talk_tell(&talk, GROUP);
    talk_steps(&talk, name,
               (const char *const[]){"220", "", "250", "", "250", "", "250", "DATA\r\n", "354",
                                     "Subject: x\r\n\r\nx\r\n.\r\n", "250", "QUIT\r\n", "221", NULL});
    talk_end(&talk);
}

static bool shows(const char *client, const char *line) {
    char *text = ctl(&scene, NULL, "show reputation %s", client), wanted[80];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    bool has = strstr(text, wanted) != NULL;
    free(text);
    return has;
}

static void assert_nothing_held_against(const char *client, unsigned mails) {
    char line[40];
    snprintf(line, sizeof line, "clean mails: %u", mails);
    WAIT_FOR(shows(client, line), 5000);
    cr_assert(shows(client, "bad: 0.00"), "%s", ctl(&scene, NULL, "show reputation %s", client));
}

Test(pipe_connect, who_talks_early_by_invitation_loses_no_name_and_is_served_in_an_outage) {
    begin("--offer PIPECONNECT --greeting-delay 100");
    talk_early("relay", INVITED);
    assert_nothing_held_against(INVITED, 1);
    take_primaries_down();
    talk_early("gate", INVITED);
    assert_nothing_held_against(INVITED, 2);
    cr_assert_eq(sink_figure(&bastion, "mails"), 1);
    scene_end(&scene);
}

Test(pipe_connect, who_talks_early_without_an_invitation_is_still_found_out) {
    begin("--greeting-delay 100");
    talk_early("relay", INVITED);
    WAIT_FOR(shows(INVITED, "talked before the greeting: 1"), 5000);
    take_primaries_down();
    struct talk talk;
    talk_begin(&talk, INVITED, scene.port);
    talk_tell(&talk, GROUP);
    cr_assert_not_null(strstr(talk_hear(&talk, 15000), "421 4.7.0"), "%s", talk.heard);
    talk_expect(&talk, "closed");
    talk_end(&talk);
    WAIT_FOR(shows(INVITED, "talked before the greeting: 2"), 5000);
    scene_end(&scene);
}

Test(pipe_connect, the_gate_itself_invites_nobody_and_what_follows_data_is_still_cut) {
    begin("--offer PIPECONNECT");
    take_primaries_down();
    struct talk talk;
    talk_begin(&talk, INVITED, scene.port);
    talk_expect(&talk, "220");
    talk_tell(&talk, "EHLO exim.sender.test\r\n");
    const char *reply = talk_hear(&talk, 15000);
    cr_assert(strncmp(reply, "250", 3) == 0 && strstr(reply, "PIPECONNECT") == NULL, "%s", reply);
    talk_end(&talk);
    talk_script("data", INVITED, scene.port,
                (const char *const[]){"220", GROUP "DATA\r\n.\r\n", "250", "", "250", "", "250", "", "421 4.7.0", "",
                                      "closed", NULL});
    scene_end(&scene);
}

/* --- beside a backend that does not offer it --- */

static void begin_pair(const char *first, const char *second) {
    static struct test_sink sinks[2];
    scene_begin(&scene, false);
    sink_begin(&scene, &sinks[0], "exim", first);
    sink_begin(&scene, &sinks[1], "postfix", second);
    postern_tier(&scene, "primary", "inter = 100ms\n");
    postern_sinks(&scene, sinks, 2);
    postern_start(&scene);
    WAIT_FOR(log_has(&scene, "server exim health starting -> up") &&
                 log_has(&scene, "server postfix health starting -> up"),
             10000);
}

Test(pipe_connect, a_tier_whose_backends_differ_is_warned_of_once) {
    begin_pair("--offer PIPECONNECT", "");
    WAIT_FOR(
        log_has(&scene, "warning: backends of tier primary differ in PIPECONNECT: exim offers it, postfix does not"),
        5000);
    free(ctl(&scene, NULL, "set server postfix state maint"));
    free(ctl(&scene, NULL, "set server postfix state ready"));
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    free(ctl(&scene, NULL, "del server exim"));
    WAIT_FOR(log_has(&scene, "backends of tier primary differ in PIPECONNECT no more"), 5000);
    char *said = shell(NULL, "grep -c 'differ in PIPECONNECT:' %s/postern.log", scene.dir);
    cr_assert_str_eq(said, "1\n");
    free(said);
    scene_end(&scene);
}

Test(pipe_connect, a_tier_whose_backends_agree_is_not_warned_of) {
    begin_pair("--offer PIPECONNECT", "--offer PIPECONNECT");
    cr_assert_not(log_has_by_now(&scene, "differ in PIPECONNECT"));
    scene_end(&scene);
}

/* --- Exim --- */

/* Sends a mail; how often Exim has talked before the greeting so far, as its log has it. */
static unsigned exim_send(void) {
    char *said = shell(NULL,
                       "cd %s && printf 'Subject: x\\n\\nx\\n' | " EXIM_RUN
                       "exim.conf -odf -i -f a@sender.test -- user@example.test 2>&1; grep -c ' L\\*' exim/main.log",
                       scene.dir);
    unsigned count = (unsigned)strtoul(said, NULL, 10);
    free(said);
    return count;
}

static unsigned exim_delivered(void) {
    char *said = shell(NULL, "grep -c ' => user@example.test' %s/exim/main.log", scene.dir);
    unsigned count = (unsigned)strtoul(said, NULL, 10);
    free(said);
    return count;
}

Test(pipe_connect, a_real_exim_delivers_by_relay_and_gate_and_keeps_its_name) {
    begin("--offer PIPECONNECT --greeting-delay 100");
    exim_begin(&scene);
    exim_write_sender(&scene, "exim.conf", "log_selector = +pipelining\n",
                      "  hosts_avoid_tls = *\n  hosts_pipe_connect = *\n");
    cr_assert_eq(exim_send(), 0, "it has not been invited yet");
    for (unsigned i = 1; i <= 3; i++)
        cr_assert_eq(exim_send(), i, "it did not talk early: %s", shell(NULL, "cat %s/exim/main.log", scene.dir));
    cr_assert_eq(sink_figure(&vm, "mails"), 4);
    assert_nothing_held_against(EXIM, 4);
    take_primaries_down();
    exim_send(); /* it talks early, finds that the gate does not offer it, and goes on */
    exim_send(); /* it waits */
    cr_assert_eq(exim_delivered(), 6, "%s", shell(NULL, "cat %s/exim/main.log", scene.dir));
    cr_assert_eq(sink_figure(&bastion, "mails"), 2);
    assert_nothing_held_against(EXIM, 6);
    scene_end(&scene);
}
