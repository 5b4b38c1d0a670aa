/* A real DNS server with data of the test's choice. */
#ifndef POSTERN_TESTS_UNBOUND_H
#define POSTERN_TESTS_UNBOUND_H

#include "harness.h"

struct test_unbound {
    struct scene *scene;
    unsigned port;
    char address[24]; /* in 127.53.0.0/16, on port 53, for what can't be told a port; "": none */
    pid_t pid;
};

/* `data`: lines of its server section, as `local-data: "…"`; the zone test. is its own. */
void unbound_begin(struct scene *scene, struct test_unbound *unbound, const char *data);
/* The same, and it answers on port 53 of an address of its own as well; names that `data` doesn't hold don't exist. */
void unbound_begin_as_system(struct scene *scene, struct test_unbound *unbound, const char *data);
/* Exchanges the data of a running one, at once. */
void unbound_tell(struct test_unbound *unbound, const char *data);

#endif
