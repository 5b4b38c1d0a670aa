/* The truth about each mail: its text can be made anew at any time, so that backends hold what they get against it. */
#include "tests/sim/mails.h"

#include "tests/sim/sim.h"

#include <assert.h>
#include <string.h>

#define MAILS_MAX 4096u

static struct mail mails[MAILS_MAX];
static unsigned count;

void mails_begin(void) {
    count = 0;
}

unsigned mail_new(unsigned lines) {
    assert(count < MAILS_MAX);
    mails[count] = (struct mail){.lines = lines};
    return count++;
}

struct mail *mail_at(unsigned number) {
    return number < count ? &mails[number] : NULL;
}

unsigned mails_count(void) {
    return count;
}

static size_t put_number(char *text, unsigned number) {
    char digits[12];
    size_t length = 0;
    do {
        digits[length++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < length; i++)
        text[i] = digits[length - 1 - i];
    return length;
}

static size_t put_text(char *text, const char *what, size_t length) {
    memcpy(text, what, length);
    return length;
}

size_t mail_line(unsigned number, unsigned line, char text[static MAIL_LINE_MAX]) {
    static const char words[] = "the quick brown fox jumps over the lazy dog, and once more so";
    uint32_t mix = (number * 2654435761u) ^ (line * 40503u);
    size_t length = 0;
    if (line == 0) {
        length = put_text(text, "X-Mail: ", 8);
        length += put_number(text + length, number);
    } else if (mix % 13 == 0) { /* stuffed dots, and lines that look like commands or like an end */
        length = mix % 2 == 0 ? put_text(text, "..", 2) : put_text(text, "QUIT", 4);
    } else {
        length = put_number(text, number);
        text[length++] = '.';
        length += put_number(text + length, line);
        text[length++] = ' ';
        length += put_text(text + length, words, mix % (sizeof words - 1));
    }
    return length + put_text(text + length, "\r\n", 2);
}

void mail_check(unsigned number) {
    const struct mail *mail = &mails[number];
    if (mail->accepted > 1)
        sim_broken("mail %u was accepted %u times", number, mail->accepted);
    if (mail->told / 100 == 2 && mail->accepted != 1)
        sim_broken("mail %u: its client heard %u, but it was accepted %u times", number, mail->told, mail->accepted);
    if ((mail->begun_at & (mail->begun_at - 1)) != 0)
        sim_broken("mail %u: its content went to two backends", number);
}
