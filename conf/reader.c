/* From the text of a configuration to struct config. load.c brings the text of the file, added_backend.c one that it
 * has written itself. The text is handed to inih line by line through ini_parse_stream(), so that line numbers,
 * over-long lines and section headers are ours. What inih would do quietly is caught before it sees the line: a header
 * that is wrong or unknown switches its section off instead of letting its options fall into the one before, an empty
 * section is seen, a continued line is not joined to the one above.
 *
 * Owns the configuration until it is handed over, which happens only when there is no mistake. Every mistake is written
 * out and counted. Fatal here is only a table of options that has outgrown OPTIONS_MAX, by an assert. */
#include "conf/reader.h"

#include "conf/check.h"
#include "conf/finish.h"
#include "conf/limits.h"
#include "conf/options.h"
#include "conf/text_form.h"
#include "conf/value.h"
#include "lb/base/plain_text.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for more than conf/options.c has. */
#define OPTIONS_MAX 128

struct reader {
    const char *path;
    const char *text;
    size_t length;
    size_t at;
    unsigned line;
    FILE *errors;
    unsigned errors_count;
    struct config *config;
    /* The section that lines belong to; `data` NULL: switched off by an error in its header. */
    enum section section;
    void *data;
    bool has_header;                        /* one at least, right or wrong */
    unsigned sections_seen[SECTIONS_COUNT]; /* the line of the header of one that stands once; 0: not seen */
    /* The line of each option, by its place in the table and that of its section among those of its kind; 0: not given.
     */
    unsigned lines[OPTIONS_MAX][CONFIG_BACKENDS_MAX];
};

__attribute__((format(printf, 3, 4))) static void report(struct reader *reader, unsigned line, const char *format,
                                                         ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(reader->errors, "%s:%u: ", reader->path, line);
    vfprintf(reader->errors, format, arguments);
    fputc('\n', reader->errors);
    va_end(arguments);
    reader->errors_count++;
}

/* "[backend vm1]" or "[global]". */
static const char *title(const struct reader *reader, char text[96]) {
    const struct section_type *type = &section_types[reader->section];
    if (type->is_named)
        snprintf(text, 96, "[%s %s]", type->name, *(char **)reader->data);
    else
        snprintf(text, 96, "[%s]", type->name);
    return text;
}

static void fail_memory(struct reader *reader) {
    report(reader, reader->line, "out of memory");
    reader->data = NULL;
}

/* --- sections --- */

static void set_defaults(struct reader *reader, enum section section, void *data) {
    char error[500];
    for (size_t i = 0; i < options_count; i++) {
        if (options[i].section != section)
            continue;
        /* A required one without default is found missing at the end; until then its field is empty. */
        struct option option = options[i];
        option.flags &= ~(unsigned)OPTION_REQUIRED;
        if (option_parse(&option, option.default_text, data, error, sizeof error) < 0)
            report(reader, reader->line, "default of %s: %s", option.name, error);
    }
}

static bool has_section_named(struct config *config, enum section section, const char *name) {
    const char *items = *section_items(config, section);
    for (size_t i = 0; i < *section_count(config, section); i++)
        if (strcmp(*(char *const *)(const void *)(items + i * section_types[section].bytes), name) == 0)
            return true;
    return false;
}

static void add_named_section(struct reader *reader, const char *name) {
    const struct section_type *type = &section_types[reader->section];
    void **items = section_items(reader->config, reader->section);
    size_t *count = section_count(reader->config, reader->section);
    if (!section_name_is_good(name)) {
        report(reader, reader->line, "[%s %.80s]: needs a name of " SECTION_NAME_FORM, type->name, name,
               CONFIG_NAME_MAX);
        return;
    }
    if (has_section_named(reader->config, reader->section, name)) {
        report(reader, reader->line, "[%s %s]: given twice; allowed: once", type->name, name);
        return;
    }
    if (*count >= type->most) {
        report(reader, reader->line, "[%s %s]: too many; allowed: %zu", type->name, name, type->most);
        return;
    }
    char *grown = reallocarray(*items, *count + 1, type->bytes);
    if (grown != NULL)
        *items = grown;
    char *copy = grown == NULL ? NULL : strdup(name);
    if (copy == NULL) {
        fail_memory(reader);
        return;
    }
    reader->data = memset(grown + *count * type->bytes, 0, type->bytes);
    ++*count;
    /* Each named section's struct begins alike: its name, and the line of its header. */
    struct config_tier *head = reader->data;
    head->name = copy;
    head->line = reader->line;
    set_defaults(reader, reader->section, reader->data);
}

