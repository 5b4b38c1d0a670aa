/* The listener of feeds and its connections, on the manager's ring. A feed that has not shown that it knows the key
 * within AUTH_MS, or keeps silent for IDLE_MS, is closed; so is one whose line is wrong. What a read holds is worked
 * off at once and answered by one line; the next read comes when that has gone out. Outcomes go into the reputation.
 *
 * A connection that has not shown the key keeps nobody out: one address has a few of them, and where a place is needed
 * the oldest is closed. Feeds that have shown it have places of their own; when there are too many, the one that has
 * been silent longest is closed.
 *
 * Owns the listening socket, the connections and a copy of the key. A socket that cannot be made is fatal at the start;
 * later nothing is. */
#include "lb/feedback/feedback.h"

#include "lb/engine/conn.h"
#include "lb/engine/log.h"
#include "lb/reputation/reputation.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections that have shown the key. */
#define TRUSTED_MAX 16u
/* And those that have not yet: in all, and of one address. One place is always left free, for who comes next. */
#define STRANGERS_MAX      32u
#define STRANGERS_PER_PEER 8u
#define FEEDS_MAX          (TRUSTED_MAX + STRANGERS_MAX)
#define AUTH_MS            10000u
/* An accept that failed, for want of descriptors say, is tried again after this. */
#define RETRY_MS 100u
#define BACKLOG  128
/* A feed says hello every minute. */
#define IDLE_MS    300000u
#define SILENCE_MS 3600000u

struct feed_client {
    struct feedback *feedback;
    bool is_used;
    bool is_trusted; /* has shown the key */
    bool is_ending;  /* the error is on its way */
    struct conn conn;
    struct timer deadline;
    uint64_t active; /* the how manieth sign of life of all */
    struct address peer;
    struct feedback_key key;
    char nonce[FEEDBACK_NONCE_LENGTH + 1];
    uint64_t number; /* the last one taken */
    char line[FEEDBACK_LINE_MAX];
    unsigned line_length;
    char output[FEEDBACK_LINE_MAX];
};

struct feedback {
    struct io *io;
    struct reputation *reputation;
    struct feedback_key key;
    int fd;
    struct op accept_op;
    struct address peer;
    socklen_t peer_length;
    bool accept_waits;
    uint64_t activity; /* signs of life of all connections */
    struct timer retry;
    uint64_t told_ms; /* when a feed has last told an outcome */
    struct feed_client clients[FEEDS_MAX];
};

static void accept_next(struct feedback *feedback);

static void set_deadline(struct feed_client *client, uint64_t wait_ms) {
    struct io *io = client->conn.io;
    client->active = ++client->feedback->activity;
    timer_set(io_timers(io), &client->deadline, io_now_ms(io) + wait_ms);
}

static void say(struct feed_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct feed_client *client, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->output, sizeof client->output, format, arguments);
    va_end(arguments);
    conn_send(&client->conn, client->output, strlen(client->output));
}

/* --- places --- */

static bool is_like(const struct feed_client *client, bool is_trusted, const struct address *peer) {
    return client->is_used && !client->conn.is_closing && client->is_trusted == is_trusted &&
           (peer == NULL || reputation_key(&client->peer) == reputation_key(peer));
}

/* `peer`: only those of its address (IPv6: of its /64); NULL: all. */
static unsigned count_clients(const struct feedback *feedback, bool is_trusted, const struct address *peer) {
    unsigned count = 0;
    for (unsigned i = 0; i < FEEDS_MAX; i++)
        count += is_like(&feedback->clients[i], is_trusted, peer);
    return count;
}

/* Closes the one of them that has given no sign of life for longest: never the one that has just given one. */
static void make_room(struct feedback *feedback, bool is_trusted, const struct address *peer) {
    struct feed_client *oldest = NULL;
    for (unsigned i = 0; i < FEEDS_MAX; i++) {
        struct feed_client *client = &feedback->clients[i];
        if (is_like(client, is_trusted, peer) && (oldest == NULL || client->active < oldest->active))
            oldest = client;
    }
    if (oldest != NULL)
        conn_close(&oldest->conn);
}

