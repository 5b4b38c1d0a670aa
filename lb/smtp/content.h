/* Where the content behind DATA ends: at CRLF "." CRLF and nowhere else (RFC 5321 §4.1.1.4). Pure. */
#ifndef POSTERN_SMTP_CONTENT_H
#define POSTERN_SMTP_CONTENT_H

#include <stddef.h>
#include <stdint.h>

/* The state before the first octet. */
#define CONTENT_START 0u

enum content_found {
    CONTENT_GOES_ON,       /* all octets taken */
    CONTENT_ENDS,          /* the last octet taken is the last of the end */
    CONTENT_BARE_LINE_END, /* the octet behind those taken makes, or is, a CR or an LF alone */
};

/* Takes octets up to `length` or what is found first; returns how many. *state is the caller's between the calls. */
size_t content_feed(uint8_t *state, const uint8_t *data, size_t length, enum content_found *ret_found);

#endif
