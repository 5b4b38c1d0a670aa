/* Reads the text files that postern.ini names, line by line, within bounds: those of the lists in network_file.h and of
 * the gate's tables. */
#ifndef POSTERN_CONF_LINE_FILE_H
#define POSTERN_CONF_LINE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct line_file {
    const char *path;
    FILE *errors;
    unsigned lines_max;
    unsigned line;     /* where the reading is */
    unsigned mistakes; /* said so far */
    /* Called for each line, in order, without its line end, a byte order mark left out, and with no NUL and no other
     * line end within; it may write into the line. Returns 0, also for what line_file_say() was told, or -errno to stop
     * at once (out of memory). */
    int (*take)(struct line_file *file, char *text, size_t length);
    int (*end)(struct line_file *file); /* after the last line, where all were taken; NULL: nothing to do */
};

/* A mistake at the present line: "file:line: …". The first CONFIG_MISTAKES_SAID_MAX are written, all are counted. */
__attribute__((format(printf, 2, 3))) void line_file_say(struct line_file *file, const char *format, ...);

/* False, and the mistake is said, when the text holds what is not seen or looks like something else
 * (plain_text_fault()): it would quietly be part of a name. For what stands outside of comments. */
bool line_file_is_plain(struct line_file *file, const char *text, size_t length);

/* Returns 0; -EINVAL when a line was wrong (`take` said so; or it is too long, has a NUL octet, or there are too many),
 * with every mistake on `errors`; or what `take` returned; or -errno of open and read, about which nothing has been
 * said. */
int line_file_read(struct line_file *file);

#endif
