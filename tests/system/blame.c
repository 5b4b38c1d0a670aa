/* Nobody is blamed for another's fault: what clients bring about is held against no backend, and a backend that really
 * fails is found all the same. */
#include "scripted.h"
#include "talk.h"

#include "lb/engine/limits.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO TALK_HELLO
#define MAIL  TALK_MAIL
#define RCPT  TALK_RCPT

/* --- three hosts of the same kind --- */

struct hosts {
    struct scene scene;
    struct scripted hosts[3];
};

static void begin_hosts(struct hosts *site) {
    scene_begin(&site->scene, false);
    for (unsigned i = 0; i < 3; i++)
        scripted_begin(&site->hosts[i]);
    postern_tier(&site->scene, "primary", "balance = roundrobin\ninter = 300ms\n");
    postern_backend(&site->scene, "vm1", site->hosts[0].port, "");
    postern_backend(&site->scene, "vm2", site->hosts[1].port, "");
    postern_backend(&site->scene, "vm3", site->hosts[2].port, "");
    postern_start(&site->scene);
    await_up(&site->scene, "vm1");
    await_up(&site->scene, "vm2");
    await_up(&site->scene, "vm3");
}

static void end_hosts(struct hosts *site) {
    WAIT_FOR(info_figure(&site->scene, "sessions") == 0, 10000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") == 0, 5000);
    for (unsigned i = 0; i < 3; i++)
        scripted_end(&site->hosts[i]);
    scene_end(&site->scene);
}

static void give_rule(struct hosts *site, unsigned host, struct scripted_rule rule) {
    unsigned i = 0;
    while (site->hosts[host].rules[i].line != NULL)
        i++;
    cr_assert(i < SCRIPTED_RULES_MAX);
    site->hosts[host].rules[i] = rule;
}

static void assert_nobody_is_blamed(struct scene *scene) {
    cr_assert_not(log_has_by_now(scene, "-> ejected"));
    for (unsigned i = 1; i <= 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "vm%u", i);
        cr_assert_eq(server_figure(scene, name, "failures"), 0, "%s", name);
    }
}

/* Eighteen clients, six for each host, say `steps` (talk_script()). */
static void talk_from_all(struct scene *scene, const char *name, unsigned network, const char *const *steps) {
    for (unsigned i = 1; i <= 18; i++) {
        char source[20];
        snprintf(source, sizeof source, "127.0.%u.%u", network, i);
        talk_script(name, source, scene->port, steps);
    }
}

