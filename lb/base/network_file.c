/* Files of networks and domains, one a line: read, sorted, searched. The reputation's allow-file and deny-file are such
 * files. A struct network_file owns its two lists. */
#include "lb/base/network_file.h"

#include "lb/base/domain_name.h"
#include "lb/base/line_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each is compared with a client's name, one after the other. */
#define DOMAINS_MAX 1000u

static char *trim_line(char *line) {
    line[strcspn(line, "#;")] = '\0';
    line += strspn(line, " \t");
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t", line[length - 1]) != NULL)
        line[--length] = '\0';
    return line;
}

static int append(struct cidr_list *list, size_t *room, const struct cidr *cidr) {
    if (list->count == *room) {
        size_t wanted = *room == 0 ? 64 : *room * 2;
        struct cidr *grown = reallocarray(list->items, wanted, sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        list->items = grown;
        *room = wanted;
    }
    list->items[list->count++] = *cidr;
    return 0;
}

static int append_domain(struct word_list *list, const char *text) {
    char *copy = NULL;
    int result = word_list_add(list, text, &copy);
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return result;
}

static bool is_domain(const char *text) {
    return *text == '.' && text_is_domain(text + 1, strlen(text + 1));
}

/* --- one line, one file --- */

struct reading {
    struct line_file lines;
    struct network_file file;
    const struct network_file_use *use;
    size_t room;
};

static void say_no_network(struct reading *reading, const char *text) {
    line_file_say(&reading->lines,
                  "\"%.80s\" is no network; allowed: 192.0.2.0/24, 2001:db8::/32 (no bits set behind the prefix)%s",
                  text, reading->use->domains_option == NULL ? ", an address, or .domain" : " or an address");
}

static int take_line(struct line_file *lines, char *line, size_t length) {
    struct reading *reading = (struct reading *)lines; /* its first member */
    char *text = trim_line(line);
    struct cidr cidr;
    length = strlen(text);
    if (length == 0 || !line_file_is_plain(lines, text, length))
        return 0;
    if (*text == '.' && length > 1 && text[length - 1] == '.') /* names are asked for without it */
        text[length - 1] = '\0';
    const char *elsewhere = reading->use->domains_option;
    if (is_domain(text) && elsewhere != NULL)
        line_file_say(lines, "\"%.80s\": domains are allowed in %s only; here: networks and addresses", text,
                      elsewhere);
    else if (is_domain(text) && reading->file.domains.count < DOMAINS_MAX)
        return append_domain(&reading->file.domains, text);
    else if (is_domain(text))
        line_file_say(lines, "more than %u domains", DOMAINS_MAX);
    else if (cidr_parse(text, &cidr) == 0)
        return append(&reading->file.networks, &reading->room, &cidr);
    else
        say_no_network(reading, text);
    return 0;
}

/* --- networks in order, for a search by halves --- */

static int compare_addresses(const struct address *a, const struct address *b) {
    unsigned count;
    if (a->sa.sa_family != b->sa.sa_family)
        return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
    const uint8_t *octets = address_octets(a, &count);
    return memcmp(octets, address_octets(b, &count), count);
}

static int compare_networks(const void *a, const void *b) {
    const struct cidr *one = a, *other = b;
    int order = compare_addresses(&one->base, &other->base);
    return order != 0 ? order : (int)one->prefix_bits - (int)other->prefix_bits;
}

/* Two networks are apart, or one lies within the other: those that do are left out. */
static void put_in_order(struct cidr_list *list) {
    size_t kept = 0;
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_networks);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || !cidr_contains(&list->items[kept - 1], &list->items[i].base))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

bool network_file_has_address(const struct network_file *file, const struct address *address) {
    size_t low = 0, high = file->networks.count; /* the last that begins at or before the address */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_addresses(&file->networks.items[middle].base, address) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && cidr_contains(&file->networks.items[low - 1], address);
}

const char *network_file_find_name(const struct network_file *file, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < file->domains.count; i++) {
        const char *domain = file->domains.items[i];
        size_t domain_length = strlen(domain);
        if (strcmp(name, domain + 1) == 0 ||
            (length > domain_length && strcmp(name + length - domain_length, domain) == 0))
            return domain;
    }
    return NULL;
}

int network_file_read(const char *path, const struct network_file_use *use, FILE *errors,
                      struct network_file *ret_file) {
    struct reading reading = {
        .use = use, .lines = {.path = path, .errors = errors, .lines_max = LINE_FILE_LINES_MAX, .take = take_line}};
    int result = line_file_read(&reading.lines);
    if (result < 0) {
        if (result != -EINVAL)
            fprintf(errors, "%s: %s cannot be read: %s\n", path, use->option, strerror(-result));
        network_file_finish(&reading.file);
        return result;
    }
    put_in_order(&reading.file.networks);
    *ret_file = reading.file;
    return 0;
}

void network_file_finish(struct network_file *file) {
    word_list_finish(&file->domains);
    free(file->networks.items);
    *file = (struct network_file){0};
}
