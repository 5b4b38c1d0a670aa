/* Blocking sockets with a bound on every wait; nothing here asserts, since it runs on threads of its own. */
#include "speaker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAR_MS 20000

static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;
static char failure[10000];

const char *speaker_failure(void) {
    return failure;
}

static void fail(struct speaker *speaker, const char *what, const char *allowed) {
    pthread_mutex_lock(&failure_lock);
    if (failure[0] == '\0')
        snprintf(failure, sizeof failure, "%s client %s: %s; allowed: %s\n%.*s", speaker->is_clean ? "clean" : "junk",
                 speaker->name, what, allowed, (int)speaker->told_length, speaker->told);
    pthread_mutex_unlock(&failure_lock);
    speaker->is_over = true;
}

/* Keeps the beginnings of what was said, and all that was heard. */
static void tell(struct speaker *speaker, const char *mark, const char *octets, size_t length) {
    size_t shown = length < 160 ? length : 160, room = sizeof speaker->told - speaker->told_length;
    int added = snprintf(speaker->told + speaker->told_length, room, "%s[%zu] %.*s%s", mark, length, (int)shown, octets,
                         shown > 0 && octets[shown - 1] == '\n' ? "" : "\n");
    if (added > 0 && (size_t)added < room)
        speaker->told_length += (size_t)added;
}

void speaker_init(struct speaker *speaker, unsigned number, uint64_t seed) {
    memset(speaker, 0, sizeof *speaker);
    speaker->random = seed * 64 + number;
    speaker->fd = -1;
    snprintf(speaker->name, sizeof speaker->name, "%u", number);
    snprintf(speaker->clean_source, sizeof speaker->clean_source, "127.60.1.%u", number + 1);
    snprintf(speaker->junk_source, sizeof speaker->junk_source, "127.60.2.%u", number + 1);
    for (unsigned i = 0; i < 8; i++)
        (void)speaker_draw(speaker, 2);
}

unsigned speaker_draw(struct speaker *speaker, unsigned below) {
    speaker->random = speaker->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(speaker->random >> 33) % below;
}

