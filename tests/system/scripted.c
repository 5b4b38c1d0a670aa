/* Blocking sockets; its threads end with the test's process. */
#include "scripted.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    struct scripted *scripted;
    int fd;
    FILE *input;
    bool in_content;
};

static const struct scripted_rule usual[] = {
    {"GREETING", "220 scripted ESMTP\r\n", GOES_ON, 0},
    {"EHLO", "250-scripted\r\n250-PIPELINING\r\n250 8BITMIME\r\n", GOES_ON, 0},
    {"MAIL", "250 2.1.0 Ok\r\n", GOES_ON, 0},
    {"RCPT", "250 2.1.5 Ok\r\n", GOES_ON, 0},
    {"DATA", "354 go\r\n", GOES_ON, 0},
    {"RSET", "250 2.0.0 Ok\r\n", GOES_ON, 0},
    {"NOOP", "250 2.0.0 Ok\r\n", GOES_ON, 0},
    {"QUIT", "221 2.0.0 Bye\r\n", HANGS_UP, 0},
    {"EOF", "", HANGS_UP, 0},
    {".", "250 2.0.0 queued\r\n", GOES_ON, 0},
    {"", "500 5.5.2 what?\r\n", GOES_ON, 0},
    {NULL, NULL, GOES_ON, 0},
};

static const struct scripted_rule *find(const struct scripted_rule *rules, const char *line, bool is_unasked) {
    for (; rules->line != NULL; rules++)
        if (strncasecmp(line, rules->line, strlen(rules->line)) == 0 && (rules->quiet_ms > 0) == is_unasked)
            return rules;
    return NULL;
}

static void say(struct connection *connection, const char *reply) {
    struct scripted *scripted = connection->scripted;
    size_t length = strlen(reply), said = 0;
    while (atomic_load(&scripted->is_held))
        pause_ms(5);
    while (said < length) {
        size_t left = length - said, piece = scripted->piece > 0 && scripted->piece < left ? scripted->piece : left;
        if (send(connection->fd, reply + said, piece, MSG_NOSIGNAL) < 0)
            return;
        said += piece;
    }
}

/* Returns false when the connection is over. */
static bool do_rule(struct connection *connection, const struct scripted_rule *rule) {
    say(connection, rule->reply);
    if (rule->end == RESETS)
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    return rule->end == GOES_ON;
}

static bool answer(struct connection *connection, const char *line) {
    struct scripted *scripted = connection->scripted;
    const struct scripted_rule *rule = find(scripted->rules, line, false);
    if (rule == NULL)
        rule = find(usual, line, false);
    connection->in_content = strncmp(rule->reply, "354", 3) == 0;
    if (line[0] == '.')
        atomic_fetch_add(&scripted->mails, 1);
    return do_rule(connection, rule);
}

static void note(struct scripted *scripted, const char *line) {
    size_t at = atomic_load(&scripted->told_length), length = strlen(line);
    if (at + length >= sizeof scripted->told)
        return;
    memcpy(scripted->told + at, line, length + 1);
    atomic_store(&scripted->told_length, at + length);
}

static bool is_quiet_for(const struct connection *connection, unsigned ms) {
    struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};
    return poll(&poll_fd, 1, (int)ms) == 0;
}

static void *serve(void *argument) {
    struct connection *connection = argument;
    char line[2048] = "GREETING";
    bool goes_on = answer(connection, line);
    while (goes_on) {
        const struct scripted_rule *unasked = find(connection->scripted->rules, line, true);
        if (unasked != NULL && is_quiet_for(connection, unasked->quiet_ms)) {
            goes_on = do_rule(connection, unasked);
            continue;
        }
        if (fgets(line, sizeof line, connection->input) == NULL)
            snprintf(line, sizeof line, "EOF");
        else
            note(connection->scripted, line);
        bool is_text = connection->in_content && strcmp(line, ".\r\n") != 0 && strcmp(line, "EOF") != 0;
        goes_on = is_text || answer(connection, line);
        if (strcmp(line, "EOF") == 0)
            break;
    }
    fclose(connection->input);
    atomic_fetch_add(&connection->scripted->ended, 1);
    free(connection);
    return NULL;
}

static void *listen_on(void *argument) {
    struct scripted *scripted = argument;
    int fd, on = 1;
    while ((fd = accept(scripted->fd, NULL, NULL)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        pthread_t thread;
        connection->scripted = scripted;
        connection->fd = fd;
        connection->input = fdopen(fd, "r");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        atomic_fetch_add(&scripted->sessions, 1);
        if (pthread_create(&thread, NULL, serve, connection) == 0)
            pthread_detach(thread);
    }
    return NULL;
}

void scripted_begin(struct scripted *scripted) {
    pthread_t thread;
    int on = 1;
    memset(scripted, 0, sizeof *scripted);
    scripted->port = free_port();
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)scripted->port)};
    scripted->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(scripted->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    cr_assert(bind(scripted->fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(scripted->fd, 64) == 0);
    cr_assert_eq(pthread_create(&thread, NULL, listen_on, scripted), 0);
    pthread_detach(thread);
}

void scripted_end(struct scripted *scripted) {
    shutdown(scripted->fd, SHUT_RDWR);
    close(scripted->fd);
}
