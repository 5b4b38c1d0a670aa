/* Postern before one backend that the test itself plays, and the steps of a session between its two ends. A step that
 * goes wrong fails the test. */
#include "hand.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void hand_begin(struct hand *hand, const char *global) {
    memset(hand, 0, sizeof *hand);
    hand->host.fd = hand->client.fd = -1;
    scene_begin(&hand->scene, false);
    hand->listener = talk_listen(&hand->port);
    postern_global(&hand->scene, "workers = 1\n");
    postern_global(&hand->scene, global);
    postern_tier(&hand->scene, "primary", "check = none\noutlier = 0\n");
    postern_backend(&hand->scene, "vm1", hand->port, "");
    postern_lines(&hand->scene, "[timeouts]\nhedge-after = 0\n");
    postern_start(&hand->scene);
}

void hand_end(struct hand *hand) {
    talk_end(&hand->host);
    talk_end(&hand->client);
    close(hand->listener);
    scene_end(&hand->scene);
}

void hand_take(struct hand *hand) {
    talk_end(&hand->host);
    talk_take(&hand->host, hand->listener);
}

void hand_say(struct hand *hand, const char *octets) {
    cr_assert(talk_tell(&hand->host, octets), "postern has left: %s", octets);
}

void hand_exchange(struct hand *hand, const char *octets, const char *answer) {
    talk_tell(&hand->client, octets);
    talk_await(&hand->host, octets);
    hand_say(hand, answer);
    talk_expect(&hand->client, answer);
}

void hand_session(struct hand *hand, enum hand_stage stage) {
    talk_begin(&hand->client, NULL, hand->scene.port);
    hand_take(hand);
    hand_say(hand, "220 vm1 ESMTP\r\n");
    talk_expect(&hand->client, "220");
    hand_exchange(hand, "EHLO client.test\r\n", "250-vm1\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
    if (stage == HAND_TLS) {
        hand_exchange(hand, "STARTTLS\r\n", "220 go\r\n");
        talk_tell(&hand->client, "\x16\x03\x01hello");
        talk_await(&hand->host, "hello");
        hand_say(hand, "\x16\x03\x01hello\r\n");
        talk_expect(&hand->client, "\x16");
    }
    if (stage == HAND_GREETED || stage == HAND_TLS)
        return;
    hand_exchange(hand, "MAIL FROM:<ann@client.test> SIZE=9\r\n", "250 2.1.0 Ok\r\n");
    if (stage == HAND_MAIL)
        return;
    hand_exchange(hand, "RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Ok\r\n");
    if (stage == HAND_RCPT)
        return;
    hand_exchange(hand, "DATA\r\n", "354 go\r\n");
    talk_tell(&hand->client, "Subject: x\r\n\r\nfirst line\r\n");
    talk_await(&hand->host, "first line\r\n");
    if (stage == HAND_CONTENT)
        return;
    talk_tell(&hand->client, ".\r\n");
    talk_await(&hand->host, ".\r\n");
}

void hand_stop(struct hand *hand) {
    kill(hand->scene.postern, SIGTERM);
    WAIT_FOR(log_has(&hand->scene, "stopping: no new sessions"), TALK_MS);
}

void hand_expect_exit(struct hand *hand, unsigned ms) {
    int status = await_child(&hand->scene, hand->scene.postern, ms);
    hand->scene.postern = 0;
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
    cr_assert(!log_has(&hand->scene, "Sanitizer") && !log_has(&hand->scene, "runtime error"));
}