static struct sockaddr_in loopback(const char *host, unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

bool speaker_begin(struct speaker *speaker, unsigned port) {
    int on = 1;
    struct sockaddr_in local = loopback(speaker->is_clean ? speaker->clean_source : speaker->junk_source, 0);
    struct sockaddr_in remote = loopback("127.0.0.1", port);
    speaker->has_left = speaker->is_over = false;
    speaker->leaves_after = -1;
    speaker->output_length = speaker->input_length = speaker->told_length = 0;
    speaker->code = 0;
    speaker->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(speaker->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(speaker->fd, (struct sockaddr *)&local, sizeof local) == 0 &&
        connect(speaker->fd, (struct sockaddr *)&remote, sizeof remote) == 0)
        return true;
    close(speaker->fd);
    return false;
}

void speaker_end(struct speaker *speaker) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (!speaker->is_clean && speaker_draw(speaker, 4) == 0)
        setsockopt(speaker->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(speaker->fd);
}

void speaker_leave_after(struct speaker *speaker, unsigned octets) {
    speaker->leaves_after = (long)octets;
}

/* --- saying --- */

void speaker_write(struct speaker *speaker, const char *format, ...) {
    va_list arguments;
    size_t room = sizeof speaker->output - speaker->output_length;
    va_start(arguments, format);
    int length = vsnprintf(speaker->output + speaker->output_length, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < room)
        speaker->output_length += (size_t)length;
}

void speaker_write_octets(struct speaker *speaker, const char *octets, size_t length) {
    if (length > sizeof speaker->output - speaker->output_length)
        return;
    memcpy(speaker->output + speaker->output_length, octets, length);
    speaker->output_length += length;
}

size_t speaker_take_back(struct speaker *speaker, char ret_octets[SPEAKER_OUTPUT_MAX]) {
    size_t length = speaker->output_length;
    memcpy(ret_octets, speaker->output, length);
    speaker->output_length = 0;
    return length;
}

void speaker_half_close(struct speaker *speaker) {
    shutdown(speaker->fd, SHUT_WR);
    tell(speaker, "half-close ", "", 0);
}

/* By a reset, by a close, or by a half-close, behind which all must still come to an end. */
static void leave(struct speaker *speaker) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    unsigned way = speaker_draw(speaker, 3);
    speaker->has_left = true;
    if (way == 0)
        setsockopt(speaker->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (way == 2)
        speaker_half_close(speaker);
    speaker->is_over = way != 2;
}

/* Whole, in a few pieces, or octet by octet; with pauses that let each arrive alone, or without. */
static size_t piece_of(struct speaker *speaker, unsigned manner, size_t left) {
    size_t piece = manner == 0 ? left : manner == 1 ? 1 + speaker_draw(speaker, 20) : 1 + speaker_draw(speaker, 8000);
    return piece < left ? piece : left;
}

void speaker_say(struct speaker *speaker) {
    unsigned manner = speaker_draw(speaker, 3);
    size_t said = 0;
    tell(speaker, "> ", speaker->output, speaker->output_length);
    if (manner == 1 && speaker->output_length > 1000)
        manner = 2;
    while (said < speaker->output_length && !speaker->has_left) {
        size_t piece = piece_of(speaker, manner, speaker->output_length - said);
        if (speaker->leaves_after >= 0 && (long)piece > speaker->leaves_after)
            piece = (size_t)speaker->leaves_after;
        if (piece > 0 && send(speaker->fd, speaker->output + said, piece, MSG_NOSIGNAL) < 0)
            break; /* what it was told before is still heard */
        said += piece;
        if (speaker->leaves_after >= 0 && (speaker->leaves_after -= (long)piece) == 0)
            leave(speaker);
        if (speaker_draw(speaker, 4) == 0)
            pause_ms(1 + speaker_draw(speaker, 3));
    }
    speaker->output_length = 0;
}

/* --- hearing --- */

/* The length of the complete reply that has come, 0 when there is none yet. */
static size_t reply_length(const struct speaker *speaker) {
    size_t at = 0;
    while (at < speaker->input_length) {
        const char *lf = memchr(speaker->input + at, '\n', speaker->input_length - at);
        if (lf == NULL)
            return 0;
        bool is_last = lf - (speaker->input + at) < 4 || speaker->input[at + 3] != '-';
        at = (size_t)(lf - speaker->input) + 1;
        if (is_last)
            return at;
    }
    return 0;
}

/* Returns the length of the next reply in `input`; 0 at the end, with a reason that is no peaceful one in *ret_what. */
static size_t await_reply(struct speaker *speaker, const char **ret_what) {
    uint64_t until = now_ms() + HEAR_MS;
    size_t length;
    *ret_what = NULL;
    while ((length = reply_length(speaker)) == 0) {
        struct pollfd poll_fd = {.fd = speaker->fd, .events = POLLIN};
        uint64_t now = now_ms();
        if (now >= until || poll(&poll_fd, 1, (int)(until - now)) <= 0) {
            *ret_what = "silence";
            return 0;
        }
        ssize_t got =
            recv(speaker->fd, speaker->input + speaker->input_length, sizeof speaker->input - speaker->input_length, 0);
        if (got <= 0) {
            *ret_what = got < 0 ? "a reset" : speaker->input_length > 0 ? "a reply without its end" : NULL;
            return 0;
        }
        speaker->input_length += (size_t)got;
    }
    return length;
}

static bool is_allowed(const char *reply, const char *allowed) {
    while (allowed != NULL && *allowed != '\0') {
        size_t length = strcspn(allowed, "|");
        if (strncmp(reply, allowed, length) == 0)
            return true;
        allowed += length + (allowed[length] == '|');
    }
    return false;
}

static void drop_reply(struct speaker *speaker, size_t length) {
    speaker->input_length -= length;
    memmove(speaker->input, speaker->input + length, speaker->input_length);
}

static unsigned code_of(const char *reply) {
    return (unsigned)((reply[0] - '0') * 100 + (reply[1] - '0') * 10 + (reply[2] - '0'));
}

/* Behind a 421 or 221 there is nothing but the end; before it, for junk, replies to the rest of a group. */
void speaker_hear_end(struct speaker *speaker) {
    const char *what;
    size_t length;
    if (speaker->is_over)
        return;
    while ((length = await_reply(speaker, &what)) > 0) {
        bool has_ended = speaker->code == 421 || speaker->code == 521 || speaker->code == 221;
        tell(speaker, "< ", speaker->input, length);
        speaker->code = code_of(speaker->input);
        if (has_ended || (speaker->is_clean && speaker->code != 421 && !speaker->has_left)) {
            fail(speaker, "more is said", "the end");
            return;
        }
        drop_reply(speaker, length);
    }
    if (what != NULL && (speaker->is_clean || strcmp(what, "silence") == 0) && !speaker->has_left)
        fail(speaker, what, "the end");
    speaker->is_over = true;
}

bool speaker_hear(struct speaker *speaker, const char *allowed) {
    const char *what;
    if (speaker->is_over)
        return false;
    size_t length = await_reply(speaker, &what);
    if (length == 0) {
        bool is_stuck = what != NULL && strcmp(what, "silence") == 0;
        if (is_stuck || !speaker->has_left)
            fail(speaker, what != NULL ? what : "the end without a word", allowed);
        speaker->is_over = true;
        return false;
    }
    char reply[200];
    snprintf(reply, sizeof reply, "%.*s", (int)(length < 199 ? length : 199), speaker->input);
    tell(speaker, "< ", speaker->input, length);
    speaker->code = code_of(reply);
    drop_reply(speaker, length);
    bool ends =
        is_allowed(reply, "421|220-mx.example.test ESMTP\r\n421") || (!speaker->is_clean && speaker->code == 521);
    bool blames = speaker->is_clean && !speaker->has_left &&
                  (strstr(reply, "421 4.7") != NULL || strstr(reply, "timeout exceeded") != NULL);
    if (blames || (!ends && !is_allowed(reply, allowed))) {
        if (!speaker->has_left)
            fail(speaker, reply, allowed);
        return false;
    }
    if (!ends)
        return true;
    speaker->code = 421;
    speaker_hear_end(speaker);
    return false;
}

bool speaker_exchange(struct speaker *speaker, const char *allowed) {
    speaker_say(speaker);
    return speaker_hear(speaker, allowed);
}
