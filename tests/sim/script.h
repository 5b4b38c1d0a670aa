/* The items of a client's dialog. */
#ifndef POSTERN_TESTS_SIM_SCRIPT_H
#define POSTERN_TESTS_SIM_SCRIPT_H

#include <stdbool.h>

#define ITEMS_MAX 64u

enum item_kind { HELLO, NOOP, RESET, MAIL, RCPT, DATA, CONTENT, QUIT, GREETING, CHUNK, STARTTLS };

struct item {
    enum item_kind kind;
    unsigned tag; /* of the command, 0: its reply has none; of content: the mail */
    bool is_unknown;
    bool is_chunked; /* content, by BDAT (RFC 3030) in place of DATA */
};

/* Tags count from 1 again. */
void scripts_begin(void);
/* Draws a script; returns how many items it has. */
unsigned script_write(struct item items[static ITEMS_MAX], bool goes_tls);

#endif
