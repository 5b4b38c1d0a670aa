/* The parameters of MAIL and RCPT (RFC 5321 §4.1.1.11), in so far as they decide what is answered. Pure. */
#ifndef POSTERN_SMTP_PARAMETERS_H
#define POSTERN_SMTP_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct smtp_parameters {
    bool has_size;
    bool has_utf8; /* SMTPUTF8 (RFC 6531) */
    uint64_t size; /* UINT64_MAX: that, or more */
};

enum parameters_result {
    PARAMETERS_OK,
    PARAMETERS_MALFORMED, /* no name, or no number where one must be */
    PARAMETERS_UNKNOWN,   /* none of an extension that is offered: 455 (RFC 5321 §4.2.2) */
};

/* " SIZE=100 BODY=8BITMIME SMTPUTF8", with blanks as Postfix takes them. `offer`: the EHLO keywords, a line each
 * (lb/smtp/ehlo.h). */
enum parameters_result parameters_parse(const char *text, size_t length, bool is_recipient, const char *offer,
                                        struct smtp_parameters *ret_parameters);

#endif
