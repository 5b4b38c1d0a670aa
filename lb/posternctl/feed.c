/* The loop of `posternctl feed`, which runs on a VM. It reads the log to its end, again and again; a file that was
 * moved away is read to its end before the new one is opened. Outcomes stand in a bounded queue until postern has
 * acknowledged them: while postern cannot be reached the queue fills, then the log is not read on. After a lost
 * connection what was not acknowledged is sent again.
 *
 * Owns the log's file, the queue and the connection. Fatal, with exit status 2, are wrong usage, a key or a log that
 * cannot be read at the start. */
#include "lb/posternctl/feed.h"

#include "lb/feedback/wire.h"
#include "lb/posternctl/feed_join.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MAX     8192u
#define BATCH_MAX     64u
#define POLL_MS       200
#define HELLO_S       60
#define ANSWER_S      15
#define RETRY_FIRST_S 1
#define RETRY_MOST_S  30

struct feed {
    const char *path;
    const char *host;
    const char *port;
    struct feedback_key key;
    bool is_once;
    struct feed_join *join;
    FILE *log;
    ino_t inode;
    char line[FEED_LINE_MAX];
    size_t line_length;
    bool line_is_cut; /* the rest of a line that is too long is thrown away */
    struct feed_outcome queue[QUEUE_MAX];
    unsigned first, count;
    FILE *stream; /* to postern; NULL: not connected */
    char nonce[FEEDBACK_NONCE_LENGTH + 1];
    uint64_t number;
    time_t next_try, hello;
    unsigned retry_s;
};

/* --- the log --- */

static void take_line(struct feed *feed) {
    struct feed_event event;
    struct feed_outcome outcome;
    feed->line[feed->line_length] = '\0';
    bool is_whole = !feed->line_is_cut;
    feed->line_length = 0;
    feed->line_is_cut = false;
    if (!is_whole)
        return;
    feed_log_read(feed->line, &event);
    if (feed_join_take(feed->join, &event, &outcome))
        feed->queue[(feed->first + feed->count++) % QUEUE_MAX] = outcome;
}

/* Reads what is there, as far as the queue has room. */
static void read_log(struct feed *feed) {
    int c;
    while (feed->count < QUEUE_MAX && (c = getc(feed->log)) != EOF) {
        if (c == '\n')
            take_line(feed);
        else if (c == '\0' || feed->line_length == FEED_LINE_MAX - 1)
            feed->line_is_cut = true;
        else
            feed->line[feed->line_length++] = (char)c;
    }
    clearerr(feed->log);
}

static bool open_log(struct feed *feed, bool at_end) {
    struct stat status;
    FILE *log = fopen(feed->path, "re");
    if (log == NULL)
        return false;
    if (at_end)
        fseeko(log, 0, SEEK_END);
    if (feed->log != NULL)
        fclose(feed->log);
    feed->log = log;
    feed->inode = fstat(fileno(log), &status) == 0 ? status.st_ino : 0;
    return true;
}

/* The log was moved away (logrotate) or cut short (copytruncate). */
static void look_for_rotation(struct feed *feed) {
    struct stat status;
    if (feed->count == QUEUE_MAX || stat(feed->path, &status) < 0)
        return;
    if (status.st_ino != feed->inode) {
        read_log(feed); /* what came in before the move */
        if (feed->count < QUEUE_MAX)
            open_log(feed, false);
    } else if (status.st_size < ftello(feed->log)) {
        rewind(feed->log);
    }
}

/* --- postern --- */

static void hang_up(struct feed *feed, const char *why) {
    fprintf(stderr, "posternctl feed: %s:%s: %s; trying again in %u s\n", feed->host, feed->port, why, feed->retry_s);
    if (feed->stream != NULL)
        fclose(feed->stream);
    feed->stream = NULL;
    feed->next_try = time(NULL) + feed->retry_s;
    feed->retry_s = feed->retry_s * 2 < RETRY_MOST_S ? feed->retry_s * 2 : RETRY_MOST_S;
}