static void unknown_section(struct reader *reader, const char *name) {
    report(reader, reader->line,
           "[%.80s]: unknown section; allowed: global, listen NAME, timeouts, tier NAME, backend NAME, reputation, "
           "dnslist NAME, gate, limits, dns, control, status, feedback",
           name);
}

/* `header` is the text between the brackets. */
static void begin_section(struct reader *reader, char *header) {
    char *name = header + strcspn(header, " \t");
    if (*name != '\0')
        *name++ = '\0';
    name += strspn(name, " \t");
    reader->data = NULL;
    for (unsigned i = 0; i < SECTIONS_COUNT; i++) {
        if (strcmp(section_types[i].name, header) != 0)
            continue;
        reader->section = (enum section)i;
        if (section_types[i].is_named) {
            add_named_section(reader, name);
        } else if (*name != '\0') {
            report(reader, reader->line, "[%s %.80s]: has no name; allowed: [%s]", header, name, header);
        } else if (reader->sections_seen[i] != 0) {
            report(reader, reader->line, "[%s]: given twice; allowed: once", header);
        } else {
            reader->sections_seen[i] = reader->line;
            reader->data = (char *)reader->config + section_types[i].offset;
        }
        return;
    }
    unknown_section(reader, header);
}

/* --- options --- */

/* Where the line is kept at which the current section gives it. */
static unsigned *line_of_given(struct reader *reader, const struct option *option) {
    bool is_named = section_types[reader->section].is_named;
    size_t place = is_named ? *section_count(reader->config, reader->section) - 1 : 0;
    return &reader->lines[option - options][place];
}

static void unknown_option(struct reader *reader, const char *name) {
    char where[96];
    const char *nearest = option_nearest(reader->section, name);
    FILE *out = reader->errors;
    fprintf(out, "%s:%u: %s %.80s: unknown option; ", reader->path, reader->line, title(reader, where), name);
    if (nearest != NULL)
        fprintf(out, "did you mean %s? ", nearest);
    fputs("allowed:", out);
    for (size_t i = 0; i < options_count; i++)
        if (options[i].section == reader->section)
            fprintf(out, " %s", options[i].name);
    fputc('\n', out);
    reader->errors_count++;
}

static int on_option(void *user, const char *section, const char *name, const char *value) {
    struct reader *reader = user;
    char where[96], error[500];
    (void)section; /* cut at 50 octets by inih; ours is whole */
    if (reader->data == NULL)
        return 1;
    const struct option *option = option_find(reader->section, name);
    if (option == NULL) {
        unknown_option(reader, name);
        return 1;
    }
    unsigned *line = line_of_given(reader, option);
    if (*line != 0)
        report(reader, reader->line, "%s %s: given twice; allowed: once", title(reader, where), name);
    else if (option_parse(option, value, reader->data, error, sizeof error) < 0)
        report(reader, reader->line, "%s %s: %s", title(reader, where), name, error);
    *line = reader->line;
    return 1;
}

/* --- lines --- */

static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* A header, which inih is not shown: the text behind the bracket may only be a comment. */
static void take_header(struct reader *reader, char *text) {
    char *end = strchr(text, ']');
    reader->has_header = true;
    if (end == NULL || (end[1] != '\0' && strchr(";#", *trim(end + 1)) == NULL)) {
        report(reader, reader->line, "\"%.80s\": not a section header; allowed: [section] or [section NAME]", text);
        reader->data = NULL;
        return;
    }
    *end = '\0';
    begin_section(reader, trim(text + 1));
}

/* Up to a comment behind a blank and a ;, as inih sees it. */
static size_t length_without_comment(const char *text) {
    const char *comment = text;
    do
        comment = strchr(comment + 1, ';');
    while (comment != NULL && comment[-1] != ' ' && comment[-1] != '\t');
    return comment == NULL ? strlen(text) : (size_t)(comment - text);
}

/* What of a line inih may see; the rest is dealt with here. */
static bool is_for_inih(struct reader *reader, char *text) {
    char fault[PLAIN_TEXT_FAULT_MAX];
    if (*text == '\0' || *text == ';' || *text == '#')
        return false;
    if (plain_text_fault(text, length_without_comment(text), fault)) {
        report(reader, reader->line, "has %s; allowed: ASCII, or letters in UTF-8", fault);
        if (*text == '[') /* what follows belongs to no section that is known */
            reader->data = NULL;
        reader->has_header |= *text == '[';
        return false;
    }
    if (*text == '[') {
        take_header(reader, text);
        return false;
    }
    if (*text == '=' || strchr(text, '=') == NULL) {
        report(reader, reader->line, "\"%.80s\": not an option; allowed: name = value", text);
        return false;
    }
    if (reader->data == NULL && !reader->has_header)
        report(reader, reader->line, "\"%.80s\": stands before the first [section]", text);
    return reader->data != NULL;
}