static void trust(struct feed_client *client) {
    struct feedback *feedback = client->feedback;
    char text[ADDRESS_TEXT_MAX];
    log_info("feedback: %s is connected", address_format(&client->peer, text));
    client->is_trusted = true;
    client->active = ++feedback->activity;
    if (count_clients(feedback, true, NULL) <= TRUSTED_MAX)
        return;
    log_warning("feedback: more than %u feeds: the one that has been silent longest is closed", TRUSTED_MAX);
    make_room(feedback, true, NULL);
}

/* --- lines --- */

static void take_outcome(struct feed_client *client, const struct feedback_line *line) {
    struct feedback *feedback = client->feedback;
    client->number = line->number;
    feedback->told_ms = io_now_ms(feedback->io);
    reputation_feed(feedback->reputation, &line->client, line->kind, (uint32_t)time(NULL));
}

/* Returns NULL, or what is wrong with it. */
static const char *take_line(struct feed_client *client) {
    struct feedback_line line;
    client->line[client->line_length] = '\0';
    client->line_length = 0;
    const char *wrong = feedback_line_read(&client->key, client->nonce, client->number, client->line, &line);
    if (wrong != NULL)
        return wrong;
    if (!client->is_trusted)
        trust(client);
    if (!line.is_hello)
        take_outcome(client, &line);
    return NULL;
}

static const char *take_octets(struct feed_client *client, const uint8_t *octets, size_t length) {
    for (size_t i = 0; i < length; i++) {
        const char *wrong = NULL;
        if (octets[i] == '\n')
            wrong = take_line(client);
        else if (client->line_length == FEEDBACK_LINE_MAX - 1)
            wrong = "the line is too long";
        else
            client->line[client->line_length++] = (char)octets[i];
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static void on_received(struct feed_client *client, int result) {
    struct conn *conn = &client->conn;
    char text[ADDRESS_TEXT_MAX];
    if (result <= 0) {
        conn_close(conn);
        return;
    }
    const char *wrong = take_octets(client, io_buffer(conn->io, conn->received_buffer), (size_t)result);
    io_buffer_release(conn->io, conn->received_buffer);
    if (wrong != NULL) {
        log_warning("feedback: %s: %s", address_format(&client->peer, text), wrong);
        client->is_ending = true;
        say(client, "error: %s\n", wrong);
        return;
    }
    if (client->is_trusted)
        set_deadline(client, IDLE_MS);
    say(client, "ok %llu\n", (unsigned long long)client->number);
}

static void on_event(struct conn *conn, enum conn_event event, int result) {
    struct feed_client *client = container_of(conn, struct feed_client, conn);
    switch (event) {
    case CONN_RECEIVED:
        on_received(client, result);
        break;
    case CONN_SENT:
        if (result < 0 || client->is_ending)
            conn_close(conn);
        else
            conn_recv(conn, false);
        break;
    case CONN_CLOSED:
        timer_cancel(&client->deadline);
        client->is_used = false;
        if (client->feedback->accept_waits)
            accept_next(client->feedback);
        break;
    case CONN_OPENED:
    case CONN_SHUT:
        break;
    }
}

static void on_deadline(struct timer *timer) {
    struct feed_client *client = container_of(timer, struct feed_client, deadline);
    char text[ADDRESS_TEXT_MAX];
    log_warning("feedback: %s: %s", address_format(&client->peer, text),
                client->is_trusted ? "silent for 5 minutes: closed" : "has not shown the key in time: closed");
    conn_close(&client->conn);
}

/* --- accepting --- */

static struct feed_client *free_client(struct feedback *feedback) {
    for (unsigned i = 0; i < FEEDS_MAX; i++)
        if (!feedback->clients[i].is_used)
            return &feedback->clients[i];
    return NULL;
}

static void begin(struct feedback *feedback, struct feed_client *client, int slot) {
    memset(client, 0, sizeof *client);
    client->feedback = feedback;
    client->is_used = true;
    client->peer = feedback->peer;
    client->key = feedback->key;
    client->deadline.expire = on_deadline;
    conn_init(&client->conn, feedback->io, on_event);
    conn_adopt_slot(&client->conn, slot);
    set_deadline(client, AUTH_MS);
    if (count_clients(feedback, false, &client->peer) > STRANGERS_PER_PEER)
        make_room(feedback, false, &client->peer);
    if (count_clients(feedback, false, NULL) == STRANGERS_MAX)
        make_room(feedback, false, NULL);
    if (feedback_nonce_make(client->nonce))
        say(client, FEEDBACK_GREETING "%s\n", client->nonce);
    else
        conn_close(&client->conn);
}

static void on_retry(struct timer *timer) {
    accept_next(container_of(timer, struct feedback, retry));
}

static void on_accepted(struct op *op, int result, unsigned flags) {
    struct feedback *feedback = container_of(op, struct feedback, accept_op);
    struct io *io = feedback->io;
    (void)flags;
    if (result == -ECONNABORTED) { /* who has left again already holds nobody up */
        accept_next(feedback);
        return;
    }
    if (result < 0) {
        log_warning("feedback: accept: %s; trying again", strerror(-result));
        feedback->retry.expire = on_retry;
        timer_set(io_timers(io), &feedback->retry, io_now_ms(io) + RETRY_MS);
        return;
    }
    begin(feedback, free_client(feedback), result);
    accept_next(feedback);
}

static void accept_next(struct feedback *feedback) {
    feedback->accept_waits = free_client(feedback) == NULL;
    if (feedback->accept_waits)
        return;
    feedback->accept_op.complete = on_accepted;
    io_accept(feedback->io, &feedback->accept_op, feedback->fd, true, &feedback->peer, &feedback->peer_length);
}

/* --- life --- */

static int bind_socket(const struct address *address) {
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, result = 0;
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, &address->sa, address_length(address)) < 0 || listen(fd, BACKLOG) < 0) {
        result = -errno;
        close(fd);
    }
    return result < 0 ? result : fd;
}

