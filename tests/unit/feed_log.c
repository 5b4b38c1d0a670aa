/* Lines of mail logs, one case at a time, after those that Postfix, amavis, SpamAssassin and rspamd write (a whole log
 * of theirs: feed_sample.c). */
#include "lb/posternctl/feed_join.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define AT     "Nov 24 16:54:35 vm1 "
#define AMAVIS "Nov 24 16:38:44 vm1.example.test /usr/sbin/amavisd[9907]: "
#define RSPAMD "2026-11-24 16:39:20 #10037(normal) <b0c0b3>; task; rspamd_task_write_log: "

static struct feed_join *join;
static char told[1000]; /* "ADDRESS WEIGHT-WORD;" of all outcomes so far */

static void begin(void) {
    join = feed_join_create(false);
    told[0] = '\0';
}

static void end(void) {
    feed_join_destroy(join);
}

TestSuite(feed_log, .init = begin, .fini = end);

static void feed(const char *line) {
    struct feed_event event;
    struct feed_outcome outcome;
    char host[ADDRESS_TEXT_MAX];
    feed_log_read(line, &event);
    if (!feed_join_take(join, &event, &outcome))
        return;
    size_t length = strlen(told);
    snprintf(told + length, sizeof told - length, "%s %s;", address_format_host(&outcome.client, host),
             evidence_text(outcome.kind) + strlen("feedback "));
}

static enum feed_event_kind kind_of(const char *line) {
    struct feed_event event;
    feed_log_read(line, &event);
    return event.kind;
}

Test(feed_log, amavis_behind_the_queue_is_joined_by_queue_id) {
    feed(AT "postfix/smtpd[10602]: 033B6A74054: client=mx.client.test[203.0.113.5]");
    feed(AT "postfix/cleanup[10605]: 033B6A74054: message-id=<m1@b.test>");
    feed(AT "postfix/qmgr[10483]: 033B6A74054: from=<a@b.test>, size=308, nrcpt=1 (queue active)");
    feed(AT "postfix/smtpd[10611]: 1F086A7405D: client=localhost[127.0.0.1], orig_queue_id=033B6A74054, "
            "orig_client=mx.client.test[203.0.113.5]");
    feed(AT "postfix/smtp[10606]: 033B6A74054: to=<u@example.test>, relay=127.0.0.1[127.0.0.1]:10924, delay=0.12, "
            "delays=0.01/0.01/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10925): 250 2.0.0 Ok: "
            "queued as 1F086A7405D)");
    feed(AT "postfix/qmgr[10483]: 033B6A74054: removed");
    cr_assert_str_empty(told, "Postfix' 250 is no verdict");
    feed(AMAVIS "(10554-01) Passed CLEAN {RelayedInbound}, [203.0.113.5]:48498 [203.0.113.5] <a@b.test> -> "
                "<u@example.test>, Queue-ID: 033B6A74054, Message-ID: <m1@b.test>, mail_id: bLU8HJfJSksV, Hits: 4.941, "
                "size: 308, queued_as: 1F086A7405D, 105 ms");
    feed(AMAVIS "(10554-01) Passed CLEAN, <a@b.test> -> <u@example.test>, Hits: 4.941, tag=-999, tag2=5, kill=6, fwd: "
                "250 2.0.0, L/Y/0/0");
    feed(AT "postfix/discard[10612]: 1F086A7405D: to=<u@example.test>, relay=none, delay=0.01, delays=0/0/0/0, "
            "dsn=2.0.0, status=sent (example.test)");
    feed(AT "postfix/qmgr[10483]: 1F086A7405D: removed");
    cr_assert_str_eq(told, "203.0.113.5 good;");
}

