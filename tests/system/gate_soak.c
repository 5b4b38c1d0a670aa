/* Valid and junk clients at random before a gate whose strict hosts fail, drain and stop, and whose DNS falls silent:
 * whatever happens, each command has its reply in its place or an honest 421, and no mail is lost or doubled. What the
 * clients do follows from the seed that is printed; POSTERN_SOAK_SEED=N gives it again. */
#include "speaker.h"
#include "unbound.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 12
#define RUN_MS  8000u
/* A slow machine goes on until so many have passed. */
#define MAILS_LEAST 20u
#define SLOW_MS     60000u

#define DNS_DATA                                                                                                       \
    "  local-data: \"sender.test. 1 IN MX 10 mail.sender.test.\"\n"                                                    \
    "  local-data: \"mail.sender.test. 1 IN A 127.0.0.9\"\n"                                                           \
    "  local-data: \"null.test. 1 IN MX 0 .\"\n"

/* What the host says of its own accord by its faults, beside what the gate says of hosts and DNS that are not there. */
#define HOST_AWAY                                                                                                      \
    "451 4.4.1|451 4.3.1 no room|450 4.1.8|554 5.7.1 you are listed|421 4.7.0 too many connections from you"

static const char *const faults[] = {
    "none",       "none",     "none",     "none",           "none",         "hang",       "banner-421",
    "banner-554", "reset",    "refuse",   "banner-half",    "close-accept", "mail-die",   "mail-421",
    "mail-451",   "rcpt-die", "data-die", "dot-close",      "dot-silent",   "dot-550",    "banner-554-policy",
    "mail-reset", "none",     "none",     "banner-garbage", "quit-silent",  "mail-reset", "banner-421-policy"};

static struct scene scene;
static struct test_sink hosts[2];
static struct test_unbound unbound;
static struct speaker speakers[CLIENTS];
static atomic_bool is_over;
static FILE *accepted_ids;
static pthread_mutex_t accepted_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint accepted;

/* --- a client that keeps to the protocol --- */

static void note_accepted(const char *id) {
    pthread_mutex_lock(&accepted_lock);
    accepted++;
    if (accepted_ids != NULL)
        fprintf(accepted_ids, "%s\n", id);
    pthread_mutex_unlock(&accepted_lock);
}

/* A mail with its id; dots and line lengths as they come. `end`: behind the last line. */
static void write_content(struct speaker *speaker, const char *id, const char *end) {
    unsigned lines = speaker_draw(speaker, 4) == 0 ? speaker_draw(speaker, 600) : speaker_draw(speaker, 20);
    speaker_write(speaker, "X-Bench-Id: %s\r\nSubject: soak\r\n\r\n", id);
    while (lines-- > 0)
        speaker_write(speaker, "%s%.*s\r\n", speaker_draw(speaker, 8) == 0 ? ".." : "", (int)speaker_draw(speaker, 70),
                      "the quick brown fox jumps over the lazy dog, and then again, and once more.");
    speaker_write(speaker, "%s", end);
}

/* MAIL and some recipients, of which some are none of ours; what is heard later. */
static unsigned write_envelope(struct speaker *speaker, bool is_grouped, bool *ret_is_open) {
    unsigned recipients = 1 + speaker_draw(speaker, 3), heard = 0;
    speaker_write(speaker, "MAIL FROM:<a%u@sender.test>\r\n", speaker_draw(speaker, 1000));
    *ret_is_open = is_grouped || speaker_exchange(speaker, "250 2.1.0|451 4.3.1 no room");
    for (unsigned i = 0; i < recipients && *ret_is_open; i++) {
        speaker_write(speaker, "RCPT TO:<%s@example.test>\r\n", i > 0 ? "other" : "user");
        if (is_grouped)
            continue;
        *ret_is_open = speaker_exchange(speaker, "250 2.1.5|" HOST_AWAY);
        heard += speaker->code == 250;
    }
    return is_grouped ? recipients : heard;
}

/* The replies to what write_envelope() has written as a group. Returns the accepted recipients. */
static unsigned hear_envelope(struct speaker *speaker, unsigned recipients) {
    unsigned taken = 0;
    if (!speaker_hear(speaker, "250 2.1.0|451 4.3.1 no room"))
        return 0;
    for (unsigned i = 0; i < recipients && speaker_hear(speaker, "250 2.1.5|" HOST_AWAY); i++)
        taken += speaker->code == 250;
    return taken;
}

