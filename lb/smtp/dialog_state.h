/* What the observer of a dialog knows, and what it tells: the types of dialog.h, apart so that the guard can look at
 * them. Written by dialog.c alone. */
#ifndef POSTERN_SMTP_DIALOG_STATE_H
#define POSTERN_SMTP_DIALOG_STATE_H

#include "lb/smtp/command.h"
#include "lb/smtp/reply.h"

#include <stdbool.h>
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

#endif
