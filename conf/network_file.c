/* One network or domain a line; a million lines at most, so that a wrong file cannot eat the memory. */
#include "conf/network_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 1000000u
/* Each is compared with a client's name, one after the other. */
#define DOMAINS_MAX 1000u
#define DOMAIN_MAX  254u

static char *trim_line(char *line) {
    line[strcspn(line, "#;\r\n")] = '\0';
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
    char **grown = reallocarray(list->items, list->count + 1, sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    list->items = grown;
    char *copy = strdup(text);
    if (copy == NULL)
        return -ENOMEM;
    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    list->items[list->count++] = copy;
    return 0;
}

static bool is_domain(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strspn(text, letters);
    return *text == '.' && length > 1 && length <= DOMAIN_MAX && text[length] == '\0' && strstr(text, "..") == NULL;
}

/* --- one line, one file --- */

struct reading {
    const char *path;
    FILE *errors;
    struct network_file file;
    size_t room;
    unsigned line;
};

static int take_line(struct reading *reading, const char *text) {
    struct cidr cidr;
    int result = 0;
    if (*text == '\0')
        return 0;
    if (is_domain(text))
        result = reading->file.domains.count < DOMAINS_MAX ? append_domain(&reading->file.domains, text) : -E2BIG;
    else if (cidr_parse(text, &cidr) == 0)
        result = append(&reading->file.networks, &reading->room, &cidr);
    else
        result = -EINVAL;
    if (result == -EINVAL)
        fprintf(reading->errors,
                "%s:%u: \"%.80s\" is no network; allowed: 192.0.2.0/24, 2001:db8::/32 (no bits set behind the "
                "prefix), an address, or .domain\n",
                reading->path, reading->line, text);
    else if (result == -E2BIG)
        fprintf(reading->errors, "%s:%u: more than %u domains\n", reading->path, reading->line, DOMAINS_MAX);
    else if (result < 0)
        fprintf(reading->errors, "%s: out of memory\n", reading->path);
    return result;
}

static int read_lines(struct reading *reading, FILE *file) {
    char *line = NULL;
    size_t line_room = 0;
    int result = 0;
    errno = 0;
    while (result != -ENOMEM && getline(&line, &line_room, file) >= 0) {
        if (++reading->line > LINES_MAX) {
            fprintf(reading->errors, "%s: more than %u lines\n", reading->path, LINES_MAX);
            result = -EINVAL;
            break;
        }
        int taken = take_line(reading, trim_line(line));
        result = taken < 0 ? taken : result;
    }
    if (result == 0 && ferror(file)) {
        result = errno != 0 ? -errno : -EIO;
        fprintf(reading->errors, "%s: cannot be read: %s\n", reading->path, strerror(-result));
    }
    free(line);
    return result;
}

/* --- networks in order, for a search by halves --- */

static const uint8_t *octets(const struct address *address, size_t *ret_length) {
    bool is_ipv6 = address->sa.sa_family == AF_INET6;
    *ret_length = is_ipv6 ? 16 : 4;
    return is_ipv6 ? address->in6.sin6_addr.s6_addr : (const uint8_t *)&address->in4.sin_addr;
}

static int compare_addresses(const struct address *a, const struct address *b) {
    size_t length;
    if (a->sa.sa_family != b->sa.sa_family)
        return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
    const uint8_t *octets_a = octets(a, &length);
    return memcmp(octets_a, octets(b, &length), length);
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

bool network_file_has_name(const struct network_file *file, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < file->domains.count; i++) {
        const char *domain = file->domains.items[i];
        size_t domain_length = strlen(domain);
        if (strcmp(name, domain + 1) == 0 ||
            (length > domain_length && strcmp(name + length - domain_length, domain) == 0))
            return true;
    }
    return false;
}

int network_file_read(const char *path, FILE *errors, struct network_file *ret_file) {
    struct reading reading = {.path = path, .errors = errors};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int error = errno;
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(error));
        return -error;
    }
    int result = read_lines(&reading, file);
    fclose(file);
    if (result < 0) {
        network_file_finish(&reading.file);
        return result == -E2BIG ? -EINVAL : result;
    }
    put_in_order(&reading.file.networks);
    *ret_file = reading.file;
    return 0;
}

void network_file_finish(struct network_file *file) {
    for (size_t i = 0; i < file->domains.count; i++)
        free(file->domains.items[i]);
    free(file->domains.items);
    free(file->networks.items);
    *file = (struct network_file){0};
}
