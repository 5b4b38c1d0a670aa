/* relay-domains-file: read into a table, and searched. Domains stand in it as they are asked for: in lower case, no dot
 * at the end. tables.c loads it. Owns the table's texts. */
#include "lb/gate/domain_table.h"

#include "lb/base/line_file.h"
#include "lb/smtp/domain.h"

#include <ctype.h>
#include <string.h>

struct reading {
    struct line_file lines;
    struct text_map domains;
};

static int take_line(struct line_file *lines, char *line, size_t length) {
    struct reading *reading = (struct reading *)lines; /* its first member */
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t");
    for (length = strlen(line); length > 0 && strchr(" \t", line[length - 1]) != NULL;)
        line[--length] = '\0';
    if (length == 0 || !line_file_is_plain(lines, line, length))
        return 0;
    bool has_dot = *line == '.';
    if (!domain_is_valid(line + has_dot, length - has_dot, true) && !domain_is_literal(line, length)) {
        line_file_say(lines,
                      "\"%.80s\" is no domain; allowed, one a line: example.test, or .example.test for what is "
                      "below it",
                      line);
        return 0;
    }
    if (line[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++)
        line[i] = (char)tolower((unsigned char)line[i]);
    return text_map_add(&reading->domains, line, length, 0);
}

int domain_table_read(const char *path, FILE *errors, struct text_map *ret_domains) {
    struct reading reading = {
        .lines = {.path = path, .errors = errors, .lines_max = LINE_FILE_LINES_MAX, .take = take_line}};
    int result = line_file_read(&reading.lines);
    if (result < 0)
        text_map_finish(&reading.domains);
    else
        *ret_domains = reading.domains;
    return result;
}

bool domain_table_has(const struct text_map *domains, const char *domain) {
    if (text_map_find(domains, domain, strlen(domain), NULL))
        return true;
    for (const char *dot = strchr(domain, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
        if (text_map_find(domains, dot, strlen(dot), NULL))
            return true;
    return false;
}
