/* access-file: read into a table, and searched for a client. Every key is a text in one map: names and beginnings of
 * addresses as they are written, networks as address/bits, so that a client is found by one search for each length of
 * network that occurs. tables.c loads it and asks it for the gate's rules. Owns the map. */
#include "lb/gate/access_table.h"

#include "lb/base/line_file.h"
#include "lb/smtp/domain.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ".", a name, NUL; or an address and its bits. */
#define KEY_MAX (SMTP_DOMAIN_MAX + 2)

/* --- keys --- */

enum key_kind { KEY_WRONG, KEY_NAME, KEY_BEGINNING, KEY_NETWORK };

static void format_network(const struct address *base, unsigned bits, char ret_key[KEY_MAX]) {
    char host[ADDRESS_TEXT_MAX];
    snprintf(ret_key, KEY_MAX, "%s/%u", address_format_host(base, host), bits);
}

/* cidr_table(5): the address may stand in brackets. */
static bool parse_network(const char *text, char ret_key[KEY_MAX], struct cidr *ret_cidr) {
    char bare[ADDRESS_TEXT_MAX];
    bool has_bracket = *text == '[';
    const char *end = has_bracket ? strchr(text, ']') : text + strcspn(text, "/");
    if (end == NULL || (has_bracket && end[1] != '\0' && end[1] != '/'))
        return false;
    int length =
        snprintf(bare, sizeof bare, "%.*s%s", (int)(end - text - has_bracket), text + has_bracket, end + has_bracket);
    if (length < 0 || (size_t)length >= sizeof bare || cidr_parse(bare, ret_cidr) < 0)
        return false;
    format_network(&ret_cidr->base, ret_cidr->prefix_bits, ret_key);
    return true;
}

/* "192.0.2", "192.0", "10": one to three octets without leading zeros. Also "2001", as the first group of IPv6. */
static bool is_octets(const char *text) {
    unsigned octets = 0;
    if (strlen(text) == 4 && strspn(text, "0123456789") == 4)
        return *text != '0';
    while (octets++ < 3) {
        size_t digits = strspn(text, "0123456789");
        if (digits < 1 || digits > 3 || (digits > 1 && *text == '0') || strtoul(text, NULL, 10) > 255)
            return false;
        text += digits;
        if (*text == '\0')
            return true;
        if (*text++ != '.')
            return false;
    }
    return false;
}

/* "2001:db8:1": two to seven groups without leading zeros, in lower case; or "2001:db8:", of one to six, where an
 * address was cut within its "::". */
static bool is_groups(const char *text) {
    for (unsigned groups = 1; groups <= 7; groups++) {
        size_t digits = strspn(text, "0123456789abcdef");
        if (digits < 1 || digits > 4 || (digits > 1 && *text == '0'))
            return false;
        text += digits;
        if (*text == '\0')
            return groups > 1;
        if (*text++ != ':')
            return false;
        if (*text == '\0')
            return groups < 7;
    }
    return false;
}

/* A whole IPv6 address, as Postfix writes it, is the beginning of longer ones: "2001:db8::1" of "2001:db8::1:5". */
static bool is_beginning_too(const char *text, enum key_kind kind, const struct cidr *cidr) {
    char host[ADDRESS_TEXT_MAX];
    return kind == KEY_NETWORK && cidr->base.sa.sa_family == AF_INET6 && cidr->prefix_bits == 128 &&
           strcmp(text, address_format_host(&cidr->base, host)) == 0;
}

/* `key` is in lower case and becomes what the map is searched for. */
static enum key_kind parse_key(char key[KEY_MAX], struct cidr *ret_cidr) {
    size_t length = strlen(key);
    if (parse_network(key, key, ret_cidr))
        return KEY_NETWORK;
    if (is_octets(key) || is_groups(key))
        return KEY_BEGINNING;
    bool has_dot = *key == '.';
    if (length > 0 && key[length - 1] != '.' && domain_is_valid(key + has_dot, length - has_dot, false))
        return KEY_NAME;
    return KEY_WRONG;
}

/* --- a logical line --- */

struct reading {
    struct line_file lines;
    struct access_table table;
    bool is_blank;
    unsigned begun; /* the logical line's first */
    size_t length;  /* of `text` so far; 0: none */
    char text[LINE_FILE_LINE_MAX + 1];
};

static void *grow(void *items, size_t count, size_t *room, size_t bytes) {
    if (count < *room)
        return items;
    size_t wanted = *room == 0 ? 16 : *room * 2;
    void *grown = reallocarray(items, wanted, bytes);
    if (grown != NULL)
        *room = wanted;
    return grown;
}