/* One mail by DATA. False when the session is over. */
static bool mail_by_data(struct speaker *speaker, const char *id) {
    bool is_grouped = speaker_draw(speaker, 2) == 0, is_open;
    unsigned recipients = write_envelope(speaker, is_grouped, &is_open);
    if (!is_open)
        return false;
    speaker_write(speaker, "DATA\r\n");
    speaker_say(speaker);
    if (is_grouped)
        recipients = hear_envelope(speaker, recipients);
    if (!speaker_hear(speaker, recipients > 0 ? "354" : "354|554 5.5.1|503 5.5.1"))
        return false;
    if (speaker->code != 354)
        return true;
    bool goes_on = speaker_draw(speaker, 3) == 0; /* with the next command in the same segment */
    write_content(speaker, id, goes_on ? ".\r\nNOOP\r\n" : ".\r\n");
    if (!speaker_exchange(speaker, "250 2.0.0 bastion|550 5.7.1 this is spam"))
        return false;
    if (speaker->code == 250)
        note_accepted(id);
    return !goes_on || speaker_hear(speaker, "250 2.0.0");
}

/* As Exim says it: envelope, BDAT and content at once. */
static bool mail_by_chunks(struct speaker *speaker, const char *id) {
    static char content[SPEAKER_OUTPUT_MAX];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool is_open;
    pthread_mutex_lock(&lock);
    write_content(speaker, id, "");
    size_t length = speaker_take_back(speaker, content);
    unsigned recipients = write_envelope(speaker, true, &is_open);
    size_t first = speaker_draw(speaker, 2) == 0 || length < 200 ? length : 100 + length / 3;
    speaker_write(speaker, "BDAT %zu%s\r\n", first, first == length ? " LAST" : "");
    speaker_write_octets(speaker, content, first);
    if (first < length) {
        speaker_write(speaker, "BDAT %zu LAST\r\n", length - first);
        speaker_write_octets(speaker, content + first, length - first);
    }
    pthread_mutex_unlock(&lock);
    speaker_say(speaker);
    recipients = hear_envelope(speaker, recipients);
    const char *refused =
        recipients > 0 ? "250 2.0.0|550 5.7.1 this is spam" : "250 2.0.0|550 5.7.1 this is spam|554 5.5.1|503 5.5.1";
    if (!speaker_hear(speaker, refused) || (first < length && !speaker_hear(speaker, refused)))
        return false;
    if (speaker->code == 250)
        note_accepted(id);
    speaker_write(speaker, "RSET\r\n"); /* of refused chunks nothing is left (RFC 3030 §2) */
    return speaker_exchange(speaker, "250 2.0.0");
}

static void speak_well(struct speaker *speaker) {
    unsigned mails = 1 + speaker_draw(speaker, 3);
    if (!speaker_hear(speaker, "220"))
        return;
    speaker_write(speaker, "EHLO client.test\r\n");
    if (!speaker_exchange(speaker, "250"))
        return;
    while (mails-- > 0) {
        char id[40];
        snprintf(id, sizeof id, "%s-%u", speaker->name, speaker->mails++);
        bool goes_on = speaker_draw(speaker, 2) == 0 ? mail_by_data(speaker, id) : mail_by_chunks(speaker, id);
        if (!goes_on)
            return;
        speaker_write(speaker, speaker_draw(speaker, 2) == 0 ? "RSET\r\n" : "NOOP\r\nRSET\r\n");
        bool is_pair = speaker->output_length > 6;
        if (!speaker_exchange(speaker, "250 2.0.0") || (is_pair && !speaker_hear(speaker, "250 2.0.0")))
            return;
    }
    speaker_write(speaker, "QUIT\r\n");
    speaker_say(speaker);
    if (speaker_draw(speaker, 3) == 0)
        speaker_half_close(speaker);
    if (speaker_hear(speaker, "221"))
        speaker_hear_end(speaker);
}

/* --- clients that don't --- */

#define HELO "EHLO junk.test\r\n"
#define MAIL "MAIL FROM:<a@sender.test>\r\n"
#define RCPT "RCPT TO:<user@example.test>\r\n"

