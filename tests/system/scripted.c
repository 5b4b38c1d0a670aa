/* A host that answers by rules, on threads of its own with blocking sockets. The threads end with the test's process.
 */
#include "scripted.h"

#include "talk.h"

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
    bool has_recipient; /* a client that pipelines says DATA though all were refused */
    bool is_silent;
    struct scripted_client *client; /* NULL: it is under no limit */
    struct scripted_rule limit;     /* its `line` NULL: the client is not over it */
};

static const struct scripted_rule usual[] = {
    {"GREETING", "220 scripted ESMTP\r\n", GOES_ON, 0},
    {"EHLO", "250-scripted\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n", GOES_ON, 0},
    {"HELO", "250 scripted\r\n", GOES_ON, 0},
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

static const struct scripted_rule no_recipients = {"DATA", "554 5.5.1 no valid recipients\r\n", GOES_ON, 0};

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
    atomic_fetch_add(&scripted->replies, 1);
}

/* The client's place; the last one is for all that find none. */
static struct scripted_client *find_client(struct scripted *scripted, const char *address) {
    struct scripted_client *client = scripted->clients, *last = client + SCRIPTED_CLIENTS_MAX - 1;
    while (client < last && client->address[0] != '\0' && strcmp(client->address, address) != 0)
        client++;
    snprintf(client->address, sizeof client->address, "%s", address);
    return client;
}

/* Returns false when it is not told of its client. */
static bool take_proxy(struct connection *connection) {
    struct scripted *scripted = connection->scripted;
    const struct scripted_limit *limit = &scripted->limit;
    char line[128], address[46];
    if (fgets(line, sizeof line, connection->input) == NULL || sscanf(line, "PROXY TCP4 %45s", address) != 1)
        return false;
    if (strcmp(address, "127.0.0.1") == 0)
        return true;
    pthread_mutex_lock(&scripted->lock);
    struct scripted_client *client = connection->client = find_client(scripted, address);
    client->at_once++;
    client->in_all++;
    if ((limit->at_once > 0 && client->at_once > limit->at_once) ||
        (limit->in_all > 0 && client->in_all > limit->in_all))
        connection->limit = limit->rule;
    pthread_mutex_unlock(&scripted->lock);
    return true;
}

static void leave(struct connection *connection) {
    struct scripted *scripted = connection->scripted;
    pthread_mutex_lock(&scripted->lock);
    if (connection->client != NULL)
        connection->client->at_once--;
    pthread_mutex_unlock(&scripted->lock);
}

/* The rule for the line of a client that is over the limit. */
static bool is_limited(struct connection *connection, const char *line, struct scripted_rule *ret_rule) {
    const char *limited = connection->limit.line;
    if (limited == NULL || strncasecmp(line, limited, strlen(limited)) != 0)
        return false;
    *ret_rule = connection->limit;
    atomic_fetch_add(&connection->scripted->limited, 1);
    return true;
}

/* The test's rule for the line, if there is one. */
static bool find_given(struct connection *connection, const char *line, bool is_unasked,
                       struct scripted_rule *ret_rule) {
    struct scripted *scripted = connection->scripted;
    pthread_mutex_lock(&scripted->lock);
    const struct scripted_rule *rule = find(scripted->rules, line, is_unasked);
    if (rule != NULL)
        *ret_rule = *rule;
    pthread_mutex_unlock(&scripted->lock);
    return rule != NULL;
}

/* Returns false when the connection is over. */
static bool do_rule(struct connection *connection, const struct scripted_rule *rule) {
    connection->is_silent |= rule->end == FALLS_SILENT;
    if (!connection->is_silent)
        say(connection, rule->reply);
    if (rule->end == RESETS)
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    return rule->end == GOES_ON || rule->end == FALLS_SILENT;
}

static bool answer(struct connection *connection, const char *line) {
    struct scripted_rule rule;
    if (!is_limited(connection, line, &rule) && !find_given(connection, line, false, &rule))
        rule = *find(usual, line, false);
    bool is_data = strncasecmp(line, "DATA", 4) == 0, is_taken = rule.reply[0] == '2' && !connection->is_silent;
    if (is_data && rule.reply[0] == '3' && !connection->has_recipient)
        rule = no_recipients;
    if (strncasecmp(line, "MAIL", 4) == 0)
        connection->has_recipient = false;
    connection->has_recipient |= strncasecmp(line, "RCPT", 4) == 0 && is_taken;
    connection->in_content = strncmp(rule.reply, "354", 3) == 0;
    if (line[0] == '.' && is_taken)
        atomic_fetch_add(&connection->scripted->mails, 1);
    return do_rule(connection, &rule);
}