/* As Postfix, Exim, Haraka and others do it; each with what has been said before, and what follows in one breath. */
Test(blame, a_client_that_is_refused_in_words_and_hung_up_on_hears_both_and_blames_nobody) {
    static const struct {
        const char *name;
        struct scripted_rule rule;
        const char *steps[14];
    } kinds[] = {
        {"http",
         {"GET", "221 2.7.0 Error: I can break rules, too. Goodbye.\r\n", HANGS_UP, 0},
         {"220", "GET / HTTP/1.1\r\nHost: mx\r\nUser-Agent: x\r\n\r\n", "221", "", "closed"}},
        {"junk, then reset",
         {"GET", "221 2.7.0 Goodbye.\r\n", RESETS, 0},
         {"220", "GET / HTTP/1.1\r\n", "221", "", "closed"}},
        {"too many errors",
         {"XYZZY", "500 Too many unrecognized commands\r\n", HANGS_UP, 0},
         {"220", HELLO, "250", "XYZZY\r\nXYZZY\r\nXYZZY\r\n", "500", "", "closed"}},
        {"421 with a policy",
         {"XYZZY", "421 4.7.0 Error: too many errors\r\n", HANGS_UP, 0},
         {"220", HELLO, "250", "XYZZY\r\nXYZZY\r\n", "421", "", "closed"}},
        {"drop at RCPT",
         {"RCPT", "550 Administrative prohibition\r\n", HANGS_UP, 0},
         {"220", HELLO, "250", MAIL, "250", RCPT, "550", "", "closed"}},
        {"drop at MAIL, pipelined",
         {"MAIL", "550 not from you\r\n", HANGS_UP, 0},
         {"220", HELLO, "250", MAIL RCPT "DATA\r\n", "550", "", "closed"}},
        {"521 at EHLO",
         {"EHLO client", "521 5.7.1 no service here\r\n", HANGS_UP, 0},
         {"220", HELLO, "521", "", "closed"}},
        {"synchronization",
         {"HELO", "554 SMTP synchronization error\r\n", HANGS_UP, 0},
         {"220", "HELO x\r\n" MAIL RCPT, "554", "", "closed"}},
        {"at the dot",
         {".", "552 5.3.4 too big for us\r\n", HANGS_UP, 0},
         {"220", HELLO, "250", MAIL, "250", RCPT, "250", "DATA\r\n", "354", "text\r\n.\r\n", "552", "", "closed"}},
        {"not now",
         {"RCPT", "450 4.7.1 try later\r\n", HANGS_UP, 0},
         {"220", HELLO, "250", MAIL, "250", RCPT, "450", "", "closed"}},
    };
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (unsigned host = 0; host < 3; host++)
            site.hosts[host].rules[0] = kinds[i].rule;
        talk_from_all(&site.scene, kinds[i].name, 10 + i, kinds[i].steps);
        WAIT_FOR(log_count(&site.scene, "end=SW") == 18 * (i + 1), 5000);
    }
    cr_assert_not(log_has_by_now(&site.scene, "it is replayed"));
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}

/* Exim says 421 to a client that has half-closed; others hang up at once, or reset. */
Test(blame, a_client_that_closes_blames_nobody_and_leaves_no_session_behind) {
    static const struct scripted_rule kinds[] = {
        {"EOF", "421 scripted lost input connection\r\n", HANGS_UP, 0},
        {"EOF", "", RESETS, 0},
        {"EOF", "451 timeout (#4.4.2)\r\n", HANGS_UP, 0},
        {"EOF", "", HANGS_UP, 0},
    };
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (unsigned host = 0; host < 3; host++)
            site.hosts[host].rules[0] = kinds[i];
        talk_from_all(&site.scene, "it closes", 30 + i, (const char *const[]){"220", HELLO, "250", MAIL, "250", NULL});
        talk_from_all(&site.scene, "in a command", 40 + i, (const char *const[]){"220", HELLO, "250", "MAIL FR", NULL});
        WAIT_FOR(log_count(&site.scene, "end=CR") == 36 * (i + 1), 5000);
    }
    cr_assert_not(log_has_by_now(&site.scene, "it is replayed"));
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}

/* Sooner than a client is idle the backend is going down: the session goes on with another one. */
Test(blame, a_backend_that_leaves_an_idle_client_is_replaced_and_not_blamed) {
    static const char *const words[] = {"421 4.4.2 scripted timeout\r\n", "421 bye\r\n", "451 timeout (#4.4.2)\r\n",
                                        "421 4.3.2 shutting down\r\n"};
    static const char *const steps[] = {"",    MAIL,         "250", RCPT,       "250", "DATA\r\n",
                                        "354", "x\r\n.\r\n", "250", "QUIT\r\n", "221", NULL};
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        give_rule(&site, 0, (struct scripted_rule){"EHLO client", words[i], HANGS_UP, 20});
        for (unsigned client = 1; client <= 9; client++) {
            char source[20];
            struct talk talk;
            snprintf(source, sizeof source, "127.0.%u.%u", 50 + i, client);
            talk_open(&talk, source, site.scene.port);
            WAIT_FOR(server_figure(&site.scene, "vm1", "sessions") == 0, 5000); /* where it was there, it was left */
            talk_steps(&talk, words[i], steps);
            talk_end(&talk);
        }
        memset(site.hosts[0].rules, 0, sizeof site.hosts[0].rules);
    }
    WAIT_FOR(log_count(&site.scene, "said 421; it is replayed") >= 3 * 4, 5000);
    WAIT_FOR(log_has(&site.scene, "server vm1: it has said 421 to 5 clients in a row without being asked"), 5000);
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}

