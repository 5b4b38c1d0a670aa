/* A scripted SMTP server, in threads of the test's own: the inner server behind a host, or its filter. It takes all
 * mail, until it is told what to answer instead. Nothing need be ended: it goes with the test's process. */
#ifndef POSTERN_TESTS_INNER_H
#define POSTERN_TESTS_INNER_H

#include "harness.h"

#include <pthread.h>

#define INNER_RULES_MAX 8
#define INNER_HEARD_MAX 65536

struct inner {
    unsigned port;
    int listen_fd;
    pthread_mutex_t lock; /* of all below */
    unsigned pause_ms;    /* before each greeting */
    struct {
        char command[64], reply[96];
    } rules[INNER_RULES_MAX];
    unsigned rules_count;
    unsigned mails;
    char heard[INNER_HEARD_MAX]; /* all commands, as far as they fit */
    size_t heard_length;
};

void inner_begin(struct inner *inner);
/* From now on what begins with `command` (the end of content is ".", the greeting "connect") is answered with `reply`;
 * "" is silence. Later rules come first. A 2xx or 3xx must stand where SMTP has one. */
void inner_answer(struct inner *inner, const char *command, const char *reply);
/* It takes all mail again. */
void inner_forget(struct inner *inner);
void inner_pause(struct inner *inner, unsigned ms);
unsigned inner_mails(struct inner *inner);
/* How many commands held `text`. */
unsigned inner_heard(struct inner *inner, const char *text);

#endif
