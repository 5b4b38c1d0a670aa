/* Paths and parameters of MAIL and RCPT (RFC 5321 §4.1.2). Pure. */
#ifndef POSTERN_SMTP_PATH_H
#define POSTERN_SMTP_PATH_H

#include "lb/smtp/domain.h"

#include <stdint.h>

/* RFC 5321 §4.5.3.1.1. */
#define SMTP_LOCAL_PART_MAX 64u

struct smtp_path {
    bool is_null;                             /* <> */
    bool is_quoted;                           /* the local part was a quoted string */
    bool is_literal;                          /* the domain is an address in brackets */
    bool is_utf8;                             /* has octets beyond ASCII: only where SMTPUTF8 was said */
    char local_part[SMTP_LOCAL_PART_MAX + 1]; /* without quotes */
    char domain[SMTP_DOMAIN_MAX + 1];         /* in lower case, no dot at its end; "": none, as in <postmaster> */
};

enum path_result {
    PATH_OK,
    PATH_MALFORMED,
    PATH_TOO_LONG,
};

/* Parses "<…>" at the beginning of a text; a source route is left out (RFC 5321 §4.1.1.3). *ret_used: the octets up to
 * and with '>'. */
enum path_result path_parse(const char *text, size_t length, size_t *ret_used, struct smtp_path *ret_path);

/* "local@domain", "local" or "", without quotes; cut to fit. For texts only: it can't be parsed again. */
void path_format(const struct smtp_path *path, char *ret_text, size_t size);

/* What MAIL's and RCPT's parameters say, as far as it matters here. */
struct smtp_parameters {
    bool has_size;
    uint64_t size;
};
/* " SIZE=100 BODY=8BITMIME SMTPUTF8"; others are left to the server behind. Returns false when malformed. */
bool parameters_parse(const char *text, size_t length, struct smtp_parameters *ret_parameters);

#endif