Test(blame, a_client_that_was_idle_for_a_minute_hears_its_backends_421_and_the_end, .timeout = 120) {
    static const char *const words[] = {"421 4.4.2 scripted timeout\r\n", "421 bye\r\n", "451 timeout (#4.4.2)\r\n"};
    struct talk talks[3];
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < 3; i++)
        give_rule(&site, i, (struct scripted_rule){"EHLO client", words[i], HANGS_UP, 60500});
    for (unsigned i = 0; i < 3; i++)
        talk_open(&talks[i], "127.0.60.1", site.scene.port);
    for (unsigned i = 0; i < 3; i++) {
        const char *reply = talk_hear(&talks[i], 70000);
        cr_assert(strncmp(reply, "421", 3) == 0 || strncmp(reply, "451", 3) == 0, "%s", reply);
        talk_expect(&talks[i], "closed");
        talk_end(&talks[i]);
    }
    WAIT_FOR(log_count(&site.scene, "end=SW") == 3, 5000);
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}

/* Six clients, two for each host, that say `steps` and then wait for the end; held at once. */
static void stall_at_all(struct scene *scene, unsigned network, const char *const *steps, struct talk talks[6]) {
    for (unsigned i = 0; i < 6; i++) {
        char source[20];
        snprintf(source, sizeof source, "127.0.%u.%u", network, i + 1);
        talk_begin(&talks[i], source, scene->port);
        talk_steps(&talks[i], source, steps);
    }
}

static json_int_t sum_of_all(struct scene *scene, const char *key) {
    return server_figure(scene, "vm1", key) + server_figure(scene, "vm2", key) + server_figure(scene, "vm3", key);
}

/* Six seconds are more than a backend's end without a word is held against it for. */
static const struct scripted_rule tired_of_chunks[] = {
    {"BDAT", "421 4.4.2 scripted timeout\r\n", HANGS_UP, 6000}, /* some in pieces, see below */
    {"BDAT", "", HANGS_UP, 6000},
    {"BDAT", "", RESETS, 6000},
};

Test(blame, a_client_that_stalls_in_a_chunk_blames_nobody_when_the_backend_ends_it, .timeout = 120) {
    static const char *const chunks[] = {"BDAT 1000 LAST\r\nabc", "BDAT 1000\r\nabc"};
    static struct talk talks[2][6];
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < sizeof tired_of_chunks / sizeof tired_of_chunks[0]; i++) {
        for (unsigned host = 0; host < 3; host++) {
            site.hosts[host].rules[0] = (struct scripted_rule){"BDAT", "", GOES_ON, 0};
            site.hosts[host].rules[1] = tired_of_chunks[i];
            site.hosts[host].piece = host; /* octets */
        }
        for (unsigned chunk = 0; chunk < 2; chunk++)
            stall_at_all(&site.scene, 100 + 2 * i + chunk,
                         (const char *const[]){"220", HELLO, "250", MAIL, "250", RCPT, "250", chunks[chunk], NULL},
                         talks[chunk]);
        WAIT_FOR(sum_of_all(&site.scene, "sessions") == 0, 15000);
        for (unsigned chunk = 0; chunk < 2; chunk++)
            for (unsigned client = 0; client < 6; client++)
                talk_end(&talks[chunk][client]);
    }
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}

