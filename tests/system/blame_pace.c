/* Whose doing an end is, by what the backend had said and when: a server that tires of a client which dribbles, or that
 * takes so many mails in a connection, has not failed; one that hangs up right behind its reply has. */
#include "postfix.h"
#include "two_hosts.h"

#include <string.h>

#define DRIBBLES_MAX 60u

static void expect_no_blame(const char *main_cf) {
    struct scene scene;
    struct test_postfix host;
    struct talk talk;
    const char *reply = "silent";
    scene_begin(&scene, false);
    postfix_begin(&scene, &host, "host", false, main_cf);
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", host.port, "");
    postern_start(&scene);
    talk_open(&talk, "127.0.0.9", scene.port);
    talk_transaction(&talk);
    for (unsigned i = 0; i < DRIBBLES_MAX && strcmp(reply, "silent") == 0; i++) {
        talk_tell(&talk, "x");
        reply = talk_hear(&talk, 250);
    }
    cr_assert_eq(strncmp(reply, "421 4.4.2", 9), 0, "%s", reply);
    cr_assert_eq(server_figure(&scene, "vm1", "failures"), 0);
    talk_end(&talk);
    postfix_end(&host);
    scene_end(&scene);
}

/* As Postfix does it by default under stress: a deadline for the whole of a request, not for each octet. */
Test(blame_pace, content_that_a_client_dribbles_is_held_against_nobody) {
    expect_no_blame("smtpd_timeout = 6s\nsmtpd_per_request_deadline = yes\n");
}

/* It says whom it has waited for. */
Test(blame_pace, a_server_with_little_patience_for_content_has_not_failed) {
    expect_no_blame("smtpd_timeout = 2s\nsmtpd_per_request_deadline = yes\n");
}

Test(blame_pace, a_server_that_ends_content_by_a_refusal_has_not_failed) {
    static const char *const replies[] = {"451 timeout (#4.4.2)\r\n", "452 4.3.1 disk full\r\n",
                                          "421 4.4.2 timeout\r\n"};
    struct two_hosts site;
    two_hosts_begin(&site, "");
    for (unsigned i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct talk talk;
        site.first.rules[0] = (struct scripted_rule){"x", replies[i], HANGS_UP, 50};
        talk_open(&talk, NULL, site.scene.port);
        talk_transaction(&talk);
        talk_exchange(&talk, "x\r\n", replies[i]);
        talk_end(&talk);
        WAIT_FOR(info_figure(&site.scene, "sessions") == 0, 5000);
    }
    cr_assert_eq(server_figure(&site.scene, "vm1", "failures"), 0);
    two_hosts_end(&site);
}

Test(blame_pace, a_server_that_goes_down_in_content_has_failed) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"x", "421 4.3.2 shutting down\r\n", HANGS_UP, 50};
    talk_open(&talk, NULL, site.scene.port);
    talk_transaction(&talk);
    talk_exchange(&talk, "x\r\n", "421 4.3.2");
    WAIT_FOR(server_figure(&site.scene, "vm1", "failures") == 1, 5000);
    talk_end(&talk);
    two_hosts_end(&site);
}

static void take_mail(struct talk *talk) {
    talk_exchange(talk, "x: y\r\n\r\n.\r\n", "250");
}

/* As Exim with smtp_accept_max_per_connection. */
Test(blame_pace, a_server_that_takes_so_many_mails_in_a_connection_has_not_failed) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"MAIL FROM:<second", "421 too many messages\r\n", HANGS_UP, 0};
    talk_open(&talk, NULL, site.scene.port);
    talk_transaction(&talk);
    take_mail(&talk);
    talk_exchange(&talk, "MAIL FROM:<second@client.test>\r\n", "250");
    cr_assert_eq(atomic_load(&site.second.sessions), 1);
    cr_assert_eq(server_figure(&site.scene, "vm1", "failures"), 0);
    talk_end(&talk);
    two_hosts_end(&site);
}

Test(blame_pace, a_server_that_hangs_up_right_behind_its_reply_has_failed) {
    struct two_hosts site;
    struct talk talk;
    two_hosts_begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"EHLO", "", HANGS_UP, 1};
    talk_open(&talk, NULL, site.scene.port);
    WAIT_FOR(log_has(&site.scene, "it is replayed"), 5000);
    talk_transaction(&talk);
    take_mail(&talk);
    cr_assert_eq(atomic_load(&site.second.mails), 1);
    cr_assert_eq(server_figure(&site.scene, "vm1", "failures"), 1);
    talk_end(&talk);
    two_hosts_end(&site);
}