int feedback_create(const struct config_feedback *config, struct feedback **ret_feedback, char *ret_error,
                    size_t error_size) {
    struct feedback *feedback = calloc(1, sizeof *feedback);
    char text[ADDRESS_TEXT_MAX];
    if (feedback == NULL) {
        snprintf(ret_error, error_size, "[feedback]: out of memory");
        return -ENOMEM;
    }
    int result = feedback_key_read(config->key_file, stderr, &feedback->key);
    if (result < 0) {
        snprintf(ret_error, error_size, "[feedback] key-file: see above");
    } else {
        feedback->fd = bind_socket(&config->listen.items[0]);
        result = feedback->fd < 0 ? feedback->fd : 0;
        if (result < 0)
            snprintf(ret_error, error_size, "[feedback] listen: %s: %s", address_format(&config->listen.items[0], text),
                     strerror(-result));
    }
    if (result < 0)
        free(feedback);
    else
        *ret_feedback = feedback;
    return result;
}

void feedback_start(struct feedback *feedback, struct io *io, struct reputation *reputation) {
    feedback->io = io;
    feedback->reputation = reputation;
    feedback->told_ms = io_now_ms(io);
    accept_next(feedback);
}

void feedback_set_key(struct feedback *feedback, const struct feedback_key *key) {
    feedback->key = *key;
}

void feedback_tick(struct feedback *feedback, uint64_t now_ms) {
    if (now_ms - feedback->told_ms < SILENCE_MS)
        return;
    feedback->told_ms = now_ms;
    log_warning("feedback: no feed has told anything for an hour%s",
                feedback->reputation->config->clean_evidence == CLEAN_EVIDENCE_FEED
                    ? ": with clean-evidence = feed nobody earns anything now"
                    : "");
}

void feedback_destroy(struct feedback *feedback) {
    if (feedback == NULL)
        return;
    close(feedback->fd);
    OPENSSL_cleanse(&feedback->key, sizeof feedback->key);
    free(feedback);
}