/* A client that sends its chunk is not to blame, nor what the backend refused before it. */
Test(blame, a_backend_that_ends_a_client_in_the_middle_of_its_chunk_is_charged_with_it) {
    static const struct {
        struct scripted_rule recipient, chunk;
        const char *reply;
    } kinds[] = {
        {{"RCPT", "250 ok\r\n", GOES_ON, 0}, {"BDAT", "421 4.3.0 going down\r\n", HANGS_UP, 0}, "250"},
        {{"RCPT", "250 ok\r\n", GOES_ON, 0}, {"BDAT", "", HANGS_UP, 0}, "250"},
        {{"RCPT", "550 not him\r\n", GOES_ON, 0}, {"BDAT", "", HANGS_UP, 0}, "550"},
    };
    static struct talk talks[6];
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (unsigned host = 0; host < 3; host++) {
            site.hosts[host].rules[0] = kinds[i].recipient;
            site.hosts[host].rules[1] = kinds[i].chunk;
        }
        stall_at_all(&site.scene, 110 + i,
                     (const char *const[]){"220", HELLO, "250", MAIL, "250", RCPT, kinds[i].reply, NULL}, talks);
        pause_ms(LAST_WORD_MS + 100); /* what it says from here on has nothing to do with that */
        for (unsigned client = 0; client < 6; client++)
            talk_tell(&talks[client], "BDAT 1000 LAST\r\nabc");
        WAIT_FOR(sum_of_all(&site.scene, "failures") == 6 * (i + 1), 5000);
        for (unsigned client = 0; client < 6; client++)
            talk_end(&talks[client]);
    }
    end_hosts(&site);
}

/* It may be right to: another one's words bind it to nothing. */
Test(blame, a_host_that_answers_otherwise_than_the_one_that_was_lost_has_failed_nobody) {
    struct hosts site;
    begin_hosts(&site);
    give_rule(&site, 0, (struct scripted_rule){"RCPT", "", HANGS_UP, 0});
    give_rule(&site, 1, (struct scripted_rule){"MAIL", "452 4.3.1 full\r\n", GOES_ON, 0});
    for (unsigned i = 1; i <= 9; i++) {
        char source[20];
        struct talk talk;
        snprintf(source, sizeof source, "127.0.130.%u", i);
        talk_open(&talk, source, site.scene.port);
        talk_tell(&talk, MAIL);
        bool is_full = strncmp(talk_hear(&talk, 5000), "452", 3) == 0;
        if (!is_full) {
            talk_exchange(&talk, RCPT, "250");
        }
        talk_end(&talk);
    }
    WAIT_FOR(log_has(&site.scene, "replay: it answers otherwise"), 5000);
    cr_assert(server_figure(&site.scene, "vm1", "failures") > 0);
    cr_assert_eq(server_figure(&site.scene, "vm2", "failures"), 0);
    end_hosts(&site);
}

/* Bots half-close behind QUIT. */
Test(blame, a_session_that_half_closes_behind_quit_clears_a_backend_that_served_it) {
    struct hosts site;
    begin_hosts(&site);
    for (unsigned round = 0; round < 4; round++) {
        char source[20];
        /* vm1 fails two clients, … */
        site.hosts[0].rules[0] = (struct scripted_rule){"EHLO client", "", HANGS_UP, 0};
        for (unsigned i = 0; i < 6; i++) {
            snprintf(source, sizeof source, "127.0.%u.%u", 120 + round, i + 1);
            talk_script("a mail", source, site.scene.port,
                        (const char *const[]){"220", HELLO, "250", MAIL, "250", RCPT, "250", "DATA\r\n", "354",
                                              "x\r\n.\r\n", "250", "QUIT\r\n", "221", NULL});
        }
        WAIT_FOR(server_figure(&site.scene, "vm1", "failures") >= (json_int_t)(2 * (round + 1)), 5000);
        /* … and serves two bots. */
        memset(site.hosts[0].rules, 0, sizeof site.hosts[0].rules);
        for (unsigned i = 0; i < 6; i++) {
            struct talk talk;
            snprintf(source, sizeof source, "127.0.%u.%u", 120 + round, 100 + i);
            talk_open(&talk, source, site.scene.port);
            talk_tell(&talk, "QUIT\r\n");
            shutdown(talk.fd, SHUT_WR);
            talk_expect(&talk, "221");
            talk_end(&talk);
        }
    }
    cr_assert_not(log_has_by_now(&site.scene, "-> ejected"));
    end_hosts(&site);
}