/* ini_reader: the next line as a string with its newline, of at most `room` octets, or NULL at the end. */
static char *next_line(char *out, int room, void *stream) {
    struct reader *reader = stream;
    char line[CONFIG_LINE_MAX + 1];
    if (reader->at >= reader->length)
        return NULL;
    const char *start = reader->text + reader->at;
    const char *end = memchr(start, '\n', reader->length - reader->at);
    size_t length = end == NULL ? reader->length - reader->at : (size_t)(end - start);
    reader->at += length + 1;
    reader->line++;
    out[0] = '\n';
    out[1] = '\0';
    if (length >= sizeof line || (int)length + 2 > room) {
        report(reader, reader->line, "line of %zu octets; allowed: %u", length, CONFIG_LINE_MAX);
        return out;
    }
    if (memchr(start, '\0', length) != NULL) {
        report(reader, reader->line, "a NUL octet; allowed: text");
        return out;
    }
    if (plain_text_has_line_end(start, length - (length > 0 && start[length - 1] == '\r'))) {
        report(reader, reader->line, "a line end within (CR, U+0085, U+2028 or U+2029); lines end with LF or CRLF");
        return out;
    }
    memcpy(line, start, length);
    line[length] = '\0';
    char *text = trim(line);
    if (is_for_inih(reader, text))
        snprintf(out, (size_t)room, "%s\n", text);
    return out;
}

static void parse_lines(struct reader *reader) {
    ini_max_line = CONFIG_LINE_MAX + 3; /* a runtime global of Debian's build; ours is the only use */
    ini_parse_stream(next_line, reader, on_option, reader);
}

/* --- what is known only at the end --- */

static bool was_given(const struct reader *reader, const struct option *option, size_t place) {
    return reader->lines[option - options][place] != 0;
}

/* The line that gives this option of the section at this place, else that of the section's header, else 0. Of an option
 * that a backend has from its tier: the tier's. */
static unsigned find_line(void *context, enum section section, size_t place, const char *name) {
    const struct reader *reader = context;
    const struct section_type *type = &section_types[section];
    const struct option *option = name == NULL ? NULL : option_find(section, name);
    if (option != NULL && was_given(reader, option, place))
        return reader->lines[option - options][place];
    if (option != NULL && (option->flags & OPTION_INHERITS) &&
        was_given(reader, option_find(SECTION_TIER, name), reader->config->backends[place].tier))
        return reader->lines[option_find(SECTION_TIER, name) - options][reader->config->backends[place].tier];
    if (!type->is_named || place >= *section_count(reader->config, section))
        return reader->sections_seen[section];
    const char *items = *section_items(reader->config, section);
    return ((const struct config_tier *)(const void *)(items + place * type->bytes))->line; /* all begin alike */
}

static void inherit_from_tier(struct reader *reader, size_t index) {
    struct config_backend *backend = &reader->config->backends[index];
    const struct config_tier *tier = &reader->config->tiers[backend->tier];
    for (size_t i = 0; i < options_count; i++) {
        const struct option *option = &options[i];
        if (option->section != SECTION_BACKEND || !(option->flags & OPTION_INHERITS) ||
            was_given(reader, option, index))
            continue;
        if (option_copy(option_find(SECTION_TIER, option->name), tier, option, backend) < 0)
            fail_memory(reader);
    }
}

/* Required options that no line gave. */
static void check_required(struct reader *reader, enum section section, size_t place) {
    const struct section_type *type = &section_types[section];
    void *data = (char *)*section_items(reader->config, section) + place * type->bytes;
    const struct config_tier *head = data; /* all begin alike */
    unsigned line = head->line;
    char where[96];
    reader->section = section;
    reader->data = data;
    for (size_t i = 0; i < options_count; i++) {
        const struct option *option = &options[i];
        if (option->section != section || !(option->flags & OPTION_REQUIRED) || option->default_text[0] != '\0')
            continue;
        const void *field = (const char *)data + option->offset;
        bool is_empty = option_is_text(option->type)      ? (*(char *const *)field)[0] == '\0'
                        : option->type == OPTION_ENDPOINT ? ((const struct config_backend *)data)->host == NULL
                                                          : ((const struct address_list *)field)->count == 0;
        /* One that was given wrong has been reported. */
        bool is_reported = was_given(reader, option, place);
        if (is_empty && !is_reported)
            report(reader, line, "%s %s: is missing", title(reader, where), option->name);
    }
}

