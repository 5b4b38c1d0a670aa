/* Paths and parameters of MAIL and RCPT (RFC 5321 §4.1.2), as Postfix reads them: its smtpd takes far more than the RFC
 * writes, and real senders have come to say it. Pure. */
#ifndef POSTERN_SMTP_PATH_H
#define POSTERN_SMTP_PATH_H

#include "lb/smtp/domain.h"

#include <stdint.h>

/* RFC 5321 §4.5.3.1.1 says 64; SRS, VERP and mailing lists' confirmations go beyond, and no server is known that minds.
 */
#define SMTP_LOCAL_PART_MAX 256u

struct smtp_path {
    bool is_null;                             /* <> */
    bool is_quoted;                           /* the local part has a quoted string */
    bool is_literal;                          /* the domain is an address in brackets */
    bool has_utf8;                            /* octets beyond ASCII */
    bool has_utf8_domain;                     /* such in the domain: only where SMTPUTF8 was said */
    bool is_loose;                            /* not as RFC 5321 writes it: without <>, blanks, comments, backslashes */
    char local_part[SMTP_LOCAL_PART_MAX + 1]; /* without quotes */
    char domain[SMTP_DOMAIN_MAX + 1];         /* in lower case, no dot at its end; "": none, as in <postmaster> */
};

enum path_result {
    PATH_OK,
    PATH_MALFORMED, /* Postfix refuses it too */
    PATH_UNCLEAR,   /* Postfix may take it, or read it otherwise than we would: no more can be said here */
};

/* Parses the word at the beginning of a text: up to a blank outside quotes and <>. A source route is left out (RFC 5321
 * §4.1.1.3). *ret_used: the octets of that word. */
enum path_result path_parse(const char *text, size_t length, size_t *ret_used, struct smtp_path *ret_path);

/* "local@domain", "local" or "", without quotes; cut to fit. For texts only: it can't be parsed again. */
#define PATH_TEXT_MAX (SMTP_LOCAL_PART_MAX + SMTP_DOMAIN_MAX + 2u)
void path_format(const struct smtp_path *path, char *ret_text, size_t size);

#endif
