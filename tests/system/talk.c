/* Said and heard SMTP, as a client or as a server whose every word the test says, on blocking sockets. Each wait for
 * the peer is bounded by a poll first. */
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

/* --- a connection --- */

static struct sockaddr_in address_of(const char *host, unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

static int fail(struct talk *talk) {
    int error = errno;
    close(talk->fd);
    talk->fd = -1;
    return -error;
}

static void begin(struct talk *talk, int fd) {
    int on = 1;
    talk->fd = fd;
    talk->patience_ms = TALK_MS;
    talk->length = talk->from = 0;
    talk->heard[0] = '\0';
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int talk_prepare(struct talk *talk, const char *source) {
    struct sockaddr_in local = address_of(source != NULL ? source : "127.0.0.1", 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    begin(talk, fd);
    return bind(fd, (struct sockaddr *)&local, sizeof local) == 0 ? 0 : fail(talk);
}

int talk_connect(struct talk *talk, const char *host, unsigned port) {
    struct sockaddr_in remote = address_of(host, port);
    return connect(talk->fd, (struct sockaddr *)&remote, sizeof remote) == 0 ? 0 : fail(talk);
}

void talk_end(struct talk *talk) {
    if (talk->fd >= 0)
        close(talk->fd);
    talk->fd = -1;
}

void talk_reset(struct talk *talk) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(talk->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    talk_end(talk);
}

void talk_begin(struct talk *talk, const char *source, unsigned port) {
    int result = talk_prepare(talk, source);
    cr_assert_eq(result, 0, "%s: %s", source, strerror(-result));
    result = talk_connect(talk, "127.0.0.1", port);
    cr_assert_eq(result, 0, "%s", strerror(-result));
}

int talk_listen(unsigned *ret_port) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = free_port();
    struct sockaddr_in address = address_of("127.0.0.1", port);
    cr_assert(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0, "%s", strerror(errno));
    cr_assert_eq(listen(fd, 128), 0);
    *ret_port = port;
    return fd;
}

static bool has_input(int fd, uint64_t until) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint64_t now = now_ms();
    return poll(&poll_fd, 1, now < until ? (int)(until - now) : 0) > 0;
}

void talk_take(struct talk *talk, int listening) {
    cr_assert(has_input(listening, now_ms() + TALK_MS), "nobody has connected");
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    cr_assert(fd >= 0, "%s", strerror(errno));
    begin(talk, fd);
}

/* --- saying and hearing --- */

bool talk_say(struct talk *talk, const char *octets, size_t length) {
    while (length > 0) {
        ssize_t sent = send(talk->fd, octets, length, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        octets += sent;
        length -= (size_t)sent;
    }
    return true;
}

bool talk_tell(struct talk *talk, const char *text) {
    return talk_say(talk, text, strlen(text));
}

static void forget_taken(struct talk *talk) {
    talk->length -= talk->from;
    memmove(talk->heard, talk->heard + talk->from, talk->length);
    talk->from = 0;
}

/* Receives more; NULL when something has come, else the word for what came instead. */
static const char *receive(struct talk *talk, uint64_t until) {
    if (!has_input(talk->fd, until))
        return "silent";
    if (talk->length == TALK_HEARD)
        forget_taken(talk);
    if (talk->length == TALK_HEARD)
        return "too much for one reply";
    ssize_t got = recv(talk->fd, talk->heard + talk->length, TALK_HEARD - talk->length, 0);
    if (got <= 0)
        return got == 0 ? "closed" : "reset";
    talk->length += (size_t)got;
    talk->heard[talk->length] = '\0';
    return NULL;
}

/* The length of the complete reply at `from`, 0 when there is none yet. */
static size_t reply_length(const struct talk *talk) {
    size_t at = talk->from;
    while (at < talk->length) {
        const char *lf = memchr(talk->heard + at, '\n', talk->length - at);
        if (lf == NULL)
            return 0;
        bool is_last = lf - (talk->heard + at) < 4 || talk->heard[at + 3] != '-';
        at = (size_t)(lf - talk->heard) + 1;
        if (is_last)
            return at - talk->from;
    }
    return 0;
}

const char *talk_hear(struct talk *talk, unsigned ms) {
    static _Thread_local char reply[TALK_HEARD + 1];
    uint64_t until = now_ms() + ms;
    size_t length;
    while ((length = reply_length(talk)) == 0) {
        const char *instead = receive(talk, until);
        if (instead != NULL)
            return instead;
    }
    memcpy(reply, talk->heard + talk->from, length);
    reply[length] = '\0';
    talk->from += length;
    return reply;
}

bool talk_is_reply(const char *heard) {
    return strchr(heard, '\n') != NULL;
}

/* --- expecting --- */

static bool begins_with(const char *text, const char *beginning) {
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

void talk_expect(struct talk *talk, const char *begins) {
    const char *reply = talk_hear(talk, talk->patience_ms);
    cr_assert(begins_with(reply, begins), "\"%s\" instead of %s; heard: %s", reply, begins, talk->heard);
}

void talk_expect_each(struct talk *talk, unsigned count, const char *begins) {
    for (unsigned i = 0; i < count; i++)
        talk_expect(talk, begins);
}

void talk_await(struct talk *talk, const char *text) {
    uint64_t until = now_ms() + talk->patience_ms;
    while (memmem(talk->heard + talk->from, talk->length - talk->from, text, strlen(text)) == NULL) {
        const char *instead = receive(talk, until);
        cr_assert(instead == NULL, "%s instead of %s; heard: %s", instead, text, talk->heard);
    }
    talk->from = talk->length;
}

void talk_exchange(struct talk *talk, const char *text, const char *begins) {
    talk_tell(talk, text);
    talk_expect(talk, begins);
}

void talk_steps(struct talk *talk, const char *name, const char *const *steps) {
    for (unsigned i = 0; steps[i] != NULL; i++) {
        if (i % 2 == 1) {
            talk_tell(talk, steps[i]);
        } else if (steps[i][0] != '\0') {
            const char *reply = talk_hear(talk, talk->patience_ms);
            cr_assert(begins_with(reply, steps[i]), "%s, step %u: \"%s\" instead of %s\nheard: %s", name, i, reply,
                      steps[i], talk->heard);
        }
    }
}

void talk_script(const char *name, const char *source, unsigned port, const char *const *steps) {
    struct talk talk;
    talk_begin(&talk, source, port);
    talk_steps(&talk, name, steps);
    talk_end(&talk);
}

char *talk_last_reply(const char *source, unsigned port, const char *const *steps) {
    struct talk talk;
    const char *reply = "";
    talk_begin(&talk, source, port);
    for (unsigned i = 0; steps[i] != NULL; i++) {
        if (i % 2 == 1)
            talk_tell(&talk, steps[i]);
        else if (steps[i][0] != '\0')
            reply = talk_hear(&talk, TALK_MS);
    }
    char *copy = strdup(reply);
    talk_end(&talk);
    return copy;
}

/* --- a script of lines --- */

/* Says `length` characters of a script, in one segment. */
static void say_line(struct talk *talk, const char *line, size_t length) {
    char octets[4096];
    size_t made = 0;
    cr_assert(length + 2 < sizeof octets, "too long a line of a script");
    for (const char *at = line; at < line + length; at++) {
        unsigned octet;
        bool is_escape = *at == '\\' && at + 1 < line + length;
        if (is_escape && (at[1] == 'r' || at[1] == 'n')) {
            octets[made++] = *++at == 'r' ? '\r' : '\n';
        } else if (is_escape && at[1] == 'x' && sscanf(at + 2, "%2x", &octet) == 1) {
            octets[made++] = (char)octet;
            at += 3;
        } else {
            octets[made++] = *at;
        }
    }
    memcpy(octets + made, "\r\n", 2);
    talk_say(talk, octets, made + 2);
}

/* Writes the next reply, without its CRs. False at the end. */
static bool note_reply(struct talk *talk, FILE *notes) {
    const char *reply = talk_hear(talk, 2 * TALK_MS);
    bool goes_on = talk_is_reply(reply);
    for (const char *at = reply; *at != '\0'; at++)
        if (*at != '\r')
            fputc(*at, notes);
    if (!goes_on)
        fputc('\n', notes);
    return goes_on;
}

static void speak_lines(struct talk *talk, const char *client, const char *script, FILE *notes) {
    if (client != NULL) {
        char header[80];
        snprintf(header, sizeof header, "PROXY TCP4 %s 127.0.0.1 40000 25\r\n", client);
        talk_tell(talk, header);
    }
    while (note_reply(talk, notes) && script[0] != '\0') {
        size_t length = strcspn(script, "\n");
        say_line(talk, script, length);
        script += length + (script[length] == '\n');
    }
}

char *talk_lines(unsigned port, const char *client, const char *script) {
    struct talk talk;
    char *heard = NULL;
    size_t length = 0;
    FILE *notes = open_memstream(&heard, &length);
    cr_assert_not_null(notes);
    if (talk_prepare(&talk, NULL) == 0 && talk_connect(&talk, "127.0.0.1", port) == 0) {
        speak_lines(&talk, client, script, notes);
        talk_end(&talk);
    }
    fclose(notes);
    return heard;
}

/* --- the steps of a session --- */

void talk_open(struct talk *talk, const char *source, unsigned port) {
    talk_begin(talk, source, port);
    talk_expect(talk, "220");
    talk_exchange(talk, TALK_HELLO, "250");
}

void talk_envelope(struct talk *talk) {
    talk_exchange(talk, TALK_MAIL, "250");
    talk_exchange(talk, TALK_RCPT, "250");
}

void talk_transaction(struct talk *talk) {
    talk_envelope(talk);
    talk_exchange(talk, "DATA\r\n", "354");
}

void talk_quit(struct talk *talk) {
    talk_exchange(talk, "QUIT\r\n", "221");
    talk_end(talk);
}
