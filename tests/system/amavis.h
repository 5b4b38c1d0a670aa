/* A real Amavis with SpamAssassin, set up by conf/postfix/amavis. */
#ifndef POSTERN_TESTS_AMAVIS_H
#define POSTERN_TESTS_AMAVIS_H

#include "harness.h"

struct test_amavis {
    struct scene *scene;
    unsigned port;
    pid_t pid;
};

/* Starts it with a file of conf/postfix/amavis, of which only names, ports and folders are exchanged: it hands mail on
 * to 127.0.0.1:`next_port`. Back when it greets. It listens on `amavis->port`, chosen by the caller, and again there
 * when it is begun a second time. */
void amavis_begin(struct scene *scene, struct test_amavis *amavis, const char *file, unsigned next_port);
void amavis_end(struct test_amavis *amavis);

#endif
