/* A real Postfix of the test's own: an instance under the scene's folder, started and stopped by the test. */
#ifndef POSTERN_TESTS_POSTFIX_H
#define POSTERN_TESTS_POSTFIX_H

#include "harness.h"

struct test_postfix {
    struct scene *scene;
    char dir[96];
    char name[32];
    unsigned port;
    unsigned plain_port; /* of a reference instance that was asked for one: expects no PROXY header */
};

/* What a reference instance stands between. Zeroed: a filter and an inner server that are down. */
struct reference_options {
    unsigned filter_port; /* where smtpd_proxy_filter, or content_filter, hands mail: an Amavis, or a sink */
    unsigned back_port;   /* vm-queue: where the filter hands it back; 0: a free one */
    unsigned inner_port;  /* the next hop, which address verification asks */
    const char *resolver; /* an address that answers DNS on port 53, as unbound->address; NULL: the system's */
    const char
        *recipients; /* lines for relay_recipients beside postmaster@ and user@example.test, as "a@example.test OK\n" */
    const char *clients; /* lines for client_access */
    const char *main_cf; /* words for `postconf -e`, quoted for the shell */
    bool plain;          /* a second port, without PROXY */
};

/* Starts an instance that takes mail for example.test and throws it away. `main_cf` is appended to its main.cf;
 * `proxy`: its port expects a PROXY header. */
void postfix_begin(struct scene *scene, struct test_postfix *postfix, const char *name, bool proxy,
                   const char *main_cf);
/* Builds and starts an instance from conf/postfix/`reference` (vm, vm-queue, strict): only folders, ports, names
 * (example.test), and the next hop's address are exchanged. Its port wants a PROXY header. Its processes are chrooted
 * as on Debian, so the resolver is named by the jail's own etc/resolv.conf. */
void postfix_begin_reference(struct scene *scene, struct test_postfix *postfix, const char *reference,
                             const struct reference_options *options);
/* The same without starting it. */
void postfix_build_reference(struct scene *scene, struct test_postfix *postfix, const char *reference,
                             const struct reference_options *options);
void postfix_start(struct test_postfix *postfix);
/* Stops it as an operator does and starts it again on the same port; back when it listens. */
void postfix_restart(struct test_postfix *postfix);
void postfix_end(struct test_postfix *postfix);
bool postfix_log_has(const struct test_postfix *postfix, const char *text);
/* How many lines of its log hold `text`. */
unsigned postfix_log_count(const struct test_postfix *postfix, const char *text);
/* How many mails its queue holds. */
unsigned postfix_queue_count(const struct test_postfix *postfix);

#endif
