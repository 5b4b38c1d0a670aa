/* Blocking sockets with a bound on every wait. */
#include "talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAR_MS 15000u

static struct sockaddr_in loopback(const char *host, unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    cr_assert_eq(inet_pton(AF_INET, host, &address.sin_addr), 1);
    return address;
}

void talk_begin(struct talk *talk, const char *source, unsigned port) {
    int on = 1;
    struct sockaddr_in local = loopback(source != NULL ? source : "127.0.0.1", 0), remote = loopback("127.0.0.1", port);
    memset(talk, 0, sizeof *talk);
    talk->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(talk->fd >= 0);
    setsockopt(talk->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    cr_assert_eq(bind(talk->fd, (struct sockaddr *)&local, sizeof local), 0);
    cr_assert_eq(connect(talk->fd, (struct sockaddr *)&remote, sizeof remote), 0, "%s", strerror(errno));
}

void talk_end(struct talk *talk) {
    close(talk->fd);
}

void talk_say(struct talk *talk, const char *octets, size_t length) {
    while (length > 0) {
        ssize_t sent = send(talk->fd, octets, length, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        octets += sent;
        length -= (size_t)sent;
    }
}

/* The length of the complete reply at `from`, 0 when there is none yet. */
static size_t reply_length(const struct talk *talk, size_t from) {
    size_t at = from;
    while (at < talk->length) {
        const char *lf = memchr(talk->heard + at, '\n', talk->length - at);
        if (lf == NULL)
            return 0;
        bool is_last = lf - (talk->heard + at) < 4 || talk->heard[at + 3] != '-';
        at = (size_t)(lf - talk->heard) + 1;
        if (is_last)
            return at - from;
    }
    return 0;
}

const char *talk_hear(struct talk *talk, unsigned ms) {
    static char reply[65536];
    uint64_t until = now_ms() + ms;
    size_t length;
    while ((length = reply_length(talk, talk->from)) == 0) {
        struct pollfd poll_fd = {.fd = talk->fd, .events = POLLIN};
        uint64_t now = now_ms();
        if (now >= until || poll(&poll_fd, 1, (int)(until - now)) <= 0)
            return "silent";
        ssize_t got = recv(talk->fd, talk->heard + talk->length, sizeof talk->heard - talk->length, 0);
        if (got == 0)
            return "closed";
        if (got < 0)
            return "reset";
        talk->length += (size_t)got;
    }
    memcpy(reply, talk->heard + talk->from, length);
    reply[length] = '\0';
    talk->from += length;
    return reply;
}

void talk_script(const char *name, const char *source, unsigned port, const char *const *steps) {
    struct talk talk;
    talk_begin(&talk, source, port);
    for (unsigned i = 0; steps[i] != NULL; i++) {
        if (i % 2 == 1) {
            talk_say(&talk, steps[i], strlen(steps[i]));
        } else if (steps[i][0] != '\0') {
            const char *reply = talk_hear(&talk, HEAR_MS);
            cr_assert(strncmp(reply, steps[i], strlen(steps[i])) == 0, "%s, step %u: \"%s\" instead of %s\nheard: %s",
                      name, i, reply, steps[i], talk.heard);
        }
    }
    talk_end(&talk);
}

char *talk_last_reply(const char *source, unsigned port, const char *const *steps) {
    struct talk talk;
    const char *reply = "";
    talk_begin(&talk, source, port);
    for (unsigned i = 0; steps[i] != NULL; i++) {
        if (i % 2 == 1)
            talk_say(&talk, steps[i], strlen(steps[i]));
        else if (steps[i][0] != '\0')
            reply = talk_hear(&talk, HEAR_MS);
    }
    char *copy = strdup(reply);
    talk_end(&talk);
    return copy;
}
