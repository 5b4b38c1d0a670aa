/* The gate: postern speaks SMTP with an admitted client itself, up to the first recipient that every rule lets pass, so
 * that junk never reaches the host behind. Then that host is connected and told the same, and answers from there on.
 * With those of whom no mail is taken it speaks up to their end (enum gate_standing).
 *
 * Pure: the caller passes in octets, and what the DNS says (state.h), and does what gate_next asks for. What is said
 * wrongly here by a client has an answer; what a caller does wrongly is an assert. */
#ifndef POSTERN_GATE_GATE_H
#define POSTERN_GATE_GATE_H

#include "lb/gate/answer.h"
#include "lb/gate/input.h"
#include "lb/gate/policy.h"
#include "lb/gate/state.h"
#include "lb/smtp/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Commands and errors after which a client that has come no further is cut; Postfix' smtpd_hard_error_limit is 20, and
 * 1 under stress. Recipients are counted by max-recipients instead. */
#define GATE_COMMANDS_MAX        300u
#define GATE_ERRORS_MAX          20u
#define GATE_ERRORS_STRESSED_MAX 1u
/* The same for those of whom no mail is taken: they have little reason to say more. */
#define GATE_REFUSED_COMMANDS_MAX 200u
#define GATE_REFUSED_ERRORS_MAX   10u

/* The greeting's last line, or the one before it. */
void gate_greeting(const char *hostname, bool goes_on, struct gate_answer *ret_answer);

/* The next piece of what the client says (gate_next_piece(), of gate->chunk_left). Where the gate cuts a client that is
 * admitted, the caller says why, in the words of its reason; others hear it in the answer. */
enum gate_next gate_take_piece(struct gate *gate, const struct gate_policy *policy, enum gate_piece piece,
                               const uint8_t *data, size_t length, struct gate_answer *ret_answer);
/* One command line with its CRLF, which ends it and occurs nowhere else. None is taken behind a cut, or an answer that
 * closes. */
enum gate_next gate_take(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length,
                         struct gate_answer *ret_answer);
/* Of an admitted client, more of which stands behind this line: it should have waited for the reply. */
bool gate_comes_early(const struct gate_policy *policy, const uint8_t *line, size_t length);
/* After GATE_WAITS. */
enum gate_next gate_resume(struct gate *gate, const struct gate_policy *policy, struct gate_answer *ret_answer);

/* After GATE_HANDS_OVER: nobody is there who could answer. Returns false when nothing can be said: a 4xx to STARTTLS
 * would make the client go on in clear, so the session ends. */
bool gate_on_unreachable(struct gate *gate, struct gate_answer *ret_answer);
/* After GATE_HANDS_OVER: the host's own refusal, a complete reply, is the answer here and for the rest of the
 * transaction. Returns false as above; what closes the session can be said to STARTTLS, too. */
bool gate_on_refusal(struct gate *gate, const uint8_t *reply, size_t length, struct gate_answer *ret_answer);

#endif
