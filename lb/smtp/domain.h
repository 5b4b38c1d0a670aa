/* Domains and address literals, as HELO and paths name them. Pure. The rules are those of Postfix' valid_hostname.c, so
 * that the gate and the host behind it agree: underscores are taken, since too many real names have them. */
#ifndef POSTERN_SMTP_DOMAIN_H
#define POSTERN_SMTP_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 5321 §4.5.3.1.2. */
#define SMTP_DOMAIN_MAX 255u

/* Labels of letters, digits, - and _ of 63 octets at most, no - at their ends, not numbers alone; with `takes_utf8` any
 * valid UTF-8 beyond ASCII too (RFC 6531 §3.3). One dot at the end is taken. */
bool domain_is_valid(const char *text, size_t length, bool takes_utf8);
/* A valid domain of two labels or more. */
bool domain_is_fqdn(const char *text, size_t length, bool takes_utf8);
/* Four numbers, as Postfix takes them: zeros before one are legal, 0 as the first is not, but for 0.0.0.0. `text` ends
 * with a NUL, there or further on. */
bool domain_is_ipv4(const char *text, size_t length);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3); other tags are not taken. */
bool domain_is_literal(const char *text, size_t length);
/* Valid UTF-8 without overlong forms and surrogates (RFC 3629). */
bool text_is_utf8(const char *text, size_t length);

#endif
