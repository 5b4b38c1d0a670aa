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

#include "lb/smtp/command.h"
#include "lb/smtp/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dialog_event_kind {
    DIALOG_NONE,
    DIALOG_COMMAND,         /* a command line has ended: `verb` */
    DIALOG_CONTENT_END,     /* the final dot, or the last octet of a BDAT chunk */
    DIALOG_REPLY,           /* a reply has ended: `code`, `enhanced`, and the `verb` it answers */
    DIALOG_421,             /* the same for 421, which may come at any time: not counted as an answer yet */
    DIALOG_TLS,             /* the reply was the 220 to STARTTLS: no more can be read */
    DIALOG_UNTRUSTED,       /* interpreting stops, see above: on either side */
    DIALOG_JUNK,            /* the server says what is no reply: it must not go on */
    DIALOG_UNASKED,         /* it agrees to what was not said, or not to its end: that must not go on either */
    DIALOG_STARTTLS_BEHIND, /* octets behind STARTTLS (CVE-2011-0411): they must not go on */
    DIALOG_BLOCKED,         /* too many commands unanswered: these octets must wait for a reply */
};

/* What a reply answers, beside commands. */
enum dialog_awaited {
    AWAITED_GREETING = VERBS_COUNT,
    AWAITED_DOT,
    AWAITED_BDAT_LAST,
    AWAITED_RECIPIENT, /* PRDR: the 353 to content, and a reply for each recipient; the final one is still to come */
};

struct dialog_event {
    enum dialog_event_kind kind;
    uint8_t verb;        /* enum smtp_verb or enum dialog_awaited */
    bool is_unsolicited; /* of a reply: nothing was open, for 421 nothing that the server could answer */
    uint16_t code;
    struct enhanced_code enhanced;
};

enum dialog_phase {
    PHASE_GREETING,
    PHASE_IDLE, /* greeted, no EHLO or HELO yet */
    PHASE_EHLO, /* between transactions */
    PHASE_MAIL,
    PHASE_RCPT,
    PHASE_DATA,    /* DATA, and no reply yet */
    PHASE_CONTENT, /* content is on its way */
    PHASE_DOT,     /* it is complete, the reply is owed */
    PHASE_QUIT,
    PHASE_TLS,
    PHASE_UNTRUSTED,
};

enum dialog_client_mode {
    CLIENT_COMMANDS,
    CLIENT_AWAITS_DATA, /* after DATA: nothing may come before its reply */
    CLIENT_CONTENT,
    CLIENT_CHUNK,        /* BDAT */
    CLIENT_AUTH,         /* after 334: the next line is no command but the answer */
    CLIENT_AWAITS_AUTH,  /* after AUTH, or an answer: what follows, its reply will tell */
    CLIENT_AWAITS_OTHER, /* guarded, after a command that we don't know: the same */
    CLIENT_AWAITS_TLS,
    CLIENT_OPAQUE, /* TLS or untrusted */
};

/* Commands unanswered are kept as runs of the same verb, so that 1,000 pipelined RCPT are one. */
#define DIALOG_RUNS_MAX   12
#define DIALOG_RUN_MAX    2047
#define DIALOG_PREFIX_MAX 32

struct dialog {
    struct reply_parser reply;
    uint64_t chunk_left;
    uint32_t mails_accepted;
    uint32_t line_octets;
    uint32_t recipients;         /* of this transaction, that the server has accepted */
    uint32_t recipients_to_hear; /* behind a 353: replies that come before the final one */
    struct {
        uint16_t verb : 5;
        uint16_t count : 11;
    } runs[DIALOG_RUNS_MAX];
    uint8_t runs_count;
    uint8_t client_mode;
    uint8_t content_state;
    uint8_t phase;
    bool is_untrusted : 1;
    bool has_cr : 1;
    bool has_quit : 1;
    bool is_in_transaction : 1;
    bool is_authenticated : 1;
    bool has_unknown_state : 1; /* the server took a command that is not known here (XCLIENT, XFORWARD, X-EXPS …) */
    bool chunk_is_last : 1;
    bool has_pipelined : 1;       /* behind DATA or STARTTLS, the last of a group (RFC 2920 §3.1, RFC 3207 §4) */
    bool has_pipelined_hello : 1; /* behind EHLO or HELO */
    bool is_not_smtp : 1;         /* a line that no mail client says */
    bool has_passed_content : 1;  /* the point of no return of this transaction */
    bool is_guarded : 1;
    bool takes_chunks : 1;             /* the server's last EHLO offered CHUNKING */
    bool answers_each : 1;             /* the same for PRDR */
    bool has_heard_421 : 1;            /* the client, from the server: nothing is said behind that (RFC 5321 §3.8) */
    bool hides_acceptance : 1;         /* interpreting stopped at what may be the server's acceptance of a mail */
    uint8_t prefix[DIALOG_PREFIX_MAX]; /* the beginning of the client's line */
};

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
