/* A mail server that answers and ends as a test says, on a thread a connection. What no rule is for it answers as any
 * server does. */
#ifndef POSTERN_TESTS_SCRIPTED_H
#define POSTERN_TESTS_SCRIPTED_H

#include "harness.h"

#include <stdatomic.h>

enum scripted_end {
    GOES_ON,
    HANGS_UP, /* behind the reply */
    RESETS,
};

struct scripted_rule {
    const char *line;  /* the beginning of a client's line; "EOF": its end; "GREETING": the greeting */
    const char *reply; /* "": nothing */
    enum scripted_end end;
    unsigned quiet_ms; /* from the reply to the line before it says this unasked; then `line` is that line */
};

#define SCRIPTED_RULES_MAX 4u
#define SCRIPTED_TOLD_MAX  131072u

struct scripted {
    unsigned port;
    int fd;
    /* A rule is given before the connection that it is for begins; `line` NULL ends them. */
    struct scripted_rule rules[SCRIPTED_RULES_MAX + 1];
    unsigned piece;      /* octets in a segment of what it says; 0: whole replies */
    atomic_bool is_held; /* it says nothing meanwhile */
    atomic_uint mails;
    atomic_uint sessions; /* begun, probes among them */
    atomic_uint ended;    /* of these, by whomever */
    /* All that it was told, where it is asked by one session at a time. */
    char told[SCRIPTED_TOLD_MAX];
    atomic_size_t told_length;
};

void scripted_begin(struct scripted *scripted);
void scripted_end(struct scripted *scripted);

#endif
