/* What the observer of a guarded session asks more than that of any other: could the server, whichever it is, read the
 * client's octets otherwise than they are read here? Then a mail could be hidden in another one's content. Pure. */
#ifndef POSTERN_SMTP_DIALOG_GUARD_H
#define POSTERN_SMTP_DIALOG_GUARD_H

#include "lb/smtp/dialog_state.h"

#include <stddef.h>

/* A longer command line may be cut by a server, and its rest be the next command: Postfix' line_length_limit and
 * Sendmail's MAXLINE are 2,048. An answer to 334 may be longer (RFC 4954 §4). */
#define GUARDED_COMMAND_MAX 2048u
#define GUARDED_ANSWER_MAX  12288u

/* A 3xx asks for more from the client: content after DATA, an answer after AUTH or the like. After anything else nobody
 * knows what it asks for, or how that ends (Exchange's XEXCH50: so many octets). */
bool dialog_asks_for_unknown(uint8_t verb, uint16_t code);

/* After this reply, which is taken from what is awaited, or unsolicited. */
bool dialog_guard_doubts(const struct dialog *dialog, const struct dialog_event *reply);

/* A chunk of BDAT whose size all servers read alike. `line`: the command, or its beginning. */
bool dialog_guard_takes_chunk(const uint8_t *line, size_t length, uint64_t size);

#endif