/* Each step is said when one reply to the step before has come. `is_cut`: the gate ends it. */
static const struct junk {
    bool is_cut, is_early;
    const char *steps[6];
} junk[] = {
    {true, true, {HELO}},
    {false, false, {HELO MAIL RCPT}},
    {true, false, {"GET / HTTP/1.1\r\nHost: mx.example.test\r\n\r\n"}},
    {true, false, {"\x16\x03\x01\x02"}},
    {true, false, {HELO, "MAIL FROM:<a@sender.test>\n"}},
    {true, false, {HELO, "NOOP\rNOOP\r\n"}},
    {true, false, {HELO, "STARTTLS\r\nEHLO x\r\n"}},
    {true,
     false,
     {HELO, "A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\nH\r\nI\r\nJ\r\nK\r\nL\r\nM\r\nN\r\nO\r\nP\r\nQ\r\nR\r\nS"
            "\r\nT\r\nU\r\nV\r\n"}},
    {false, false, {HELO, MAIL, "RCPT TO:<nobody@example.test>\r\n", "DATA\r\n", "QUIT\r\n"}},
    {false, false, {HELO, "BDAT 12 LAST\r\nQUIT\r\nQUIT\r\n", "MAIL FROM:<a@null.test>\r\n" RCPT, "QUIT\r\n"}},
    {false, false, {HELO, "MAIL FROM:<a@unknown.test>\r\n" RCPT RCPT RCPT "DATA\r\n", "QUIT\r\n"}},
    {false, false, {HELO, MAIL RCPT "RSET\r\n" MAIL RCPT "RSET\r\n" MAIL RCPT "RSET\r\n", "QUIT\r\n"}},
};

static void speak_junk(struct speaker *speaker) {
    const struct junk *kind = &junk[speaker_draw(speaker, sizeof junk / sizeof junk[0])];
    if (!kind->is_early && !speaker_hear(speaker, "220"))
        return;
    for (unsigned i = 0; i < 6 && kind->steps[i] != NULL; i++) {
        speaker_write(speaker, "%s", kind->steps[i]);
        if (!speaker_exchange(speaker, "2|4|5"))
            return;
    }
    bool was_not_early = kind->is_early && speaker->code == 220; /* it has waited once, and need not any more */
    if (kind->is_cut && !was_not_early)
        speaker_hear_end(speaker);
}

/* A second mail behind what some servers take for the end of the first. */
static void speak_to_smuggle(struct speaker *speaker) {
    static const char *const ends[] = {"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n"};
    if (!speaker_hear(speaker, "220"))
        return;
    speaker_write(speaker, HELO);
    if (!speaker_exchange(speaker, "250"))
        return;
    speaker_write(speaker, MAIL RCPT "DATA\r\n");
    speaker_say(speaker);
    if (hear_envelope(speaker, 1) == 0 || !speaker_hear(speaker, "354"))
        return;
    speaker_write(speaker, "Subject: x\r\n\r\nhello%s" MAIL RCPT "DATA\r\nX-Bench-Id: smuggled\r\n\r\nx\r\n.\r\n",
                  ends[speaker_draw(speaker, sizeof ends / sizeof ends[0])]);
    speaker_say(speaker);
    speaker_hear(speaker, "421");
}

static void *run_client(void *argument) {
    struct speaker *speaker = argument;
    while (!atomic_load(&is_over)) {
        unsigned kind = speaker_draw(speaker, 8);
        speaker->is_clean = kind < 5;
        if (!speaker_begin(speaker, scene.port))
            break;
        if (kind == 4) /* it leaves somewhere */
            speaker_leave_after(speaker, speaker_draw(speaker, 2000));
        if (kind < 5)
            speak_well(speaker);
        else if (kind < 7)
            speak_junk(speaker);
        else
            speak_to_smuggle(speaker);
        speaker_end(speaker);
        pause_ms(5 + speaker_draw(speaker, 20));
    }
    return NULL;
}

/* --- the site --- */

/* One host after the other, so that some mail passes. */
static void disturb(struct speaker *dice) {
    unsigned i = speaker_draw(dice, 2);
    sink_fault(&hosts[1 - i], "none");
    sink_fault(&hosts[i], faults[speaker_draw(dice, sizeof faults / sizeof faults[0])]);
    switch (speaker_draw(dice, 7)) {
    case 0:
        free(ctl(&scene, NULL, "set server %s state drain", hosts[i].name));
        break;
    case 1:
        free(ctl(&scene, NULL, "shutdown sessions server %s", hosts[i].name));
        break;
    case 2:
        kill(hosts[i].pid, SIGSTOP);
        pause_ms(200);
        kill(hosts[i].pid, SIGCONT);
        break;
    case 3:
        kill(unbound.pid, SIGSTOP);
        pause_ms(300);
        kill(unbound.pid, SIGCONT);
        break;
    case 4:
        free(ctl(&scene, NULL, "reload"));
        break;
    default:
        break;
    }
    pause_ms(150);
    free(ctl(&scene, NULL, "set server %s state ready", hosts[i].name));
}