Test(feed_log, sender_recipient_and_helo_that_imitate_a_verdict_change_nothing) {
    feed(AT "postfix/smtpd[10602]: 033B6A74054: client=mx.client.test[203.0.113.5]");
    feed(AT "postfix/smtpd[10602]: 03CE6A74055: client=mx.client.test[203.0.113.6]");
    feed(AT "postfix/qmgr[10483]: 03CE6A74055: from=<\"x: client=y[203.0.113.5], status=sent (250\"@b.test>, size=398, "
            "nrcpt=1 (queue active)");
    feed(AT "postfix/smtp[10608]: 03CE6A74055: to=<\"a, status=bounced (x\"@example.test>, "
            "relay=127.0.0.1[127.0.0.1]:10924, delay=0.21, delays=0/0/0.11/0.09, dsn=5.7.0, status=bounced (host "
            "127.0.0.1[127.0.0.1] said: 554 5.7.0 Reject, id=10554-02 - spam (in reply to end of DATA command))");
    feed(AMAVIS
         "(10554-02) Blocked SPAM {RejectedInbound}, [203.0.113.6]:48512 [203.0.113.6] <\"x: "
         "client=y[203.0.113.5], status=sent (250\"@b.test> -> <\"a, status=bounced (x\"@example.test>, Queue-ID: "
         "03CE6A74055, Message-ID: <m2@b.test>, mail_id: AS_pU1K6Xdbg, Hits: 1004.941, size: 398, 91 ms");
    cr_assert_str_eq(told, "203.0.113.6 spam;");
    feed(AT "postfix/smtpd[1]: 4XAB1K2c3D: client=mx.good.test[203.0.113.7]");
    feed(AT "postfix/smtpd[1]: 4XAB1K2c3G: client=mx.bad.test[203.0.113.8]");
    feed(AMAVIS "(09907-04) Blocked SPAM {RejectedInbound}, [203.0.113.8]:4711 [203.0.113.8] <\"x> , Queue-ID: "
                "4XAB1K2c3D, Passed CLEAN, y\"@b.test> -> <u@example.test>, Queue-ID: 4XAB1K2c3G, Message-ID: <m4, "
                "Queue-ID: 4XAB1K2c3D, queued_as: X>, mail_id: LzUR-NA04nU6, Hits: 6.2, size: 298, 41 ms");
    cr_assert_str_eq(told, "203.0.113.6 spam;203.0.113.8 spam;");
    feed(AT "postfix/smtpd[10603]: disconnect from x: proxy-accept: END-OF-MESSAGE: 250 [203.0.113.7]");
    feed(AT "postfix/smtpd[10603]: NOQUEUE: reject: RCPT from x[203.0.113.8]: 554 5.7.1 <a>: helo=<4XAB1K2c3D: "
            "client=z[203.0.113.99]>");
    feed(AT "evil[1]: postfix/smtpd[1]: 4XAB1K2c3D: client=mx[203.0.113.99]");
    feed(AMAVIS "(1-1) Blocked SPAM {RejectedInbound}, [203.0.113.8] <never closed, Queue-ID: 4XAB1K2c3D, x");
    cr_assert_str_eq(told, "203.0.113.6 spam;203.0.113.8 spam;");
}

Test(feed_log, a_virus_is_one) {
    feed(AT "postfix/smtpd[1]: 4XAB1K2c3F: client=unknown[203.0.113.7]");
    feed(AMAVIS "(09907-03) Blocked INFECTED (Eicar-Test) {RejectedInbound}, [203.0.113.7]:4711 [203.0.113.7] "
                "<v@b.test> -> <u@example.test>, Queue-ID: 4XAB1K2c3F, Message-ID: <m3@b.test>, mail_id: 4NjVDtwHMaMH, "
                "Hits: -, size: 160, 12 ms");
    feed(AMAVIS "(09907-03) Blocked INFECTED (Eicar-Test), <v@b.test> -> , Hits: -, tag=-999, tag2=5, kill=6, L/Y/0/0");
    cr_assert_str_eq(told, "203.0.113.7 virus;");
}