static void note(struct connection *connection, const char *line) {
    struct scripted *scripted = connection->scripted;
    size_t length = strlen(line), at = atomic_load(&scripted->told_length);
    pthread_mutex_lock(&scripted->lock);
    if (at + length < sizeof scripted->told) {
        memcpy(scripted->told + at, line, length + 1);
        atomic_store(&scripted->told_length, at + length);
    }
    if (!connection->in_content && scripted->commands_length + length < sizeof scripted->commands) {
        memcpy(scripted->commands + scripted->commands_length, line, length + 1);
        scripted->commands_length += length;
    }
    pthread_mutex_unlock(&scripted->lock);
}

static bool is_quiet_for(const struct connection *connection, unsigned ms) {
    struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};
    return poll(&poll_fd, 1, (int)ms) == 0;
}

static void *serve(void *argument) {
    struct connection *connection = argument;
    char line[2048] = "GREETING";
    pause_ms(atomic_load(&connection->scripted->greeting_ms));
    bool is_known = !connection->scripted->takes_proxy || take_proxy(connection);
    bool goes_on = is_known && answer(connection, line);
    while (goes_on) {
        struct scripted_rule unasked;
        if (find_given(connection, line, true, &unasked) && is_quiet_for(connection, unasked.quiet_ms)) {
            goes_on = do_rule(connection, &unasked);
            continue;
        }
        if (fgets(line, sizeof line, connection->input) == NULL)
            snprintf(line, sizeof line, "EOF");
        else
            note(connection, line);
        bool is_text = connection->in_content && strcmp(line, ".\r\n") != 0 && strcmp(line, "EOF") != 0;
        goes_on = is_text || answer(connection, line);
        if (strcmp(line, "EOF") == 0)
            break;
    }
    leave(connection);
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
    memset(scripted, 0, sizeof *scripted);
    pthread_mutex_init(&scripted->lock, NULL);
    scripted->fd = talk_listen(&scripted->port);
    cr_assert_eq(pthread_create(&thread, NULL, listen_on, scripted), 0);
    pthread_detach(thread);
}

void scripted_end(struct scripted *scripted) {
    shutdown(scripted->fd, SHUT_RDWR);
    close(scripted->fd);
}

/* --- what the test says and asks meanwhile --- */

void scripted_rule(struct scripted *scripted, struct scripted_rule rule) {
    pthread_mutex_lock(&scripted->lock);
    cr_assert(scripted->rules[SCRIPTED_RULES_MAX - 1].line == NULL, "too many rules");
    memmove(scripted->rules + 1, scripted->rules, (SCRIPTED_RULES_MAX - 1) * sizeof scripted->rules[0]);
    scripted->rules[0] = rule;
    pthread_mutex_unlock(&scripted->lock);
}

void scripted_answer(struct scripted *scripted, const char *line, const char *reply) {
    bool is_last = strncmp(reply, "421", 3) == 0 || strncmp(reply, "221", 3) == 0;
    enum scripted_end end = reply[0] == '\0' ? FALLS_SILENT : is_last ? HANGS_UP : GOES_ON;
    scripted_rule(scripted, (struct scripted_rule){line, reply, end, 0});
}

void scripted_forget(struct scripted *scripted) {
    pthread_mutex_lock(&scripted->lock);
    memset(scripted->rules, 0, sizeof scripted->rules);
    pthread_mutex_unlock(&scripted->lock);
}

unsigned scripted_heard(struct scripted *scripted, const char *text) {
    unsigned count = 0;
    pthread_mutex_lock(&scripted->lock);
    for (const char *at = scripted->commands; (at = strstr(at, text)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&scripted->lock);
    return count;
}

void scripted_begin_anew(struct scripted *scripted) {
    atomic_store(&scripted->told_length, 0);
    scripted->told[0] = '\0';
}

void scripted_expect_told(struct scripted *scripted, const char *wanted, const char *what) {
    uint64_t limit = now_ms() + TALK_MS;
    while (strlen(scripted->told) < strlen(wanted) && now_ms() < limit)
        pause_ms(5);
    cr_assert_str_eq(scripted->told, wanted, "%s: the host was told \"%s\"", what, scripted->told);
}