/* What a poisoned command does to all is nobody's fault, even where the session goes on afterwards. */
Test(blame, what_every_backend_fails_at_is_held_against_none) {
    struct hosts site;
    begin_hosts(&site);
    for (unsigned host = 0; host < 3; host++)
        give_rule(&site, host, (struct scripted_rule){"RCPT TO:<poison", "", HANGS_UP, 0});
    for (unsigned i = 1; i <= 18; i++) {
        char source[20];
        snprintf(source, sizeof source, "127.0.61.%u", i);
        talk_script("poison", source, site.scene.port,
                    (const char *const[]){"220", HELLO, "250", MAIL, "250", "RCPT TO:<poison@example.test>\r\n", "421",
                                          "", "closed", NULL});
    }
    WAIT_FOR(log_count(&site.scene, "end=SR") == 18, 5000);
    cr_assert_not(log_has_by_now(&site.scene, "-> ejected"));
    end_hosts(&site);
}

/* Exim's `drop` leaves the commands behind it unanswered; the other host is told them, and takes the mail. */
Test(blame, a_host_that_drops_one_recipient_of_a_group_is_not_blamed_when_the_rest_goes_on) {
    static const enum scripted_end ends[] = {HANGS_UP, RESETS};
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned host = 0; host < 3; host++)
            site.hosts[host].rules[0] =
                (struct scripted_rule){"RCPT TO:<trap", "550 Administrative prohibition\r\n", ends[i], 0};
        talk_from_all(&site.scene, "trap", 70 + i,
                      (const char *const[]){"220", HELLO, "250", MAIL "RCPT TO:<trap@example.test>\r\n" RCPT "DATA\r\n",
                                            "250", "", "550", "", "250", "", "354", "text\r\n.\r\n", "250", "QUIT\r\n",
                                            "221", NULL});
    }
    WAIT_FOR(log_count(&site.scene, "end=--") == 36, 5000);
    cr_assert_eq(log_count(&site.scene, "it is replayed"), 36);
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}

/* Behind a bare LF postern reads no more; the server answers on, and one of the two ends it: behind its answer it has
 * finished, without one it has not. */
Test(blame, an_end_where_nothing_can_be_read_is_told_as_what_it_is_and_blames_nobody) {
    static const struct scripted_rule kinds[] = {
        {"XYZZY", "500 what?\r\n", HANGS_UP, 0}, {"XYZZY", "", HANGS_UP, 0}, {"XYZZY", "221 Bye\r\n", HANGS_UP, 0}};
    static const char *const told[] = {"end=-- ", "end=SR reason=\"the backend ended ", "end=-- "};
    static const char *const steps[] = {"220", "EHLO client.test\n", "250", "XYZZY\n", "", "", "", "", NULL};
    static const char *const unanswered[] = {"220", "EHLO client.test\n", "250", "XYZZY\n", "closed", NULL};
    unsigned ended[2] = {0};
    struct hosts site;
    begin_hosts(&site);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (unsigned host = 0; host < 3; host++)
            site.hosts[host].rules[0] = kinds[i];
        talk_from_all(&site.scene, "opaque", 80 + i, i == 1 ? unanswered : steps);
        char line[120];
        snprintf(line, sizeof line, "mails=- code=- phase=untrusted vetted=no replays=0 %s", told[i]);
        unsigned count = ended[i == 1] += 18;
        WAIT_FOR(log_count(&site.scene, line) == count, 5000);
    }
    for (unsigned host = 0; host < 3; host++)
        site.hosts[host].rules[0] = (struct scripted_rule){"XYZZY", "", RESETS, 0};
    talk_from_all(&site.scene, "reset", 90, unanswered);
    WAIT_FOR(log_count(&site.scene, "end=SR reason=\"the backend reset the connection") == 18, 5000);
    assert_nobody_is_blamed(&site.scene);
    end_hosts(&site);
}
