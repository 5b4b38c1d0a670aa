/* One network a line; a million lines at most, so that a wrong file cannot eat the memory. */
#include "conf/network_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 1000000u

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

int network_file_read(const char *path, FILE *errors, struct cidr_list *ret_list, unsigned *ret_domains) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int error = errno;
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(error));
        return -error;
    }
    struct cidr_list list = {0};
    char *line = NULL;
    size_t line_room = 0, room = 0;
    unsigned number = 0, domains = 0;
    int result = 0;
    errno = 0;
    while (getline(&line, &line_room, file) >= 0 && result != -ENOMEM) {
        struct cidr cidr;
        const char *text = trim_line(line);
        if (++number > LINES_MAX) {
            fprintf(errors, "%s: more than %u lines\n", path, LINES_MAX);
            result = -EINVAL;
            break;
        }
        if (*text == '.') {
            domains++;
        } else if (*text != '\0' && cidr_parse(text, &cidr) < 0) {
            fprintf(errors,
                    "%s:%u: \"%.80s\" is no network; allowed: 192.0.2.0/24, 2001:db8::/32 (no bits set behind the "
                    "prefix), an address, or .domain\n",
                    path, number, text);
            result = -EINVAL;
        } else if (*text != '\0' && append(&list, &room, &cidr) < 0) {
            fprintf(errors, "%s: out of memory\n", path);
            result = -ENOMEM;
        }
    }
    if (result == 0 && ferror(file)) {
        result = errno != 0 ? -errno : -EIO;
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(-result));
    }
    free(line);
    fclose(file);
    if (result < 0) {
        free(list.items);
        return result;
    }
    *ret_list = list;
    *ret_domains = domains;
    return 0;
}
