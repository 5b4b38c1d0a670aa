/* A thread for each connection, with blocking reads: few come, and one that waits holds up no other. */
#include "inner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct inner_session {
    struct inner *inner;
    FILE *in;
    int fd;
    bool has_recipient; /* who pipelines says DATA though all were refused */
    bool is_silent;     /* from the first silence on: what is said next is no answer to it */
};

static void say(const struct inner_session *session, const char *text) {
    char line[160];
    int length = snprintf(line, sizeof line, "%s\r\n", text);
    (void)!send(session->fd, line, (size_t)length, MSG_NOSIGNAL);
}

/* What a rule says to this command, in `reply`. */
static bool has_rule(struct inner *inner, const char *command, char reply[96]) {
    bool found = false;
    pthread_mutex_lock(&inner->lock);
    for (unsigned i = inner->rules_count; i-- > 0 && !found;) {
        found = strncasecmp(command, inner->rules[i].command, strlen(inner->rules[i].command)) == 0;
        if (found)
            snprintf(reply, 96, "%s", inner->rules[i].reply);
    }
    pthread_mutex_unlock(&inner->lock);
    return found;
}

static void note(struct inner *inner, const char *command) {
    pthread_mutex_lock(&inner->lock);
    size_t room = sizeof inner->heard - inner->heard_length;
    int length = snprintf(inner->heard + inner->heard_length, room, "%s\n", command);
    if (length > 0 && (size_t)length < room)
        inner->heard_length += (size_t)length;
    pthread_mutex_unlock(&inner->lock);
}

static void usual_reply(const struct inner_session *session, const char *command, char reply[96]) {
    const char *text = "250 2.1.0 ok";
    if (strcmp(command, "connect") == 0)
        text = "220 inner.test ESMTP";
    else if (strncasecmp(command, "EHLO", 4) == 0)
        text = "250-inner.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8";
    else if (strcasecmp(command, "DATA") == 0)
        text = session->has_recipient ? "354 go on" : "554 5.5.1 no valid recipients";
    else if (strcasecmp(command, "QUIT") == 0)
        text = "221 2.0.0 bye";
    else if (strcmp(command, ".") == 0)
        text = "250 2.0.0 inner queued";
    snprintf(reply, 96, "%s", text);
}

/* Before it is said that the mail was taken. */
static void count_mail(struct inner *inner) {
    pthread_mutex_lock(&inner->lock);
    inner->mails++;
    pthread_mutex_unlock(&inner->lock);
}

/* False where the session ends. */
static bool answer(struct inner_session *session, const char *command, char reply[96]) {
    if (!has_rule(session->inner, command, reply))
        usual_reply(session, command, reply);
    if (strncasecmp(command, "MAIL", 4) == 0)
        session->has_recipient = false;
    if (strncasecmp(command, "RCPT", 4) == 0 && reply[0] == '2')
        session->has_recipient = true;
    if (strcmp(command, ".") == 0 && reply[0] == '2')
        count_mail(session->inner);
    session->is_silent |= reply[0] == '\0';
    if (session->is_silent)
        reply[0] = '\0';
    else
        say(session, reply);
    return strncmp(reply, "421", 3) != 0 && strncmp(reply, "221", 3) != 0;
}

static bool read_line(const struct inner_session *session, char line[2048]) {
    if (fgets(line, 2048, session->in) == NULL)
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

static bool take_content(struct inner_session *session) {
    char line[2048], reply[96];
    do {
        if (!read_line(session, line))
            return false;
    } while (strcmp(line, ".") != 0);
    return answer(session, ".", reply);
}

static void *run_session(void *argument) {
    struct inner_session *session = argument;
    char line[2048], reply[96];
    pthread_mutex_lock(&session->inner->lock);
    unsigned pause = session->inner->pause_ms;
    pthread_mutex_unlock(&session->inner->lock);
    pause_ms(pause);
    bool goes_on = answer(session, "connect", reply);
    while (goes_on && read_line(session, line)) {
        note(session->inner, line);
        goes_on = answer(session, line, reply);
        if (goes_on && strncmp(reply, "354", 3) == 0)
            goes_on = take_content(session);
    }
    fclose(session->in);
    free(session);
    return NULL;
}

static void *run(void *argument) {
    struct inner *inner = argument;
    for (;;) {
        int fd = accept(inner->listen_fd, NULL, NULL);
        pthread_t thread;
        struct inner_session *session = malloc(sizeof *session);
        if (fd < 0 || session == NULL)
            abort();
        *session = (struct inner_session){inner, fdopen(fd, "r"), fd, false, false};
        if (session->in == NULL || pthread_create(&thread, NULL, run_session, session) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

void inner_begin(struct inner *inner) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    pthread_t thread;
    memset(inner, 0, sizeof *inner);
    pthread_mutex_init(&inner->lock, NULL);
    inner->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(inner->listen_fd >= 0);
    cr_assert_eq(bind(inner->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(inner->listen_fd, 128), 0);
    cr_assert_eq(getsockname(inner->listen_fd, (struct sockaddr *)&address, &length), 0);
    inner->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&thread, NULL, run, inner), 0);
    pthread_detach(thread);
}

void inner_answer(struct inner *inner, const char *command, const char *reply) {
    pthread_mutex_lock(&inner->lock);
    cr_assert(inner->rules_count < INNER_RULES_MAX);
    snprintf(inner->rules[inner->rules_count].command, sizeof inner->rules[0].command, "%s", command);
    snprintf(inner->rules[inner->rules_count++].reply, sizeof inner->rules[0].reply, "%s", reply);
    pthread_mutex_unlock(&inner->lock);
}

void inner_forget(struct inner *inner) {
    pthread_mutex_lock(&inner->lock);
    inner->rules_count = 0;
    pthread_mutex_unlock(&inner->lock);
}

void inner_pause(struct inner *inner, unsigned ms) {
    pthread_mutex_lock(&inner->lock);
    inner->pause_ms = ms;
    pthread_mutex_unlock(&inner->lock);
}

unsigned inner_mails(struct inner *inner) {
    pthread_mutex_lock(&inner->lock);
    unsigned mails = inner->mails;
    pthread_mutex_unlock(&inner->lock);
    return mails;
}

unsigned inner_heard(struct inner *inner, const char *text) {
    unsigned count = 0;
    pthread_mutex_lock(&inner->lock);
    for (const char *at = inner->heard; (at = strstr(at, text)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&inner->lock);
    return count;
}
