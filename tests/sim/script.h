/* The items of a client's dialog. */
#ifndef POSTERN_TESTS_SIM_SCRIPT_H
#define POSTERN_TESTS_SIM_SCRIPT_H

#include <stdbool.h>

#define ITEMS_MAX 64u

enum item_kind { HELLO, NOOP, RESET, MAIL, RCPT, DATA, CONTENT, QUIT, GREETING, CHUNK, STARTTLS, JUNK };

/* Of a command of the kinds HELLO, NOOP and JUNK. */
enum item_form {
    PLAIN,
    HELO,      /* the old one, which offers nothing */
    LONG_LINE, /* longer than any server must take */
    HALF_LONG, /* of some hundred octets */
    BARE_LF,   /* its line ends so */
    HTTP,      /* what a browser says */
};

struct item {
    enum item_kind kind;
    unsigned tag; /* of the command, 0: its reply has none; of content: the mail */
    bool is_unknown;
    enum item_form form;
    bool is_chunked; /* content, by BDAT (RFC 3030) in place of DATA */
};

/* Tags count from 1 again. */
void scripts_begin(void);
enum script_kind {
    SCRIPT_MAILS,
    SCRIPT_TLS,
    SCRIPT_JUNK,  /* a line or two that no mail client says, among mails */
    SCRIPT_FLOOD, /* more than anybody keeps before a greeting */
};

/* Draws a script; returns how many items it has. */
unsigned script_write(struct item items[static ITEMS_MAX], enum script_kind kind);

#endif
