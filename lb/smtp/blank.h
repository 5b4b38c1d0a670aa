/* What Postfix takes for blanks between the words of a command: isspace(3) in the C locale. */
#ifndef POSTERN_SMTP_BLANK_H
#define POSTERN_SMTP_BLANK_H

#include <stdbool.h>

/* `octet`: 0 to 255, or -1 for none. */
static inline bool is_blank(int octet) {
    return octet == ' ' || (octet >= '\t' && octet <= '\r');
}

#endif
