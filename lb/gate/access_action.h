/* What a line of access-file says is to be done, the right half of access(5). Pure. */
#ifndef POSTERN_GATE_ACCESS_ACTION_H
#define POSTERN_GATE_ACCESS_ACTION_H

#include <stdint.h>

enum access_kind { ACCESS_DUNNO, ACCESS_OK, ACCESS_REJECT };

#define ACCESS_TEXT_MAX 256

/* code, enhanced and text are those of ACCESS_REJECT, as "550 5.7.1 Go away"; 421 and 521 close the session besides. */
struct access_action {
    enum access_kind kind;
    uint16_t code;
    char enhanced[12];
    char text[ACCESS_TEXT_MAX]; /* ASCII, printable */
};

/* Parses "OK", "REJECT text", "450 4.7.1 text" and what else access(5) has that can be told to a client at once; never
 * empty. Returns NULL, or what is wrong and what is allowed, for a message; *ret_action is untouched then. */
const char *access_action_parse(const char *text, struct access_action *ret_action);

#endif
