/* A host with a configuration of conf/postfix, with DNS and a scripted inner server. The filter's place is taken by
 * where it hands mail on to: a filter that passes everything. */
#ifndef POSTERN_TESTS_REFERENCE_SITE_H
#define POSTERN_TESTS_REFERENCE_SITE_H

#include "postfix.h"
#include "scripted.h"
#include "unbound.h"

#define SITE_CLIENT "203.0.113.5"
#define SITE_FROM   "EHLO mx.sender.test\nMAIL FROM:<a@sender.test>\n"
#define SITE_TO     "RCPT TO:<user@example.test>\n"
#define SITE_MAIL                                                                                                      \
    "DATA\nFrom: a@sender.test\\r\\nTo: user@example.test\\r\\nMessage-ID: <1@sender.test>\\r\\nDate: Tue, 24 Nov "    \
    "2026 23:00:00 +0000\\r\\n\\r\\nhello\\r\\n.\nQUIT"

struct reference_site {
    struct scene scene;
    struct test_unbound unbound;
    struct scripted inner;
    struct test_postfix host;
};

/* `recipients`, `main_cf`: as reference_options has them; NULL: none. sender.test and example.test exist in DNS. */
void site_begin(struct reference_site *site, const char *reference, const char *recipients, const char *main_cf);
/* The same without starting the host. */
void site_build(struct reference_site *site, const char *reference, const char *recipients, const char *main_cf);
void site_end(struct reference_site *site);
/* SITE_CLIENT speaks `script` (talk_lines()) to the host; true when `reply` is among what it hears, else all of it is
 * shown.
 */
bool site_hears(struct reference_site *site, const char *script, const char *reply);

#endif
