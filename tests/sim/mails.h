/* What is true of each mail. */
#ifndef POSTERN_TESTS_SIM_MAILS_H
#define POSTERN_TESTS_SIM_MAILS_H

#include "lb/base/address.h"

#include <stdbool.h>
#include <stddef.h>

#define MAIL_LINE_MAX 80u

struct mail {
    unsigned lines;
    unsigned accepted;     /* by backends */
    bool was_taken_well;   /* by a healthy one */
    unsigned begun_at;     /* bits of backends that got an octet of its content */
    unsigned told;         /* what its client heard at the dot; 0: nothing */
    bool was_sent_whole;   /* the client has sent its dot */
    struct address sender; /* its client's */
};

void mails_begin(void);
/* A new one; its number. */
unsigned mail_new(unsigned lines);
struct mail *mail_at(unsigned number);
/* The text of line `line` on the wire, with CRLF and stuffed dot; returns its length. */
size_t mail_line(unsigned number, unsigned line, char text[static MAIL_LINE_MAX]);
/* Holds what came of a mail against what was told; at any time. */
void mail_check(unsigned number);
unsigned mails_count(void);

#endif