/* smtpd_client_port_logging = yes */
Test(feed_log, a_clients_port_behind_its_address_hides_nothing) {
    feed(AT "postfix/smtpd[10607]: NOQUEUE: client=mx.client.test[203.0.113.7]:40000");
    feed(AT "postfix/smtpd[10607]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 inner queued; from=<a@b.test> "
            "to=<u@example.test> proto=ESMTP helo=<mx.client.test>");
    feed(AT "postfix/smtpd[1]: 4XAB1K2c3G: client=v6.client.test[IPv6:2001:db8::7]:40000");
    feed(AMAVIS "(09907-04) Blocked SPAM {DiscardedInbound}, [2001:db8::7]:40000 [2001:db8::7] <v@b.test> -> "
                "<u@example.test>, Queue-ID: 4XAB1K2c3G, Hits: 9, size: 160, 12 ms");
    cr_assert_str_eq(told, "203.0.113.7 good;2001:db8::7 spam;");
}

Test(feed_log, a_filter_before_the_queue_is_joined_by_smtpds_process) {
    feed(AT "postfix/smtpd[10607]: NOQUEUE: client=mx.client.test[203.0.113.7]");
    feed(AT "postfix/smtpd[10611]: 43417A7405E: client=localhost[127.0.0.1], orig_client=mx.client.test[203.0.113.7]");
    feed(AT "postfix/smtpd[10607]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 from MTA(smtp:[127.0.0.1]:10925): 250 2.0.0 "
            "Ok: queued as 43417A7405E; from=<a@b.test> to=<u@example.test> proto=ESMTP helo=<mx.client.test>");
    feed(AT "postfix/smtpd[10607]: NOQUEUE: client=v6.client.test[IPv6:2001:db8::7]");
    feed(AT "postfix/smtpd[10607]: proxy-reject: END-OF-MESSAGE: 554 5.7.0 Reject, id=10554-04 - spam; from=<a@b.test> "
            "to=<u@example.test> proto=ESMTP helo=<mx.client.test>");
    feed(AT "postfix/smtpd[10607]: proxy-reject: END-OF-MESSAGE: 451 4.3.0 Error: queue file write error; from=<a@b>");
    feed(AT "postfix/smtpd[99]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok; from=<a@b.test>");
    cr_assert_str_eq(told, "203.0.113.7 good;2001:db8::7 spam;");
}

Test(feed_log, rspamd_is_joined_by_the_queue_id_that_it_names) {
    static const char *const ids[] = {"4XAB1K2c3g", "4XAB1K2c3s", "4XAB1K2c3i", "4XAB1K2c3n"};
    for (unsigned i = 0; i < 4; i++) {
        char line[200];
        snprintf(line, sizeof line, AT "postfix/smtpd[1]: %s: client=unknown[203.0.113.%u]", ids[i], i + 1);
        feed(line);
    }
    feed(RSPAMD "id: <m1@b.test>, qid: <4XAB1K2c3g>, ip: 203.0.113.5, from: <a@b.test>, (default: T (add header): "
                "[8.50/15.00] [HFILTER_HELO_5(3.00){qid: <4XAB1K2c3n>;},RDNS_NONE(1.00){}]), len: 108, time: 1ms");
    feed(RSPAMD "id: <m2@b.test>, qid: <4XAB1K2c3s>, ip: 203.0.113.5, from: <a@b.test>, (default: S (reject): "
                "[15.00/15.00] [GTUBE(0.00){}]), len: 152, time: 0.609ms, dns req: 0, digest: "
                "<e9b906e129413b19691ec76ab013cb6d>, rcpts: <u@example.test>, forced: reject \"Gtube pattern\"");
    feed(RSPAMD "id: <m3,spamd:?result:?.?0?-?X?mid=<m1@b.test>>, qid: <4XAB1K2c3i>, ip: 203.0.113.5, from: "
                "<a@b.test>, (default: S (reject): [15.00/15.00] [GTUBE(0.00){}]), len: 152, time: 0.184ms");
    feed(RSPAMD
         "id: <m4@b.test>, qid: <4XAB1K2c3n>, ip: 203.0.113.5, from: <\"x, (default: F (no action): [\"@b.test>, "
         "(default: S (soft reject): [15.00/15.00] [GTUBE(0.00){}]), len: 152");
    cr_assert_str_eq(told, "203.0.113.1 spam;203.0.113.2 spam;203.0.113.3 spam;203.0.113.4 spam;",
                     "who imitates a verdict gets this one");
    feed(AT "postfix/smtpd[1]: 4XAB1K2c3m: client=unknown[203.0.113.5]");
    feed(AT "rspamd[77]: <02499b>; task; rspamd_task_write_log: id: <m5@b.test>, qid: <4XAB1K2c3m>, ip: 203.0.113.5, "
            "from: <a@b.test>, (default: F (no action): [0.10/15.00] [MIME_GOOD(-0.10){text/plain;}]), len: 108");
    cr_assert(strstr(told, "203.0.113.5 good;") != NULL, "%s", told);
}

