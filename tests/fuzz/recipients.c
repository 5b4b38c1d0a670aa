/* Files of recipients and of domains, as an operator may leave them: what is taken is found again, as a client would
 * name it. */
#include "lb/gate/domain_table.h"
#include "lb/gate/recipient_table.h"

#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_recipient(const struct text_map *recipients, const char *key) {
    char local_part[400];
    const char *at = strrchr(key, '@');
    MUST(at != NULL && at[1] != '\0' && strlen(key) < sizeof local_part);
    memcpy(local_part, key, (size_t)(at - key));
    local_part[at - key] = '\0';
    for (char *c = local_part; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    MUST(recipient_table_has(recipients, local_part, at + 1, "+"));
    MUST(recipient_base_length(local_part, "+-") <= strlen(local_part));
}

static void check_domain(const struct text_map *domains, const char *key) {
    char name[400];
    snprintf(name, sizeof name, *key == '.' ? "a.b%s" : "%s", key);
    MUST(domain_table_has(domains, name));
}

static void check_file(const char *path, int (*read_table)(const char *, FILE *, struct text_map *),
                       void (*check)(const struct text_map *, const char *)) {
    char *messages = NULL;
    size_t messages_length;
    struct text_map map = {.texts = NULL};
    FILE *errors = open_memstream(&messages, &messages_length);
    MUST(errors != NULL);
    int result = read_table(path, errors, &map);
    fclose(errors);
    MUST((result == 0) == (messages_length == 0));
    free(messages);
    for (size_t at = 0; at < map.texts_used; at += strlen(map.texts + at) + 1)
        check(&map, map.texts + at);
    text_map_finish(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[40];
    int file = memfd_create("recipients", 0);
    MUST(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    check_file(path, recipient_table_read, check_recipient);
    check_file(path, domain_table_read, check_domain);
    close(file);
    return 0;
}
