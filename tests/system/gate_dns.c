/* The gate's questions to the DNS while some ask for what nobody answers: the others' mails go on. Real unbound, which
 * drops the questions about one zone. */
#include "talk.h"
#include "unbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOODERS 12u
#define MAILS    100u

static struct scene scene;
static struct test_sink bastion;
static struct test_unbound unbound;
static struct talk flooders[FLOODERS];

static void begin(void) {
    scene_begin(&scene, false);
    sink_begin(&scene, &bastion, "bastion", "");
    unbound_begin(&scene, &unbound,
                  "  local-zone: \"silent.test.\" deny\n  local-zone: \"sender.test.\" redirect\n"
                  "  local-data: \"sender.test. 300 IN A 127.0.0.9\"\n");
    free(shell(NULL, "echo example.test > %s/domains", scene.dir));
    postern_lines(&scene, "[dns]\nservers = 127.0.0.1:%u\n[gate]\npregreet-wait = 0\nrelay-domains-file = %s/domains\n",
                  unbound.port, scene.dir);
    postern_tier(&scene, "strict", "gate = on\nmax-per-client = 0\nconnect-rate = 0\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
}

static void end(void) {
    scene_end(&scene);
}

TestSuite(gate_dns, .init = begin, .fini = end, .timeout = 60);

/* So many senders in one group, each given up at once. */
static void flood(unsigned client) {
    static char group[MAILS * 80];
    char source[20];
    size_t length = 0;
    struct talk *talk = &flooders[client];
    for (unsigned i = 0; i < MAILS; i++)
        length += (size_t)snprintf(group + length, sizeof group - length,
                                   "MAIL FROM:<a@n%u-%u.silent.test>\r\nRSET\r\n", client, i);
    snprintf(source, sizeof source, "127.0.62.%u", client + 1);
    talk_open(talk, source, scene.port);
    talk_say(talk, group, length);
    for (unsigned i = 0; i < 2 * MAILS; i++)
        talk_expect(talk, "250");
}

static void expect_mail_passes(const char *source, const char *sender) {
    char mail[100];
    snprintf(mail, sizeof mail, "MAIL FROM:<%s>\r\n", sender);
    talk_script(sender, source, scene.port,
                (const char *const[]){"220", "EHLO client.test\r\n", "250", mail, "250",
                                      "RCPT TO:<user@example.test>\r\n", "250", "QUIT\r\n", "221", NULL});
}

Test(gate_dns, clients_whose_domains_never_answer_keep_nobody_else_waiting) {
    for (unsigned client = 0; client < FLOODERS; client++)
        flood(client);
    cr_assert(info_figure(&scene, "dns_dropped") > 0, "they got all that they asked for");
    for (unsigned i = 0; i < 20; i++) {
        char sender[40], source[20];
        snprintf(sender, sizeof sender, "a@x%u.sender.test", i);
        snprintf(source, sizeof source, "127.0.63.%u", i + 1);
        expect_mail_passes(source, sender);
    }
    /* One of them gets in again as soon as it asks for what is there, though its share is used up: it is known. */
    expect_mail_passes("127.0.62.1", "a@x0.sender.test");
    for (unsigned client = 0; client < FLOODERS; client++)
        talk_end(&flooders[client]);
}

/* It is not known whether the domain is there: later, not never. */
Test(gate_dns, a_sender_whose_domain_does_not_answer_is_put_off) {
    talk_script("silent", "127.0.63.1", scene.port,
                (const char *const[]){"220", "EHLO client.test\r\n", "250", "MAIL FROM:<a@one.silent.test>\r\n", "250",
                                      "RCPT TO:<user@example.test>\r\n", "450 4.1.8", "QUIT\r\n", "221", NULL});
}