Test(feed_log, spamd_is_joined_by_message_id_while_only_one_open_mail_has_it) {
    feed(AT "postfix/smtpd[1]: 4AA1: client=unknown[203.0.113.1]");
    feed(AT "postfix/cleanup[1]: 4AA1: message-id=<m1@b.test>");
    feed(AT "postfix/smtpd[1]: 4AA2: client=unknown[203.0.113.2]");
    feed(AT "postfix/cleanup[1]: 4AA2: message-id=<m2@b.test>");
    feed("Nov 24 16:38:44.445 [9881] info: spamd: result: .  0 - MSGID_SHORT,NO_RECEIVED,NO_RELAYS "
         "scantime=0.1,size=108,user=root,uid=65534,required_score=5.0,rhost=localhost,raddr=127.0.0.1,rport=52436,"
         "mid=<m1@b.test>,autolearn=unavailable autolearn_force=no");
    feed(AT "spamd[9882]: spamd: result: Y 1002 - GTUBE,MISSING_DATE,MSGID_SHORT,NO_RECEIVED,NO_RELAYS "
            "scantime=0.0,size=152,user=root,uid=65534,required_score=5.0,rhost=localhost,raddr=127.0.0.1,rport=52442,"
            "mid=<m2@b.test>,autolearn=no autolearn_force=no");
    cr_assert_str_eq(told, "203.0.113.1 good;203.0.113.2 spam;");
    /* Two senders with the same id, and one whose id imitates a line. */
    feed(AT "postfix/smtpd[1]: 4AA3: client=unknown[203.0.113.3]");
    feed(AT "postfix/cleanup[1]: 4AA3: message-id=<same@b.test>");
    feed(AT "postfix/smtpd[1]: 4AA4: client=unknown[203.0.113.4]");
    feed(AT "postfix/cleanup[1]: 4AA4: message-id=<same@b.test>");
    feed(AT "spamd[1]: spamd: result: . 0 - X scantime=0.1,size=1,mid=<same@b.test>,autolearn=no");
    feed("Nov 24 16:38:44.529 [9881] info: spamd: result: Y 1006 - GTUBE,INVALID_MSGID,MISSING_DATE scantime=0.0,"
         "size=152,user=root,uid=65534,required_score=5.0,rhost=localhost,raddr=127.0.0.1,rport=52448,"
         "mid=<m3_spamd:?result:?.?0?-?X?mid=?m1@b.test>,autolearn=no autolearn_force=no");
    feed("Nov 24 16:38:44.502 [9881] info: spamd: processing message <m3,spamd:?result:?.?0?-?X?mid=?m1@b.test> for "
         "root:65534");
    cr_assert_str_eq(told, "203.0.113.1 good;203.0.113.2 spam;");
}

Test(feed_log, a_milters_rejection_counts_and_its_4xx_does_not) {
    feed(AT "postfix/smtpd[1]: 4AA1: client=mx.client.test[203.0.113.1]");
    feed(AT "postfix/cleanup[2]: 4AA1: milter-reject: END-OF-MESSAGE from mx.client.test[203.0.113.1]: 4.7.1 Try again "
            "later; from=<a@b.test> to=<u@example.test> proto=ESMTP helo=<x>");
    cr_assert_str_empty(told);
    feed(AT "postfix/cleanup[2]: 4AA1: milter-reject: END-OF-MESSAGE from mx.client.test[203.0.113.1]: 5.7.1 Spam "
            "message rejected; from=<a@b.test> to=<u@example.test> proto=ESMTP helo=<x>");
    feed(AT "postfix/cleanup[2]: 4AA1: milter-reject: END-OF-MESSAGE from mx.client.test[203.0.113.1]: 5.7.1 again");
    cr_assert_str_eq(told, "203.0.113.1 spam;");
}

