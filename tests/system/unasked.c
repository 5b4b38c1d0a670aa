/* What a host agrees to that nobody asked it: in content its client would take that for the mail's acceptance. */
#include "hand.h"
#include "two_hosts.h"

static struct hand hand;

static void expect_421_at_the_end(const char *rest) {
    cr_assert_str_eq(talk_hear(&hand.client, 300), "silent");
    talk_tell(&hand.client, rest);
    talk_expect(&hand.client, "421 4.3.0");
    talk_expect(&hand.client, "closed");
    WAIT_FOR(log_has(&hand.scene, "mail possibly doubled: "), 5000);
    WAIT_FOR(log_has(&hand.scene, "mails=0 code=421 "), 5000);
}

Test(unasked, an_agreement_in_content_never_stands_in_the_place_of_the_dots_reply) {
    static const char *const replies[] = {"250 2.0.0 queued\r\n", "354 go\r\n", "221 2.0.0 Bye\r\n"};
    for (unsigned i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        hand_begin(&hand, "");
        hand_session(&hand, HAND_CONTENT);
        hand_say(&hand, replies[i]);
        expect_421_at_the_end("the rest\r\n.\r\n");
        hand_end(&hand);
    }
}

Test(unasked, a_chunk_is_not_accepted_before_its_last_octet) {
    hand_begin(&hand, "");
    talk_begin(&hand.client, NULL, hand.scene.port);
    hand_take(&hand);
    hand_say(&hand, "220 vm1 ESMTP\r\n");
    talk_expect(&hand.client, "220");
    hand_exchange(&hand, "EHLO client.test\r\n", "250-vm1\r\n250 CHUNKING\r\n");
    hand_exchange(&hand, "MAIL FROM:<ann@client.test>\r\n", "250 2.1.0 Ok\r\n");
    hand_exchange(&hand, "RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Ok\r\n");
    hand_exchange(&hand, "BDAT 6\r\ntext\r\n", "250 2.0.0 Ok\r\n");
    talk_tell(&hand.client, "BDAT 12 LAST\r\nte");
    talk_await(&hand.host, "LAST\r\nte");
    hand_say(&hand, "250 2.0.0 queued\r\n");
    expect_421_at_the_end("xt text\r\n.");
    cr_assert_eq(server_figure(&hand.scene, "vm1", "failures"), 0);
    hand_end(&hand);
}

/* Postfix and Exim say so behind so many octets, and read on, or hang up. */
Test(unasked, a_refusal_in_content_is_still_the_hosts_word) {
    hand_begin(&hand, "");
    hand_session(&hand, HAND_CONTENT);
    hand_say(&hand, "552 5.3.4 too large\r\n");
    talk_end(&hand.host);
    talk_expect(&hand.client, "552 5.3.4");
    WAIT_FOR(sessions_show(&hand.scene, "swallowing"), 5000);
    talk_tell(&hand.client, "the rest\r\n.\r\n");
    talk_expect(&hand.client, "closed");
    hand_end(&hand);
}

/* Nothing of the mail has gone to it yet. */
Test(unasked, an_agreement_before_the_first_octet_of_content_costs_no_mail) {
    struct two_hosts site;
    two_hosts_begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"DATA", "354 go\r\n250 2.0.0 queued\r\n", GOES_ON, 0};
    talk_script("behind 354", NULL, site.scene.port, two_hosts_mail);
    cr_assert(atomic_load(&site.second.mails) == 1 && atomic_load(&site.first.mails) == 0);
    two_hosts_end(&site);
}

/* Else the reply to MAIL would be taken for that to RCPT, and so on. */
Test(unasked, an_agreement_between_commands_leaves_the_client_in_step) {
    struct two_hosts site;
    two_hosts_begin(&site, "");
    site.first.rules[0] = (struct scripted_rule){"EHLO", "250 first\r\n250 2.0.0 Ok\r\n", GOES_ON, 0};
    site.second.rules[0] = (struct scripted_rule){"RCPT TO:<user@", "550 5.1.1 unknown\r\n", GOES_ON, 0};
    talk_script("between commands", NULL, site.scene.port,
                (const char *const[]){"220 ", HELLO, "250", "MAIL FROM:<a@client.test>\r\n", "250 2.1.0",
                                      "RCPT TO:<user@example.test>\r\n", "550 5.1.1",
                                      "RCPT TO:<other@example.test>\r\n", "250 2.1.5", "QUIT\r\n", "221", "", "closed",
                                      NULL});
    two_hosts_end(&site);
}