static int connect_to(const struct addrinfo *address) {
    struct timeval wait = {.tv_sec = ANSWER_S};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static int connect_somewhere(const struct feed *feed) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int fd = -EHOSTUNREACH;
    if (getaddrinfo(feed->host, feed->port, &hints, &found) != 0)
        return -EHOSTUNREACH;
    for (const struct addrinfo *address = found; address != NULL && fd < 0; address = address->ai_next)
        fd = connect_to(address);
    freeaddrinfo(found);
    return fd;
}

/* One line of postern's. Returns NULL, or what went wrong. */
static const char *read_answer(struct feed *feed, char line[FEEDBACK_LINE_MAX]) {
    errno = 0;
    if (fgets(line, (int)FEEDBACK_LINE_MAX, feed->stream) == NULL)
        return errno == EAGAIN ? "no answer in time" : "the connection was closed";
    line[strcspn(line, "\r\n")] = '\0';
    return strncmp(line, "error:", 6) == 0 ? line : NULL;
}

/* Sends lines and waits until the last of them is acknowledged. Returns NULL, or what went wrong. */
static const char *send_lines(struct feed *feed, unsigned count, char answer[FEEDBACK_LINE_MAX]) {
    char line[FEEDBACK_LINE_MAX], host[ADDRESS_TEXT_MAX];
    if (count == 0) {
        feedback_line_write(&feed->key, feed->nonce, feed->number, "-", "hello", line);
        fputs(line, feed->stream);
    }
    for (unsigned i = 0; i < count; i++) {
        const struct feed_outcome *outcome = &feed->queue[(feed->first + i) % QUEUE_MAX];
        feedback_line_write(&feed->key, feed->nonce, ++feed->number, address_format_host(&outcome->client, host),
                            evidence_rows[outcome->kind].word, line);
        fputs(line, feed->stream);
    }
    if (fflush(feed->stream) != 0)
        return "the connection was closed";
    uint64_t acknowledged = UINT64_MAX;
    while (acknowledged == UINT64_MAX || acknowledged < feed->number) {
        const char *wrong = read_answer(feed, answer);
        if (wrong != NULL)
            return wrong;
        if (strncmp(answer, "ok ", 3) != 0)
            return "the answer is not postern's";
        acknowledged = strtoull(answer + 3, NULL, 10);
    }
    feed->first = (feed->first + count) % QUEUE_MAX;
    feed->count -= count;
    feed->hello = time(NULL) + HELLO_S;
    return NULL;
}

static const char *greet(struct feed *feed, char answer[FEEDBACK_LINE_MAX]) {
    const char *wrong = read_answer(feed, answer);
    size_t prefix = strlen(FEEDBACK_GREETING);
    if (wrong != NULL)
        return wrong;
    if (strncmp(answer, FEEDBACK_GREETING, prefix) != 0 || strlen(answer + prefix) != FEEDBACK_NONCE_LENGTH)
        return "this is no feedback listener";
    memcpy(feed->nonce, answer + prefix, FEEDBACK_NONCE_LENGTH + 1);
    feed->number = 0;
    return send_lines(feed, 0, answer);
}

static void begin_connection(struct feed *feed) {
    char answer[FEEDBACK_LINE_MAX];
    int fd = connect_somewhere(feed);
    feed->stream = fd < 0 ? NULL : fdopen(fd, "r+");
    const char *wrong = feed->stream == NULL ? strerror(fd < 0 ? -fd : errno) : greet(feed, answer);
    if (wrong != NULL) {
        hang_up(feed, wrong);
        return;
    }
    fprintf(stderr, "posternctl feed: connected to %s:%s\n", feed->host, feed->port);
    feed->retry_s = RETRY_FIRST_S;
}