Test(feed_log, delivered_without_a_verdict_is_good_only_where_the_operator_says_so) {
    static const char *const lines[] = {
        "2026-11-24T16:54:35.123456+00:00 vm1 postfix-in/smtpd[1]: 4AA1: client=mx.client.test[203.0.113.1]",
        "2026-11-24T16:54:35.123456+00:00 vm1 postfix-in/smtp[2]: 4AA1: to=<u@example.test>, relay=in[192.0.2.9]:25, "
        "delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as X)",
        "2026-11-24T16:54:35.123456+00:00 vm1 postfix-in/qmgr[3]: 4AA1: removed",
    };
    for (unsigned i = 0; i < 3; i++)
        feed(lines[i]);
    cr_assert_str_empty(told);
    feed_join_destroy(join);
    join = feed_join_create(true);
    for (unsigned i = 0; i < 3; i++)
        feed(lines[i]);
    cr_assert_str_eq(told, "203.0.113.1 good;");
}

Test(feed_log, lines_of_others_and_halves_of_lines_tell_nothing) {
    static const char *const lines[] = {
        "",
        " ",
        "x",
        "Nov",
        "Nov 24 16:54:35 ",
        "Nov 24 16:54:35 vm1",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]:",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4AA1",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4AA1: client=",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4AA1: client=x[",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4AA1: client=x[]",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4 A: client=x[192.0.2.1]",
        "Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4AA1: client=x, y[192.0.2.1]",
        "2026-11-24 16:39:20 #",
        "[1] info: spamd: ",
        "Nov 24 16:54:35 vm1 sshd[1]: 4AA1: client=x[192.0.2.1]",
        "Nov 24 1 vm1 /[1]: x",
        "a b c d [: x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        cr_assert_eq(kind_of(lines[i]), FEED_NOTHING, "%s", lines[i]);
}

Test(feed_log, the_oldest_mails_are_forgotten_first) {
    char line[200];
    for (unsigned i = 0; i < FEED_MAILS_MAX + 10; i++) {
        snprintf(line, sizeof line, AT "postfix/smtpd[1]: Q%u: client=x[198.51.%u.%u]", i, i / 250 % 250, i % 250);
        feed(line);
    }
    feed(AMAVIS "(1-1) Passed CLEAN {X}, <a@b> -> <c@d>, Queue-ID: Q5, x");
    cr_assert_str_empty(told);
    feed(AMAVIS "(1-1) Passed CLEAN {X}, <a@b> -> <c@d>, Queue-ID: Q10, x");
    cr_assert_str_eq(told, "198.51.0.10 good;");
}