/* The place of what is written among the actions; each is kept once. */
static int add_action(struct access_table *table, const char *written, const struct access_action *action,
                      uint32_t *ret_place) {
    if (text_map_find(&table->written, written, strlen(written), ret_place))
        return 0;
    struct access_action *grown = grow(table->actions, table->actions_count, &table->actions_room, sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    table->actions = grown;
    grown[table->actions_count] = *action;
    *ret_place = (uint32_t)table->actions_count++;
    return text_map_add(&table->written, written, strlen(written), *ret_place);
}

static int add_entry(struct access_table *table, const char *key, const char *written,
                     const struct access_action *action) {
    uint32_t *grown = grow(table->entries, table->entries_count, &table->entries_room, sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    table->entries = grown;
    int result = add_action(table, written, action, &grown[table->entries_count]);
    if (result < 0)
        return result;
    return text_map_add(&table->keys, key, strlen(key), (uint32_t)table->entries_count++);
}

/* Of an address that has its entry: the same one for what begins so. */
static int add_beginning(struct access_table *table, const char *text) {
    return text_map_add(&table->keys, text, strlen(text), (uint32_t)table->entries_count - 1);
}

static bool is_for_good(const struct access_action *action) {
    return action->kind == ACCESS_REJECT && action->code / 100 == 5;
}

static void note_kind(struct access_table *table, enum key_kind kind, const struct cidr *cidr,
                      const struct access_action *action) {
    table->has_names |= kind == KEY_NAME;
    table->has_mild_names |= kind == KEY_NAME && !is_for_good(action);
    if (kind == KEY_NETWORK && cidr->base.sa.sa_family == AF_INET)
        table->has_ipv4[cidr->prefix_bits] = true;
    else if (kind == KEY_NETWORK)
        table->has_ipv6[cidr->prefix_bits] = true;
}

static int take_entry(struct reading *reading, const char *written, const char *action_text) {
    char key[KEY_MAX], text[KEY_MAX];
    struct cidr cidr;
    struct access_action action;
    size_t length = 0;
    for (; written[length] != '\0' && length + 1 < sizeof key; length++)
        key[length] = (char)tolower((unsigned char)written[length]);
    key[length] = '\0';
    memcpy(text, key, length + 1);
    enum key_kind kind = written[length] != '\0' ? KEY_WRONG : parse_key(key, &cidr);
    if (!line_file_is_plain(&reading->lines, written, strlen(written)))
        return 0;
    if (kind == KEY_WRONG)
        line_file_say(
            &reading->lines,
            "\"%.80s\" is no client; allowed: an address, 192.0.2.0/24, 2001:db8::/32 (no bits set behind the "
            "prefix), the beginning of an address as 192.0.2 or 2001:db8 or 2001:db8:, example.org, .example.org, "
            "unknown",
            written);
    if (*action_text == '\0') {
        line_file_say(&reading->lines, "\"%.80s\" has no action behind it", written);
        return 0;
    }
    const char *wrong = access_action_parse(action_text, &action);
    if (wrong != NULL)
        line_file_say(&reading->lines, "\"%.80s\" %s", action_text, wrong);
    if (wrong != NULL || kind == KEY_WRONG)
        return 0;
    note_kind(&reading->table, kind, &cidr, &action);
    int result = add_entry(&reading->table, key, action_text, &action);
    if (result == 0 && is_beginning_too(text, kind, &cidr))
        result = add_beginning(&reading->table, text);
    return result;
}

/* The logical line is whole. Mistakes are told with the number of its first line. */
static int end_entry(struct reading *reading) {
    char *text = reading->text;
    unsigned line = reading->lines.line;
    if (reading->length == 0)
        return 0;
    while (text[reading->length - 1] == ' ')
        text[--reading->length] = '\0';
    char *action = text + strcspn(text, " ");
    if (*action != '\0')
        *action++ = '\0';
    reading->lines.line = reading->begun;
    int result = take_entry(reading, text, action + strspn(action, " "));
    reading->lines.line = line;
    reading->length = 0;
    return result;
}

/* postmap(1): a line that begins with white space continues the one before; empty ones and comments don't end it. */
static int take_line(struct line_file *lines, char *line, size_t length) {
    struct reading *reading = (struct reading *)lines; /* its first member */
    bool continues = isspace((unsigned char)*line);
    int result = 0;
    for (size_t i = 0; i < length; i++)
        if (isspace((unsigned char)line[i]))
            line[i] = ' ';
    size_t blanks = strspn(line, " ");
    if (line[blanks] == '\0')
        return 0;
    reading->is_blank = false;
    if (line[blanks] == '#')
        return 0;
    if (continues && reading->length == 0) {
        line_file_say(lines, "begins with white space, but there is no line before it to continue");
        return 0;
    }
    if (!continues) {
        result = end_entry(reading);
        reading->begun = lines->line;
    }
    if (reading->length + length > LINE_FILE_LINE_MAX) {
        line_file_say(lines, "longer than %u octets with the lines that it continues", LINE_FILE_LINE_MAX);
        return result;
    }
    memcpy(reading->text + reading->length, line, length + 1);
    reading->length += length;
    return result;
}

static int end_lines(struct line_file *lines) {
    return end_entry((struct reading *)lines);
}

int access_table_read(const char *path, FILE *errors, struct access_table *ret_table, bool *ret_is_blank) {
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return -ENOMEM;
    reading->lines = (struct line_file){
        .path = path, .errors = errors, .lines_max = LINE_FILE_LINES_MAX, .take = take_line, .end = end_lines};
    reading->is_blank = true;
    int result = line_file_read(&reading->lines);
    if (result < 0) {
        access_table_finish(&reading->table);
    } else {
        *ret_table = reading->table;
        *ret_is_blank = reading->is_blank;
    }
    free(reading);
    return result;
}

void access_table_finish(struct access_table *table) {
    text_map_finish(&table->keys);
    text_map_finish(&table->written);
    free(table->entries);
    free(table->actions);
    *table = (struct access_table){.entries = NULL};
}

/* --- a client --- */

static bool find_key(const struct access_table *table, const char *key, uint32_t *ret_entry) {
    return text_map_find(&table->keys, key, strlen(key), ret_entry);
}

/* The name, then for each of its parents what takes subdomains alone, then the parent itself. */
static bool find_name(const struct access_table *table, const char *name, uint32_t *ret_entry) {
    if (name == NULL || name[strspn(name, "0123456789.:")] == '\0')
        return find_key(table, "unknown", ret_entry);
    if (find_key(table, name, ret_entry))
        return true;
    for (const char *dot = strchr(name, '.'); dot != NULL && dot[1] != '\0'; dot = strchr(dot + 1, '.'))
        if (find_key(table, dot, ret_entry) || find_key(table, dot + 1, ret_entry))
            return true;
    return false;
}

static void clear_behind(struct address *address, unsigned bits) {
    bool is_ipv6 = address->sa.sa_family == AF_INET6;
    uint8_t *octets = is_ipv6 ? address->in6.sin6_addr.s6_addr : (uint8_t *)&address->in4.sin_addr;
    for (unsigned i = 0; i < (is_ipv6 ? 16u : 4u); i++) {
        unsigned kept = bits <= i * 8 ? 0 : bits - i * 8 > 8 ? 8 : bits - i * 8;
        octets[i] = (uint8_t)(octets[i] & ~(0xffu >> kept));
    }
}

/* The first in the file, of whatever length. */
static bool find_network(const struct access_table *table, const struct address *client, uint32_t *ret_entry) {
    bool is_ipv6 = client->sa.sa_family == AF_INET6, has_found = false;
    const bool *has = is_ipv6 ? table->has_ipv6 : table->has_ipv4;
    char key[KEY_MAX];
    uint32_t entry;
    for (unsigned bits = 0; bits <= (is_ipv6 ? 128u : 32u); bits++) {
        struct address base = *client;
        if (!has[bits])
            continue;
        clear_behind(&base, bits);
        format_network(&base, bits, key);
        if (find_key(table, key, &entry) && (!has_found || entry < *ret_entry)) {
            *ret_entry = entry;
            has_found = true;
        }
    }
    return has_found;
}

static bool find_beginning(const struct access_table *table, const struct address *client, uint32_t *ret_entry) {
    char text[ADDRESS_TEXT_MAX];
    char separator = client->sa.sa_family == AF_INET6 ? ':' : '.';
    address_format_host(client, text);
    for (char *last = strrchr(text, separator); last != NULL; last = strrchr(text, separator)) {
        *last = '\0';
        if (find_key(table, text, ret_entry))
            return true;
    }
    return false;
}

bool access_table_find(const struct access_table *table, const struct address *client, const char *name,
                       struct access_action *ret_action) {
    uint32_t entry;
    if (!find_name(table, name, &entry) && !find_network(table, client, &entry) &&
        !find_beginning(table, client, &entry))
        return false;
    *ret_action = table->actions[table->entries[entry]];
    return true;
}

bool access_table_bars(const struct access_table *table, const struct address *client) {
    uint32_t entry;
    bool has_entry = find_network(table, client, &entry) || find_beginning(table, client, &entry);
    return !table->has_mild_names && has_entry && is_for_good(&table->actions[table->entries[entry]]);
}
