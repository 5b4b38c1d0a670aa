/* A real Postfix of the test's own: an instance under the scene's folder, started and stopped by the test. */
#ifndef POSTERN_TESTS_POSTFIX_H
#define POSTERN_TESTS_POSTFIX_H

#include "harness.h"

struct test_postfix {
    struct scene *scene;
    char dir[96];
    char name[32];
    unsigned port;
};

/* Starts an instance that takes mail for example.test and throws it away. `main_cf` is appended to its main.cf;
 * `proxy`: its port expects a PROXY header. */
void postfix_begin(struct scene *scene, struct test_postfix *postfix, const char *name, bool proxy,
                   const char *main_cf);
/* Stops it as an operator does and starts it again on the same port; back when it listens. */
void postfix_restart(struct test_postfix *postfix);
void postfix_end(struct test_postfix *postfix);
bool postfix_log_has(const struct test_postfix *postfix, const char *text);
/* How many lines of its log hold `text`. */
unsigned postfix_log_count(const struct test_postfix *postfix, const char *text);

#endif
