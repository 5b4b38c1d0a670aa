/* Ways to make the gate lose its place behind the handover, and then hide a mail in another one's content: each said
 * to a real Postfix that takes a bare LF for the end of a line. It must take nothing but what the client could have
 * said openly. */
#include "postfix.h"
#include "scripted.h"
#include "talk.h"

#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_postfix host;

/* `main_cf`: what this host does otherwise than Postfix 3.7 by default. */
static void begin(const char *main_cf) {
    scene_begin(&scene, false);
    postfix_begin(&scene, &host, "host", false, main_cf);
    free(shell(NULL, "echo example.test > %s/domains", scene.dir));
    postern_lines(&scene, "[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\nsender-domain = off\n",
                  scene.dir);
    postern_tier(&scene, "strict", "gate = on\n");
    postern_backend(&scene, "host", host.port, "");
    postern_start(&scene);
    await_up(&scene, "host");
}

static void end(void) {
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 5000);
    postfix_end(&host);
    scene_end(&scene);
}

#define BEGIN  "220", "EHLO client.test\r\n", "250", "MAIL FROM:<outer@client.test>\r\n", "250", USER, "250"
#define USER   "RCPT TO:<user@example.test>\r\n"
#define HIDDEN "x\n.\r\nMAIL FROM:<hidden@client.test>\r\n" USER "DATA\r\n\r\nhidden\r\n.\r\n"

/* It ends with 421, and the host has taken nothing. */
static void expect_cut(const char *name, const char *const *steps) {
    unsigned disconnects = postfix_log_count(&host, "disconnect from");
    talk_script(name, NULL, scene.port, steps);
    WAIT_FOR(postfix_log_count(&host, "disconnect from") > disconnects, 10000);
    cr_expect_eq(postfix_log_count(&host, "from=<hidden@client.test>"), 0, "%s", name);
    cr_expect_eq(postfix_log_count(&host, "from=<outer@client.test>, size="), 0, "%s", name);
}

#define CUT(name, ...) expect_cut(name, (const char *const[]){BEGIN, __VA_ARGS__, "421 4.7.0", "", "closed", NULL})

Test(guard, a_reply_of_any_length_hides_no_mail) {
    char recipient[2048];
    begin("smtpd_forbid_bare_newline = no\nsmtpd_relay_restrictions = reject_unauth_destination\n");
    size_t length = (size_t)snprintf(recipient, sizeof recipient, "RCPT TO:<%02010d@elsewhere.test>\r\n", 0);
    cr_assert(length < sizeof recipient);
    CUT("long reply", recipient, "554 5.7.1", "DATA\r\n", "354", HIDDEN);
    end();
}

Test(guard, what_is_said_behind_auth_hides_no_mail) {
    begin("smtpd_forbid_bare_newline = no\n");
    CUT("AUTH and DATA", "AUTH PLAIN AAAA\r\nDATA\r\n");
    CUT("AUTH and BDAT", "AUTH PLAIN AAAA\r\nBDAT 100000\r\n" HIDDEN);
    CUT("unknown and DATA", "XFOO\r\nDATA\r\n");
    CUT("AUTH alone", "AUTH PLAIN AAAA\r\n", "503", "DATA\r\n", "354", HIDDEN);
    end();
}

/* To it the octets of a chunk are commands. */
Test(guard, a_chunk_that_the_host_does_not_count_hides_no_mail) {
    begin("smtpd_forbid_bare_newline = no\nsmtpd_discard_ehlo_keywords = chunking\n");
    CUT("BDAT that nobody offered", "BDAT 100000\r\nDATA\r\n" HIDDEN);
    CUT("the same behind EHLO", "EHLO client.test\r\nBDAT 100000\r\nDATA\r\n" HIDDEN);
    end();
}

Test(guard, a_clean_mail_in_chunks_or_behind_a_refused_auth_is_taken) {
    begin("");
    talk_script("chunks", NULL, scene.port,
                (const char *const[]){BEGIN, "BDAT 13\r\nSubject: x\n\r\nBDAT 4 LAST\r\na\nb\n", "250", "", "250",
                                      "QUIT\r\n", "221", "", "closed", NULL});
    talk_script("AUTH", NULL, scene.port,
                (const char *const[]){"220", "EHLO client.test\r\n", "250", "AUTH PLAIN AAAA\r\n", "503",
                                      "MAIL FROM:<a@client.test>\r\n" USER "DATA\r\n", "250", "", "250", "", "354",
                                      "hello\r\n.\r\nQUIT\r\n", "250", "", "221", NULL});
    WAIT_FOR(postfix_log_count(&host, ", size=") == 2, 10000);
    end();
}

/* More than a buffer holds, none of it an answer: the session ends, and nothing else does. */
Test(guard, a_host_that_talks_without_an_end_costs_its_own_session_only) {
    static char words[60000];
    struct scripted talker = {0};
    scene_begin(&scene, false);
    for (size_t i = 0; i + 23 < sizeof words; i += 22)
        memcpy(words + i, "250 2.0.0 who asked?\r\n", 23);
    scripted_begin(&talker);
    talker.rules[0] = (struct scripted_rule){"RCPT", "250 2.1.5 Ok\r\n", GOES_ON, 0};
    talker.rules[1] = (struct scripted_rule){"RCPT", words, GOES_ON, 200};
    free(shell(NULL, "echo example.test > %s/domains", scene.dir));
    postern_lines(&scene, "[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\nsender-domain = off\n",
                  scene.dir);
    postern_tier(&scene, "strict", "gate = on\n");
    postern_backend(&scene, "host", talker.port, "");
    postern_start(&scene);
    await_up(&scene, "host");
    for (unsigned i = 0; i < 3; i++)
        talk_script("talker", NULL, scene.port, (const char *const[]){BEGIN, "", "421 4.7.0", "", "closed", NULL});
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 5000);
    scripted_end(&talker);
    scene_end(&scene);
}

/* Exim's PRDR, which a client may ask for though it isn't offered: the host has the mail, and the client a 421. */
Test(guard, a_mail_that_the_host_may_have_taken_is_named_when_its_reply_can_not_be_followed) {
    struct scripted host_with_prdr = {0};
    scene_begin(&scene, false);
    scripted_begin(&host_with_prdr);
    host_with_prdr.rules[0] = (struct scripted_rule){"EHLO", "250-host\r\n250-PRDR\r\n250 DSN\r\n", GOES_ON, 0};
    host_with_prdr.rules[1] = (struct scripted_rule){".", "353 go\r\n250 user\r\n250 taken\r\n", GOES_ON, 0};
    free(shell(NULL, "echo example.test > %s/domains", scene.dir));
    postern_lines(&scene, "[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\nsender-domain = off\n",
                  scene.dir);
    postern_tier(&scene, "strict", "gate = on\n");
    postern_backend(&scene, "host", host_with_prdr.port, "");
    postern_start(&scene);
    await_up(&scene, "host");
    char *offer = talk_last_reply(NULL, scene.port, (const char *const[]){"220", "EHLO client.test\r\n", "250", NULL});
    cr_assert(strstr(offer, "DSN") != NULL && strstr(offer, "PRDR") == NULL, "%s", offer);
    free(offer);
    talk_script("PRDR", NULL, scene.port,
                (const char *const[]){BEGIN, "DATA\r\n", "354", "x\r\n.\r\n", "421 4.7.0", "", "closed", NULL});
    WAIT_FOR(log_has(&scene, "mail possibly doubled: session id="), 5000);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    scripted_end(&host_with_prdr);
    scene_end(&scene);
}