/* The same line as each program that keeps logs writes it. */
Test(feed_log, a_line_is_read_whatever_stands_before_it) {
    static const char *const starts[] = {
        "Nov 24 16:54:35 vm1 ",                               /* syslog, journalctl -o short */
        "Nov  4 16:54:35 vm1 ",                               /* a day of one digit */
        "Nov 24 16:54:35.123456 vm1 ",                        /* journalctl -o short-precise */
        "2026-11-24T16:54:35.870581+00:00 vm1.example.test ", /* rsyslog */
        "2026-11-24T16:54:35+0100 vm1 ",                      /* journalctl -o short-iso */
        "2026-11-24T16:54:35.123456+0100 vm1 ",               /* journalctl -o short-iso-precise */
        "Tue 2026-11-24 16:54:35 UTC vm1 ",                   /* journalctl -o short-full */
        "Tue 2026-11-24 16:54:35 CET vm1 ",
        "1764003275.123456 vm1 ", /* journalctl -o short-unix */
        "[12345.678901] vm1 ",    /* journalctl -o short-monotonic */
        "[    5.678901] vm1 ",
        "Nov 24 16:54:35 <mail.info> vm1 ", /* FreeBSD, syslogd -vv */
        "Nov 24 16:54:35 <2.6> vm1 ",       /* FreeBSD, syslogd -v */
        "2026-11-24T16:54:35.123456+00:00 <mail.info> vm1 ",
    };
    char line[300];
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        snprintf(line, sizeof line, "%spostfix/smtpd[10602]: 033B6A7405%zu: client=mx.client.test[203.0.113.5]",
                 starts[i], i % 10);
        cr_assert_eq(kind_of(line), FEED_CLIENT, "%s", line);
        snprintf(line, sizeof line,
                 "%s/usr/local/sbin/amavisd[9907]: (10554-01) Passed CLEAN {RelayedInbound}, "
                 "[203.0.113.5]:48498 [203.0.113.5] <a@b.test> -> <u@example.test>, Queue-ID: 033B6A74054, Message-ID: "
                 "<m1@b.test>",
                 starts[i]);
        cr_assert_eq(kind_of(line), FEED_VERDICT, "%s", line);
    }
    cr_assert_eq(kind_of("<22>1 2026-11-24T16:54:35.123456+00:00 vm1 postfix/smtpd 10602 - - 033B6A74054: "
                         "client=mx.client.test[203.0.113.5]"),
                 FEED_CLIENT);
    cr_assert_eq(kind_of("<22>1 2026-11-24T16:54:35.123456+00:00 vm1 postfix/smtpd - - - 033B6A74054: "
                         "client=mx.client.test[203.0.113.5]"),
                 FEED_NOTHING, "no process");
    static const char *const others[] = {"-- Journal begins at Tue 2026-11-24 16:54:35 UTC. --",
                                         "-- Boot 0123456789abcdef --",
                                         "Nov 24 16:54:35 vm1 last message repeated 3 times",
                                         "Nov 24 16:54:35 <mail.info>",
                                         "[",
                                         "[ ",
                                         "<22>1",
                                         "<22>1 ",
                                         "<22>1 - - - - - -",
                                         "<",
                                         "Tue 2026-11-24",
                                         ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        cr_assert_eq(kind_of(others[i]), FEED_NOTHING, "%s", others[i]);
}

Test(feed_log, what_rspamd_quarantines_or_discards_is_spam_and_what_it_delays_is_nothing) {
    static const struct {
        const char *action;
        enum feed_event_kind kind;
    } rows[] = {{"T (quarantine)", FEED_VERDICT},  {"T (discard)", FEED_VERDICT},       {"F (greylist)", FEED_NOTHING},
                {"F (soft reject)", FEED_NOTHING}, {"F (custom)", FEED_NOTHING},        {"S (discard)", FEED_VERDICT},
                {"F (no action)", FEED_VERDICT},   {"T (unknown action)", FEED_NOTHING}};
    char line[400];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct feed_event event;
        snprintf(line, sizeof line,
                 RSPAMD "id: <m@b.test>, qid: <1F183A78724>, ip: 203.0.113.33, from: <a@b.test>, (default: %s: "
                        "[16.50/15.00] [BAYES_SPAM(5.10){99.9%%;}]), len: 198",
                 rows[i].action);
        feed_log_read(line, &event);
        cr_assert_eq(event.kind, rows[i].kind, "%s", rows[i].action);
        if (event.kind == FEED_VERDICT)
            cr_assert_eq(event.verdict,
                         strstr(rows[i].action, "no action") != NULL ? EVIDENCE_FEEDBACK_GOOD : EVIDENCE_FEEDBACK_SPAM);
    }
}

Test(feed_log, a_client_of_the_local_link_keeps_its_verdict) {
    struct feed_event event;
    feed_log_read(AT "postfix/smtpd[10602]: 033B6A74054: client=unknown[IPv6:fe80::1%lo]", &event);
    cr_assert_eq(event.kind, FEED_CLIENT);
    cr_assert(address_is_link_local(&event.client) && event.client.in6.sin6_scope_id == 0);
}
