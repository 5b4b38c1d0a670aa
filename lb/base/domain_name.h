/* Names of the DNS as an operator may write them. */
#ifndef POSTERN_BASE_DOMAIN_NAME_H
#define POSTERN_BASE_DOMAIN_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 1035 §2.3.4, in text without the dot at the end. */
#define DOMAIN_NAME_MAX 253u

/* Labels of 1 to 63 letters, digits, - and _ (which too many real names have), no - at their ends, 253 octets at most,
 * and not numbers alone (RFC 1035 §2.3.1, RFC 1123 §2.1). `length` without a dot at the end. */
bool text_is_domain(const char *text, size_t length);

#endif
