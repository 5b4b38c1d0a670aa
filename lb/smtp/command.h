/* SMTP command lines (RFC 5321 §4.1, RFC 3030, RFC 3207, RFC 4954). Pure. */
#ifndef POSTERN_SMTP_COMMAND_H
#define POSTERN_SMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smtp_verb {
    VERB_OTHER,
    VERB_HELO,
    VERB_EHLO,
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_BDAT,
    VERB_RSET,
    VERB_NOOP,
    VERB_QUIT,
    VERB_VRFY,
    VERB_EXPN,
    VERB_HELP,
    VERB_STARTTLS,
    VERB_AUTH,
    VERBS_COUNT
};

/* The verb of a command line, of which the first octets are enough; its end may be missing. ASCII case does not count;
 * the verb must be followed by a space, a CR or the end. */
enum smtp_verb command_verb(const uint8_t *line, size_t length);

/* A server may read a command where command_verb() sees none, or another one, and then take content for what we would
 * take for commands. Postfix skips blanks before the verb, takes VT and FF for blanks too, and ends the line at a NUL;
 * other languages know other blanks. */
bool command_is_ambiguous(const uint8_t *line, size_t length);

/* "BDAT size [LAST]" (RFC 3030 §2). Returns false when it is malformed or the size does not fit 63 bits. */
bool command_parse_bdat(const uint8_t *line, size_t length, uint64_t *ret_size, bool *ret_last);

/* A line of another protocol or of a mail's header: HTTP's GET, POST and CONNECT, or "Name:", as postscreen(8) knows
 * them (postscreen_forbidden_commands, postscreen_non_smtp_command_enable). */
bool command_is_foreign(const uint8_t *line, size_t length);

/* What stands behind the verb of a line that ends with CRLF, without the blanks around it. */
const char *command_argument(const uint8_t *line, size_t length, size_t *ret_length);

#endif
