/* What the refusal of a mail's content, or of a recipient, says: about the mail and its sender, or about neither.
 * Servers say it by RFC 3463's enhanced codes, by words, or by both. Pure. Where it is in doubt, it says nothing. */
#ifndef POSTERN_SMTP_VERDICT_H
#define POSTERN_SMTP_VERDICT_H

#include "lb/smtp/reply.h"

/* Of a reply this much is read for its words. */
#define VERDICT_TEXT_MAX 1024u

/* The reply (complete, of this code) to the end of a mail's content refuses it for what it is: as spam, for a virus or
 * by policy. False for what no sender is to be blamed for: size, quota, loops, syntax, TLS, 8-bit content, trouble of
 * the server. `enhanced`: of the reply. Without its text (`length` 0) only the codes count. */
bool verdict_is_on_content(unsigned code, const struct enhanced_code *enhanced, const uint8_t *reply, size_t length);

/* The reply to RCPT says that there is no such recipient; false for policy, and for what is wrong with the sender. */
bool verdict_is_unknown_recipient(unsigned code, const struct enhanced_code *enhanced, const uint8_t *reply,
                                  size_t length);

#endif
