/* MAIL and RCPT: what a client says of a mail, and what it hears of that. Pure. */
#ifndef POSTERN_GATE_ENVELOPE_H
#define POSTERN_GATE_ENVELOPE_H

#include "lb/gate/answer.h"
#include "lb/gate/state.h"

#include <stddef.h>
#include <stdint.h>

/* Each takes its command's line, with its CRLF. */
enum gate_next envelope_take_mail(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                  size_t length, struct gate_answer *answer);
enum gate_next envelope_take_rcpt(struct gate *gate, const struct gate_policy *policy, const uint8_t *line,
                                  size_t length, struct gate_answer *answer);
/* The recipient is read: tries the rules. GATE_REPLIES, GATE_WAITS or GATE_HANDS_OVER. */
enum gate_next envelope_judge(struct gate *gate, const struct gate_policy *policy, struct gate_answer *answer);

/* From now on this complete reply, shorter than GATE_REFUSAL_MAX, is the answer to each recipient of the transaction.
 */
void envelope_refuse(struct gate *gate, unsigned code, const char *reply, size_t length);
/* Says it. Returns GATE_REPLIES. */
enum gate_next envelope_refuse_again(const struct gate *gate, struct gate_answer *answer);

#endif
