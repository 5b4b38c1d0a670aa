/* The truth about each mail: its text can be made anew at any time, so that backends hold what they get against it. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define MAILS_MAX 4096u

static struct mail mails[MAILS_MAX];
static unsigned count;

void mails_begin(void) {
    count = 0;
}

unsigned mail_new(unsigned lines) {
    unsigned number = count < MAILS_MAX ? count++ : MAILS_MAX - 1;
    mails[number] = (struct mail){.lines = lines};
    return number;
}

struct mail *mail_at(unsigned number) {
    return number < count ? &mails[number] : NULL;
}

unsigned mails_count(void) {
    return count;
}

size_t mail_line(unsigned number, unsigned line, char text[static MAIL_LINE_MAX]) {
    uint32_t mix = (number * 2654435761u) ^ (line * 40503u);
    if (line == 0)
        return (size_t)snprintf(text, MAIL_LINE_MAX, "X-Mail: %u\r\n", number);
    if (mix % 13 == 0) /* stuffed dots, and lines that look like commands or like an end */
        return (size_t)snprintf(text, MAIL_LINE_MAX, mix % 2 == 0 ? "..\r\n" : "QUIT\r\n");
    return (size_t)snprintf(text, MAIL_LINE_MAX, "%u.%u %.*s\r\n", number, line, (int)(mix % 60),
                            "the quick brown fox jumps over the lazy dog, and once more so");
}

static void check(unsigned number, const struct mail *mail) {
    if (mail->accepted > 1)
        sim_broken("mail %u was accepted %u times", number, mail->accepted);
    if (mail->told / 100 == 2 && mail->accepted != 1)
        sim_broken("mail %u: its client heard %u, but it was accepted %u times", number, mail->told, mail->accepted);
    if ((mail->begun_at & (mail->begun_at - 1)) != 0)
        sim_broken("mail %u: its content went to two backends", number);
}

void mails_check(void) {
    for (unsigned number = 0; number < count; number++)
        check(number, &mails[number]);
}
