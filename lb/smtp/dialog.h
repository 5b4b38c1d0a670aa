/* The passive observer of one SMTP session in clear: told all octets of both directions, in the order in which they are
 * passed on, it knows what is going on. Any split of the octets gives the same events. Pure; no allocation.
 *
 * It stops interpreting (dialog_is_clear() is false from then on) inside TLS and when the client sends what two servers
 * may read differently: a bare CR or LF in a command or in DATA (SMTP smuggling, CVE-2023-51764), octets behind DATA or
 * AUTH before the reply, which tells what they are, or a command that is one to some only (command_is_ambiguous()); and
 * when the server asks for more (3xx) where we know of nothing more.
 *
 * A guarded one (dialog_guard()) stops wherever it could take content for commands, or the reverse, on any server that
 * is known: see dialog_guard.c. */
#ifndef POSTERN_SMTP_DIALOG_H
#define POSTERN_SMTP_DIALOG_H

#include "lb/smtp/dialog_state.h"

#include <stddef.h>

/* The first reply is awaited as the greeting. */
void dialog_init(struct dialog *dialog);

/* From now on interpreting stops at every doubt about how the server reads the client's octets, and the caller ends the
 * session there: none of the octets behind may go on. */
void dialog_guard(struct dialog *dialog);
/* The server's last reply to EHLO, or to HELO, offers CHUNKING, or not. */
void dialog_note_chunking(struct dialog *dialog, bool is_offered);
/* The same for PRDR (draft-hall-prdr; Exim): a mail's content may be answered with 353, then a reply for each recipient
 * that was accepted, then the final one. A guarded session does not follow that: the server's count may be another one
 * (Exim leaves out a recipient that its ACL discards). */
void dialog_note_prdr(struct dialog *dialog, bool is_offered);

/* Each consumes octets up to and with the one that ends the next event, or all of them with DIALOG_NONE. DIALOG_BLOCKED
 * and DIALOG_STARTTLS_BEHIND consume nothing. */
size_t dialog_feed_client(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *ret_event);
size_t dialog_feed_server(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *ret_event);

/* The 421 of the last event goes on to the client: it is the answer to the oldest command, if one is open. */
void dialog_accept_421(struct dialog *dialog);
/* The server is gone in the middle of a reply of which the client has seen nothing. */
void dialog_forget_partial_reply(struct dialog *dialog);

/* Octets can be interpreted, and a reply of our own would be understood. */
bool dialog_is_clear(const struct dialog *dialog);
bool dialog_owes_reply(const struct dialog *dialog);
/* The same for what the server can answer now: a chunk of BDAT that is not complete only awaits the client. */
bool dialog_awaits_server(const struct dialog *dialog);
/* What the next reply answers: enum smtp_verb or enum dialog_awaited; VERB_OTHER when none is owed. */
unsigned dialog_next_answer(const struct dialog *dialog);
bool dialog_has_quit(const struct dialog *dialog);
/* QUIT is the only command without its reply, as far as can be read. */
bool dialog_only_quit_is_open(const struct dialog *dialog);
/* The client's next octets are commands; they may begin in the middle of one. */
bool dialog_takes_commands(const struct dialog *dialog);
/* No octet of content has been passed on since the last mail's end, no TLS or AUTH has begun, and the server has taken
 * no command that is not known here: all that it knows can be told to another one (the point of no return).
 */
bool dialog_is_repeatable(const struct dialog *dialog);
/* The client is in the middle of a mail's content: a reply would not be read before its end. */
bool dialog_is_in_content(const struct dialog *dialog);
/* In this transaction content has been passed on, or a BDAT command: the point of no return. */
bool dialog_has_passed_content(const struct dialog *dialog);
/* A mail's content is complete and the reply to it is owed: the server may have taken it already. */
bool dialog_awaits_final_reply(const struct dialog *dialog);
/* The same, or interpreting has stopped at a reply that may have been it, and did not go on. */
bool dialog_may_hide_acceptance(const struct dialog *dialog);
/* Nothing is owed, nothing begun: a 421 costs no mail. */
bool dialog_is_between_transactions(const struct dialog *dialog);
unsigned dialog_mails_accepted(const struct dialog *dialog);
enum dialog_phase dialog_phase(const struct dialog *dialog);
const char *dialog_phase_name(enum dialog_phase phase);

#endif
