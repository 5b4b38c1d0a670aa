/* The reader of an operator's files: what it makes of lines, and that no file can eat the memory. */
#include "lb/base/line_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *said;

struct seen {
    struct line_file lines;
    unsigned count;
    bool has_ended;
    char last[40];
};

static int take(struct line_file *lines, char *text, size_t length) {
    struct seen *seen = (struct seen *)lines;
    cr_assert_eq(strlen(text), length);
    seen->count++;
    snprintf(seen->last, sizeof seen->last, "%.30s", text);
    if (strcmp(text, "bad") == 0)
        line_file_say(lines, "is bad");
    return strcmp(text, "stop") == 0 ? -ENOMEM : 0;
}

static int end(struct line_file *lines) {
    ((struct seen *)lines)->has_ended = true;
    return 0;
}

static int read_octets(const char *octets, size_t length, unsigned lines_max, struct seen *seen) {
    char path[] = "/tmp/postern-unit-lines-XXXXXX";
    size_t said_length;
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, octets, length), (ssize_t)length);
    close(fd);
    free(said);
    FILE *errors = open_memstream(&said, &said_length);
    *seen = (struct seen){.lines = {.path = path, .errors = errors, .lines_max = lines_max, .take = take, .end = end}};
    int result = line_file_read(&seen->lines);
    fclose(errors);
    unlink(path);
    return result;
}

Test(line_file, lines_end_with_lf_or_crlf_and_the_last_needs_no_end) {
    struct seen seen;
    cr_assert_eq(read_octets("a\r\n\nb", 5, 10, &seen), 0);
    cr_assert(seen.count == 3 && seen.has_ended);
    cr_assert_str_eq(seen.last, "b");
    cr_assert_eq(read_octets("a\nb\r\n", 5, 2, &seen), 0);
    cr_assert_eq(seen.count, 2);
    cr_assert_str_eq(seen.last, "b");
    cr_assert_eq(read_octets("", 0, 2, &seen), 0);
    cr_assert(seen.count == 0 && seen.has_ended);
}

Test(line_file, a_line_of_any_length_and_a_nul_are_mistakes_at_their_line) {
    struct seen seen;
    char *text = malloc(100000);
    memset(text, 'x', 100000);
    text[LINE_FILE_LINE_MAX] = '\n'; /* just fits */
    text[99990] = '\n';
    memcpy(text + 99991, "a\0b\nlast\n", 9);
    cr_assert_eq(read_octets(text, 100000, 10, &seen), -EINVAL);
    cr_assert_not_null(strstr(said, ":2: longer than 4096 octets\n"), "%s", said);
    cr_assert_not_null(strstr(said, ":3: has a NUL octet"), "%s", said);
    cr_assert_null(strstr(said, ":1:"));
    cr_assert_eq(seen.count, 2);
    cr_assert_str_eq(seen.last, "last");
    free(text);
}

Test(line_file, too_many_lines_end_the_reading) {
    struct seen seen;
    cr_assert_eq(read_octets("a\nb\nc\nd\n", 8, 3, &seen), -EINVAL);
    cr_assert_eq(seen.count, 3);
    cr_assert_not_null(strstr(said, ":4: more than 3 lines\n"), "%s", said);
}

Test(line_file, a_file_of_rubbish_is_told_in_a_bounded_text) {
    struct seen seen;
    char *text = malloc(4 * 5000);
    for (unsigned i = 0; i < 5000; i++)
        memcpy(text + i * 4, "bad\n", 4);
    cr_assert_eq(read_octets(text, 20000, 10000, &seen), -EINVAL);
    cr_assert_not_null(strstr(said, ":1000: is bad"));
    cr_assert_null(strstr(said, ":1001: is bad"));
    cr_assert_not_null(strstr(said, ": and 4000 mistakes more\n"));
    free(text);
}

Test(line_file, running_out_of_memory_ends_the_reading_at_once) {
    struct seen seen;
    cr_assert_eq(read_octets("a\nstop\nb\n", 9, 10, &seen), -ENOMEM);
    cr_assert(seen.count == 2 && !seen.has_ended);
}

Test(line_file, what_cannot_be_read_is_the_errno_and_says_nothing) {
    size_t length;
    char *text;
    FILE *errors = open_memstream(&text, &length);
    struct seen seen = {.lines = {.path = "/nonexistent/x", .errors = errors, .lines_max = 1, .take = take}};
    cr_assert_eq(line_file_read(&seen.lines), -ENOENT);
    seen.lines.path = "/tmp";
    cr_assert_eq(line_file_read(&seen.lines), -EISDIR);
    fclose(errors);
    cr_assert_eq(length, 0);
    free(text);
}

Test(line_file, a_byte_order_mark_is_no_part_of_the_first_name) {
    struct seen seen;
    cr_assert_eq(read_octets("\xef\xbb\xbf"
                             "a.test",
                             9, 10, &seen),
                 0);
    cr_assert_str_eq(seen.last, "a.test");
    cr_assert_eq(read_octets("\xef\xbb\xbf", 3, 10, &seen), 0);
    cr_assert_str_eq(seen.last, "");
}

Test(line_file, a_file_of_utf_16_is_said_once) {
    struct seen seen;
    cr_assert_eq(read_octets("\xff\xfe"
                             "a\0\n\0b\0\n\0",
                             10, 10, &seen),
                 -EINVAL);
    cr_assert_not_null(strstr(said, ":1: is UTF-16; save it as UTF-8\n"), "%s", said);
    cr_assert_eq(strchr(said, '\n')[1], '\0', "%s", said);
    cr_assert_eq(seen.count, 0);
}

Test(line_file, a_line_end_of_another_kind_hides_no_name_in_a_comment) {
    struct seen seen;
    static const char *const texts[] = {"# old\ra.test\rb.test",
                                        "# x\xe2\x80\xa8"
                                        "a.test",
                                        "# x\xe2\x80\xa9y", "# x\xc2\x85y", "a\r\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_assert_eq(read_octets(texts[i], strlen(texts[i]), 10, &seen), -EINVAL, "%zu", i);
        cr_assert_not_null(strstr(said, ":1: has a line end within"), "%s", said);
    }
}
