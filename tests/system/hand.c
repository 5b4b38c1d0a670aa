/* Blocking sockets with a bound on every wait. */
#include "hand.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define AWAIT_MS 15000u

void hand_begin(struct hand *hand, const char *global) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char all[300];
    int on = 1;
    memset(hand, 0, sizeof *hand);
    hand->fd = hand->client.fd = -1;
    scene_begin(&hand->scene, false);
    hand->port = free_port();
    address.sin_port = htons((uint16_t)hand->port);
    hand->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(hand->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    cr_assert_eq(bind(hand->listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(hand->listener, 100), 0);
    snprintf(all, sizeof all, "workers = 1\n%s", global);
    postern_begin_with(&hand->scene, all, "",
                       "[tier primary]\ncheck = none\noutlier = 0\n[timeouts]\nhedge-after = 0\n[backend "
                       "vm1]\ntier = primary\naddress = 127.0.0.1:%u\n",
                       hand->port);
}

void hand_end(struct hand *hand) {
    if (hand->fd >= 0)
        close(hand->fd);
    if (hand->client.fd >= 0)
        talk_end(&hand->client);
    close(hand->listener);
    scene_end(&hand->scene);
}

static void await_input(int fd, const char *what) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    cr_assert(poll(&poll_fd, 1, AWAIT_MS) == 1, "waited in vain for %s", what);
}

void hand_take(struct hand *hand) {
    if (hand->fd >= 0)
        close(hand->fd);
    await_input(hand->listener, "a connection");
    hand->fd = accept4(hand->listener, NULL, NULL, SOCK_CLOEXEC);
    cr_assert(hand->fd >= 0);
}

void hand_await(struct hand *hand, const char *octets) {
    char got[4096];
    size_t length = 0;
    do {
        await_input(hand->fd, octets);
        ssize_t more = recv(hand->fd, got + length, sizeof got - 1 - length, 0);
        cr_assert(more > 0, "%s instead of %s", more == 0 ? "closed" : strerror(errno), octets);
        length += (size_t)more;
        got[length] = '\0';
    } while (strstr(got, octets) == NULL);
}

void hand_say(struct hand *hand, const char *octets) {
    cr_assert_eq(send(hand->fd, octets, strlen(octets), MSG_NOSIGNAL), (ssize_t)strlen(octets));
}

void hand_client_hears(struct hand *hand, const char *reply) {
    const char *heard = talk_hear(&hand->client, AWAIT_MS);
    cr_assert(strncmp(heard, reply, strlen(reply)) == 0, "\"%s\" instead of %s", heard, reply);
}

void hand_client_says(struct hand *hand, const char *octets) {
    talk_say(&hand->client, octets, strlen(octets));
}

void hand_exchange(struct hand *hand, const char *octets, const char *answer) {
    hand_client_says(hand, octets);
    hand_await(hand, octets);
    hand_say(hand, answer);
    hand_client_hears(hand, answer);
}

void hand_session(struct hand *hand, enum hand_stage stage) {
    talk_begin(&hand->client, NULL, hand->scene.port);
    hand_take(hand);
    hand_say(hand, "220 vm1 ESMTP\r\n");
    hand_client_hears(hand, "220");
    hand_exchange(hand, "EHLO client.test\r\n", "250-vm1\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
    if (stage == HAND_TLS) {
        hand_exchange(hand, "STARTTLS\r\n", "220 go\r\n");
        hand_client_says(hand, "\x16\x03\x01hello");
        hand_await(hand, "hello");
        hand_say(hand, "\x16\x03\x01hello\r\n");
        hand_client_hears(hand, "\x16");
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
    hand_client_says(hand, "Subject: x\r\n\r\nfirst line\r\n");
    hand_await(hand, "first line\r\n");
    if (stage == HAND_CONTENT)
        return;
    hand_client_says(hand, ".\r\n");
    hand_await(hand, ".\r\n");
}

void hand_stop(struct hand *hand) {
    kill(hand->scene.postern, SIGTERM);
    WAIT_FOR(log_has(&hand->scene, "stopping: no new sessions"), AWAIT_MS);
}

void hand_expect_exit(struct hand *hand, unsigned ms) {
    int status = 0;
    uint64_t until = now_ms() + ms;
    while (waitpid(hand->scene.postern, &status, WNOHANG) == 0) {
        cr_assert(now_ms() < until, "postern has not stopped");
        pause_ms(5);
    }
    for (unsigned i = 0; i < hand->scene.children_count; i++)
        if (hand->scene.children[i] == hand->scene.postern)
            hand->scene.children[i] = 0;
    hand->scene.postern = 0;
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
    cr_assert(!log_has(&hand->scene, "Sanitizer") && !log_has(&hand->scene, "runtime error"));
}
