/* Reads text files that people write, line by line, within bounds; every mistake is said with its line. */
#ifndef POSTERN_BASE_LINE_FILE_H
#define POSTERN_BASE_LINE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A wrong file cannot eat the memory: so many lines of so many octets. */
#define LINE_FILE_LINE_MAX  4096u
#define LINE_FILE_LINES_MAX 1000000u
/* Mistakes of one file that are written out; of the others the number. */
#define LINE_FILE_MISTAKES_SAID_MAX 1000u

struct line_file {
    const char *path;
    FILE *errors;
    unsigned lines_max; /* LINE_FILE_LINES_MAX, where no other bound is known */
    unsigned line;      /* where the reading is */
    unsigned mistakes;  /* said so far */
    /* Called for each line, in order, without its line end, a byte order mark left out, and with no NUL and no other
     * line end within; it may write into the line. Returns 0, also for what line_file_say() was told, or -errno to stop
     * at once (out of memory). */
    int (*take)(struct line_file *file, char *text, size_t length);
    int (*end)(struct line_file *file); /* after the last line, where all were taken; NULL: nothing to do */
};

/* A mistake at the present line: "file:line: …". The first LINE_FILE_MISTAKES_SAID_MAX are written, all are counted. */
__attribute__((format(printf, 2, 3))) void line_file_say(struct line_file *file, const char *format, ...);

/* False, and the mistake is said, when the text holds what is not seen or looks like something else
 * (plain_text_fault()): it would quietly be part of a name. For what stands outside of comments. */
bool line_file_is_plain(struct line_file *file, const char *text, size_t length);

/* Returns 0; -EINVAL when a line was wrong (`take` said so; or it is too long, has a NUL octet, or there are too many),
 * with every mistake on `errors`; or what `take` returned; or -errno of open and read, about which nothing has been
 * said. */
int line_file_read(struct line_file *file);

#endif