static void check_all_required(struct reader *reader) {
    for (unsigned section = 0; section < SECTIONS_COUNT; section++)
        for (size_t i = 0; section_types[section].is_named && i < *section_count(reader->config, (enum section)section);
             i++)
            check_required(reader, (enum section)section, i);
}

static void join_tiers(struct reader *reader) {
    struct config *config = reader->config;
    for (size_t i = 0; i < config->backends_count; i++) {
        struct config_backend *backend = &config->backends[i];
        size_t tier = 0;
        while (tier < config->tiers_count && strcmp(config->tiers[tier].name, backend->tier_name) != 0)
            tier++;
        if (tier == config->tiers_count) {
            if (backend->tier_name[0] != '\0')
                report(reader, find_line(reader, SECTION_BACKEND, i, "tier"),
                       "[backend %s] tier: there is no [tier %s]", backend->name, backend->tier_name);
            continue;
        }
        backend->tier = tier;
        inherit_from_tier(reader, i);
    }
}

/* The host's full name as DNS or /etc/hosts has it, else its short one. */
static char *own_hostname(void) {
    char name[256];
    if (gethostname(name, sizeof name) < 0)
        return strdup("localhost");
    name[sizeof name - 1] = '\0';
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char *result = NULL;
    if (strchr(name, '.') == NULL && getaddrinfo(name, NULL, &hints, &found) == 0 && found->ai_canonname != NULL)
        result = strdup(found->ai_canonname);
    if (found != NULL)
        freeaddrinfo(found);
    return result != NULL ? result : strdup(name[0] != '\0' ? name : "localhost");
}

static void fill_hostname(struct reader *reader) {
    char **hostname = &reader->config->global.hostname;
    if ((*hostname)[0] != '\0')
        return;
    free(*hostname);
    *hostname = own_hostname();
    if (*hostname == NULL)
        fail_memory(reader);
    else if (!text_form_is_good(OPTION_HOSTNAME, *hostname))
        report(reader, find_line(reader, SECTION_GLOBAL, 0, "hostname"),
               "[global] hostname: is missing, and the host's own name \"%.80s\" is no domain name", *hostname);
}

static void report_check(void *context, unsigned line, const char *message) {
    report(context, line, "%s", message);
}

/* What has no line is missing: the last one is where it would have to come by. */
static void close_lines(struct reader *reader) {
    for (unsigned section = 0; section < SECTIONS_COUNT; section++)
        if (reader->sections_seen[section] == 0)
            reader->sections_seen[section] = reader->line > 0 ? reader->line : 1;
}

static void finish(struct reader *reader) {
    close_lines(reader);
    check_all_required(reader);
    join_tiers(reader);
    fill_hostname(reader);
    config_check(reader->config, &(struct check_events){report_check, find_line, reader});
}

int config_parse(const char *path, const char *text, size_t length, FILE *errors, struct config **ret_config) {
    struct reader *reader = calloc(1, sizeof *reader);
    struct config *config = calloc(1, sizeof *config);
    if (reader == NULL || config == NULL || (config->path = strdup(path)) == NULL) {
        fprintf(errors, "%s: out of memory\n", path);
        free(reader);
        free(config);
        return -ENOMEM;
    }
    size_t mark = plain_text_mark_length(text, length);
    text += mark;
    length -= mark;
    assert(options_count <= OPTIONS_MAX);
    *reader = (struct reader){.path = path, .text = text, .length = length, .errors = errors, .config = config};
    for (unsigned section = 0; section < SECTIONS_COUNT; section++)
        if (!section_types[section].is_named)
            set_defaults(reader, (enum section)section, (char *)config + section_types[section].offset);
    if (plain_text_is_utf16(text, length)) {
        report(reader, 1, "is UTF-16; save it as UTF-8");
    } else {
        parse_lines(reader);
        finish(reader);
    }
    int result = reader->errors_count == 0 ? 0 : -EINVAL;
    free(reader);
    if (result < 0)
        config_free(config);
    else
        *ret_config = config;
    return result;
}