static void begin_site(void) {
    static const char *const names[] = {"bastion1", "bastion2"};
    scene_begin(&scene, false);
    unbound_begin(&scene, &unbound, DNS_DATA);
    for (unsigned i = 0; i < 2; i++) {
        char options[120];
        snprintf(options, sizeof options, "--reply-delay 5 --ids %s/%s.ids", scene.dir, names[i]);
        sink_begin(&scene, &hosts[i], names[i], options);
    }
    free(shell(NULL,
               "cd %s && echo 127.0.0.0/8 > allow && echo example.test > domains && "
               "printf 'user@example.test\\nother@example.test\\n' > recipients && echo 'bad.test REJECT' > access",
               scene.dir));
    postern_lines(&scene,
                  "[timeouts]\nreply = 2s\nserver = 3s\ngreeting = 2s\nhedge-after = 300ms\nclient = "
                  "5s\n[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = "
                  "127.0.0.1:%u\ntimeout = 500ms\ntries = 1\n[gate]\npregreet-wait = 300ms\nrelay-domains-file = "
                  "%s/domains\nrecipients-file = %s/recipients\naccess-file = %s/access\n",
                  scene.dir, unbound.port, scene.dir, scene.dir, scene.dir);
    postern_tier(&scene, "strict",
                 "admit = vetted\ngate = on\nbalance = roundrobin\ninter = 300ms\nfastinter = 100ms\ndowninter = "
                 "200ms\ncheck-timeout = 1s\nfailback-delay = 0s\noutlier = 0\nqueue-timeout = 4s\n");
    postern_backend(&scene, "bastion1", hosts[0].port, "");
    postern_backend(&scene, "bastion2", hosts[1].port, "max-sessions = 3\n");
    postern_start(&scene);
    await_up(&scene, "bastion1");
}

static void start_clients(pthread_t threads[CLIENTS], uint64_t seed) {
    atomic_store(&is_over, false);
    for (unsigned i = 0; i < CLIENTS; i++) {
        speaker_init(&speakers[i], i, seed);
        cr_assert_eq(pthread_create(&threads[i], NULL, run_client, &speakers[i]), 0);
    }
}

static void join_clients(pthread_t threads[CLIENTS]) {
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
}

static void check_mails(void) {
    char *doubled = shell(NULL, "cat %s/bastion*.ids | sort | uniq -d | head -3", scene.dir);
    cr_assert_str_eq(doubled, "", "queued twice: %s", doubled);
    char *lost =
        shell(NULL, "cd %s && cat bastion*.ids | sort -u > queued && sort accepted.ids | comm -23 - queued | head -3",
              scene.dir);
    cr_assert_str_eq(lost, "", "accepted and not queued: %s", lost);
    char *smuggled = shell(NULL, "grep smuggled %s/queued", scene.dir);
    cr_assert_str_eq(smuggled, "", "smuggled");
    free(doubled);
    free(lost);
    free(smuggled);
}

/* Nothing that a host or the DNS has done is held against a client that kept to the protocol. */
static void check_reputations(void) {
    for (unsigned i = 0; i < CLIENTS; i++) {
        char *known = ctl(&scene, NULL, "show reputation %s", speakers[i].clean_source);
        cr_assert(strstr(known, "talked before") == NULL && strstr(known, "pipelining") == NULL &&
                      strstr(known, "not SMTP") == NULL && strstr(known, "unknown recipients") == NULL,
                  "%s", known);
        free(known);
    }
}

Test(gate_soak, whatever_happens_each_command_has_its_reply_and_no_mail_is_lost_or_doubled) {
    pthread_t threads[CLIENTS];
    struct speaker dice;
    uint64_t seed = test_seed("gate_soak");
    char path[100];
    begin_site();
    speaker_init(&dice, CLIENTS, seed);
    snprintf(path, sizeof path, "%s/accepted.ids", scene.dir);
    accepted_ids = fopen(path, "we");
    start_clients(threads, seed);
    uint64_t until = now_ms() + RUN_MS;
    while (now_ms() < until || (atomic_load(&accepted) < MAILS_LEAST && now_ms() < until + SLOW_MS))
        disturb(&dice);
    for (unsigned i = 0; i < 2; i++)
        sink_fault(&hosts[i], "none");
    join_clients(threads);
    fclose(accepted_ids);
    accepted_ids = NULL;
    cr_assert(speaker_failure()[0] == '\0', "%s", speaker_failure());
    cr_assert(accepted >= MAILS_LEAST, "only %u mails passed", accepted);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 10000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 10000);
    check_mails();
    check_reputations();
    start_clients(threads, seed + 1); /* a stop finds sessions in the gate */
    WAIT_FOR(info_figure(&scene, "sessions") > 0, 5000);
    scene_end(&scene);
    join_clients(threads);
}
