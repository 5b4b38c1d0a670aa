/* The reader of the text files that operators write. It reads octet by octet, so that a line's length is bounded
 * whatever stands in the file, and hands each line to the file's own reader (network_file.c, the tables of lb/gate). It
 * holds the file open only while it reads. Nothing is fatal here: a mistake is written out and counted. */
#include "lb/base/line_file.h"

#include "lb/base/plain_text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void line_file_say(struct line_file *file, const char *format, ...) {
    va_list arguments;
    if (++file->mistakes > LINE_FILE_MISTAKES_SAID_MAX)
        return;
    va_start(arguments, format);
    fprintf(file->errors, "%s:%u: ", file->path, file->line);
    vfprintf(file->errors, format, arguments);
    fputc('\n', file->errors);
    va_end(arguments);
}

bool line_file_is_plain(struct line_file *file, const char *text, size_t length) {
    char fault[PLAIN_TEXT_FAULT_MAX];
    if (!plain_text_fault(text, length, fault))
        return true;
    line_file_say(file, "has %s; allowed: ASCII, or letters in UTF-8", fault);
    return false;
}

/* The next line, its end left out; of one that is too long the rest is skipped. Returns false at the end. */
static bool next_line(FILE *from, char *text, size_t *ret_length, bool *ret_is_long) {
    size_t length = 0;
    int octet;
    *ret_is_long = false;
    while ((octet = getc_unlocked(from)) != EOF && octet != '\n') {
        *ret_is_long |= length == LINE_FILE_LINE_MAX;
        if (!*ret_is_long)
            text[length++] = (char)octet;
    }
    if (octet == EOF && (length == 0 || ferror(from)))
        return false;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    text[length] = '\0';
    *ret_length = length;
    return true;
}

static int take_line(struct line_file *file, char *text, size_t length, bool is_long) {
    if (is_long) {
        line_file_say(file, "longer than %u octets", LINE_FILE_LINE_MAX);
        return 0;
    }
    if (file->line == 1 && plain_text_is_utf16(text, length)) {
        line_file_say(file, "is UTF-16; save it as UTF-8");
        return -EINVAL; /* each line would have a mistake */
    }
    size_t mark = file->line == 1 ? plain_text_mark_length(text, length) : 0;
    text += mark;
    length -= mark;
    if (memchr(text, '\0', length) != NULL)
        line_file_say(file, "has a NUL octet: this is no text file");
    else if (plain_text_has_line_end(text, length))
        line_file_say(file, "has a line end within (CR, U+0085, U+2028 or U+2029); lines end with LF or CRLF");
    else
        return file->take(file, text, length);
    return 0;
}

static int read_lines(struct line_file *file, FILE *from) {
    char text[LINE_FILE_LINE_MAX + 1];
    size_t length;
    bool is_long;
    int result = 0;
    errno = 0;
    while (result == 0 && next_line(from, text, &length, &is_long)) {
        file->line++;
        if (file->line > file->lines_max) {
            line_file_say(file, "more than %u lines", file->lines_max);
            break;
        }
        result = take_line(file, text, length, is_long);
    }
    if (result == 0 && ferror(from))
        return errno == 0 || errno == EINVAL ? -EIO : -errno;
    if (result == 0 && file->end != NULL)
        result = file->end(file);
    return result;
}

int line_file_read(struct line_file *file) {
    FILE *from = fopen(file->path, "re");
    if (from == NULL)
        return errno == EINVAL ? -EIO : -errno;
    int result = read_lines(file, from);
    fclose(from);
    if (file->mistakes > LINE_FILE_MISTAKES_SAID_MAX)
        fprintf(file->errors, "%s: and %u mistakes more\n", file->path, file->mistakes - LINE_FILE_MISTAKES_SAID_MAX);
    return result == 0 && file->mistakes > 0 ? -EINVAL : result;
}