static void talk(struct feed *feed) {
    char answer[FEEDBACK_LINE_MAX];
    const char *wrong = NULL;
    if (feed->stream == NULL && time(NULL) >= feed->next_try)
        begin_connection(feed);
    while (feed->stream != NULL && wrong == NULL && (feed->count > 0 || time(NULL) >= feed->hello))
        wrong = send_lines(feed, feed->count < BATCH_MAX ? feed->count : BATCH_MAX, answer);
    if (wrong != NULL)
        hang_up(feed, wrong);
}

/* --- the program --- */

static int run(struct feed *feed) {
    if (!open_log(feed, !feed->is_once)) {
        fprintf(stderr, "posternctl feed: %s: %s\n", feed->path, strerror(errno));
        return 2;
    }
    for (;;) {
        read_log(feed);
        talk(feed);
        if (feed->count == QUEUE_MAX || feed->stream == NULL) {
            sleep(1);
        } else if (feed->count == 0) {
            if (feed->is_once)
                return 0;
            nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
            look_for_rotation(feed);
        }
    }
}

static int usage(void) {
    fputs("usage: posternctl feed --follow FILE --to HOST:PORT --key-file FILE\n"
          "                       [--trust-sent] [--once]\n"
          "  --trust-sent  a mail that Postfix delivered, and no filter spoke of, is good\n"
          "  --once        tell all that the log holds, and end\n",
          stderr);
    return 2;
}

static bool split_target(struct feed *feed, char *target) {
    char *colon = strrchr(target, ':'), *bracket = strrchr(target, ']');
    if (colon == NULL || colon[1] == '\0' || (bracket != NULL && bracket > colon)) {
        fprintf(stderr, "posternctl feed: --to: \"%s\" has no port; needed: HOST:PORT, that of [feedback] listen\n",
                target);
        return false;
    }
    *colon = '\0';
    feed->port = colon + 1;
    feed->host = target;
    size_t length = strlen(target), digits = strspn(feed->port, "0123456789");
    bool is_port = digits < 6 && feed->port[digits] == '\0' && strtoul(feed->port, NULL, 10) - 1 < 65535;
    if (target[0] == '[' && length > 1 && target[length - 1] == ']') {
        target[length - 1] = '\0';
        feed->host = target + 1;
    } else if (strchr(target, ':') != NULL) {
        fprintf(stderr, "posternctl feed: --to: is that the address %s:%s, or port %s of %s? Write [%s]:%s\n", target,
                feed->port, feed->port, target, target, feed->port);
        return false;
    }
    return is_port && strcspn(feed->host, "[]") == strlen(feed->host) && *feed->host != '\0';
}

int feed_main(int argc, char **argv) {
    static const struct option options[] = {
        {"follow", required_argument, NULL, 'f'},   {"to", required_argument, NULL, 't'},
        {"key-file", required_argument, NULL, 'k'}, {"trust-sent", no_argument, NULL, 's'},
        {"once", no_argument, NULL, '1'},           {NULL, 0, NULL, 0},
    };
    struct feed *feed = calloc(1, sizeof *feed);
    const char *key_file = NULL;
    char *target = NULL;
    bool takes_sent = false;
    int option;
    if (feed == NULL)
        return 2;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'f':
            feed->path = optarg;
            break;
        case 't':
            target = optarg;
            break;
        case 'k':
            key_file = optarg;
            break;
        case 's':
            takes_sent = true;
            break;
        case '1':
            feed->is_once = true;
            break;
        default:
            free(feed);
            return usage();
        }
    }
    int status = 2;
    feed->retry_s = RETRY_FIRST_S;
    feed->join = feed_join_create(takes_sent);
    if (optind != argc || feed->path == NULL || target == NULL || key_file == NULL || !split_target(feed, target))
        status = usage();
    else if (feed->join != NULL && feedback_key_read(key_file, stderr, &feed->key) == 0)
        status = run(feed);
    feed_join_destroy(feed->join);
    if (feed->log != NULL)
        fclose(feed->log);
    if (feed->stream != NULL)
        fclose(feed->stream);
    free(feed);
    return status;
}
