/* recipients-file: read into a table, and searched. An address stands in it as local part without quotes, @, domain, in
 * lower case; the last @ parts them, since no domain has one. tables.c loads it. Owns the table's texts. */
#include "lb/gate/recipient_table.h"

#include "lb/base/line_file.h"
#include "lb/smtp/path.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define ADDRESS_MAX (SMTP_LOCAL_PART_MAX + 1 + SMTP_DOMAIN_MAX)
/* A million addresses and comments beside them. An address takes about 70 octets in memory (its text, mostly 30, and a
 * slot of 12 in a table that is a quarter to a half full), 700 at the very most: 64 + 1 + 255 of text, doubled while it
 * grows. */
#define RECIPIENT_LINES_MAX 2000000u

struct reading {
    struct line_file lines;
    struct text_map recipients;
};

/* Writes local part, @ and domain; returns the length, 0 when it is too long to be one. */
static size_t join(const char *local_part, size_t local_length, const char *domain, char ret_key[ADDRESS_MAX]) {
    size_t domain_length = strlen(domain);
    if (local_length > SMTP_LOCAL_PART_MAX || domain_length > SMTP_DOMAIN_MAX)
        return 0;
    for (size_t i = 0; i < local_length; i++)
        ret_key[i] = (char)tolower((unsigned char)local_part[i]);
    ret_key[local_length] = '@';
    memcpy(ret_key + local_length + 1, domain, domain_length);
    return local_length + 1 + domain_length;
}

/* --- reading --- */

/* Up to a blank that stands in no quoted string. */
static size_t word_length(const char *text) {
    bool is_quoted = false;
    size_t at = 0;
    for (; text[at] != '\0' && (is_quoted || (text[at] != ' ' && text[at] != '\t')); at++) {
        if (text[at] == '"')
            is_quoted = !is_quoted;
        else if (text[at] == '\\' && text[at + 1] != '\0')
            at++;
    }
    return at;
}

/* `text` is "<…>". A path whose local part is "" would read as a catch-all, and one with a source route as another
 * address. */
static const char *parse_recipient(const char *text, size_t length, struct smtp_path *ret_path) {
    size_t used;
    enum path_result result = PATH_MALFORMED;
    if (text[1] == '@' && length < ADDRESS_MAX + 3) {
        char catch_all[ADDRESS_MAX + 4];
        size_t all = (size_t)snprintf(catch_all, sizeof catch_all, "<x%s", text + 1);
        result = path_parse(catch_all, all, &used, ret_path);
        length = all;
        ret_path->local_part[0] = '\0';
    } else if (text[1] != '@') {
        result = path_parse(text, length, &used, ret_path);
        if (result == PATH_OK && ret_path->local_part[0] == '\0')
            result = PATH_MALFORMED;
    }
    const char *at = strrchr(text, '@');
    size_t local_length = at == NULL ? 0 : (size_t)(at - text) - 1;
    if (length > ADDRESS_MAX + 2 || (!ret_path->is_quoted && local_length > SMTP_LOCAL_PART_MAX))
        return "is too long: 256 octets before the @, 255 behind it";
    bool has_bare_at = !ret_path->is_quoted && strchr(ret_path->local_part, '@') != NULL;
    if (result != PATH_OK || ret_path->is_loose || has_bare_at || used != length || ret_path->domain[0] == '\0')
        return "is no address; allowed, one a line: user@example.test, \"odd user\"@example.test, or @example.test for "
               "every address of the domain";
    return NULL;
}

static int take_line(struct line_file *lines, char *line, size_t length) {
    struct reading *reading = (struct reading *)lines; /* its first member */
    char path_text[LINE_FILE_LINE_MAX + 3], key[ADDRESS_MAX];
    struct smtp_path path;
    (void)length;
    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#')
        return 0;
    size_t word = word_length(line);
    const char *rest = line + word + strspn(line + word, " \t");
    size_t written = *rest == '#' ? word : strlen(line);
    if (!line_file_is_plain(lines, line, written))
        return 0;
    if (*rest != '\0' && *rest != '#') {
        line_file_say(lines, "\"%.80s\" stands behind an address; allowed: one address a line, and a comment", rest);
        return 0;
    }
    int path_length = snprintf(path_text, sizeof path_text, "<%.*s>", (int)word, line);
    const char *wrong = parse_recipient(path_text, (size_t)path_length, &path);
    if (wrong != NULL) {
        line_file_say(lines, "\"%.*s\" %s", (int)(word < 80 ? word : 80), line, wrong);
        return 0;
    }
    return text_map_add(&reading->recipients, key, join(path.local_part, strlen(path.local_part), path.domain, key), 0);
}

int recipient_table_read(const char *path, FILE *errors, struct text_map *ret_recipients) {
    struct reading reading = {
        .lines = {.path = path, .errors = errors, .lines_max = RECIPIENT_LINES_MAX, .take = take_line}};
    int result = line_file_read(&reading.lines);
    if (result < 0)
        text_map_finish(&reading.recipients);
    else
        *ret_recipients = reading.recipients;
    return result;
}

/* --- asking --- */

size_t recipient_base_length(const char *local_part, const char *delimiters) {
    size_t length = strlen(local_part), base = strcspn(local_part, delimiters);
    bool is_whole =
        strcasecmp(local_part, "mailer-daemon") == 0 || strcasecmp(local_part, "double-bounce") == 0 ||
        (strchr(delimiters, '-') != NULL && (strncasecmp(local_part, "owner-", 6) == 0 ||
                                             (length > 8 && strcasecmp(local_part + length - 8, "-request") == 0)));
    return base == 0 || is_whole ? length : base;
}

static bool has(const struct text_map *recipients, const char *local_part, size_t local_length, const char *domain) {
    char key[ADDRESS_MAX];
    size_t length = join(local_part, local_length, domain, key);
    return length > 0 && text_map_find(recipients, key, length, NULL);
}

bool recipient_table_has(const struct text_map *recipients, const char *local_part, const char *domain,
                         const char *delimiters) {
    size_t length = strlen(local_part), base = recipient_base_length(local_part, delimiters);
    return has(recipients, local_part, length, domain) ||
           (base < length && has(recipients, local_part, base, domain)) || has(recipients, "", 0, domain);
}
