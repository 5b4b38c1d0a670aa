/* A client_access, as an operator or a script may leave it: what is taken is found again, and what it says can be put
 * in a reply as it is. */
#include "lb/gate/access_table.h"

#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static void check_action(const struct access_action *action) {
    if (action->kind != ACCESS_REJECT)
        return;
    MUST(action->code >= 400 && action->code <= 599);
    MUST(action->enhanced[0] == '0' + action->code / 100 && action->enhanced[1] == '.');
    MUST(strlen(action->enhanced) < sizeof action->enhanced && action->text[0] != '\0');
    for (size_t i = 0; action->text[i] != '\0'; i++)
        MUST(i < ACCESS_TEXT_MAX && action->text[i] >= ' ' && action->text[i] <= '~');
}

static void check_key(const struct access_table *table, const char *key) {
    struct address client;
    struct cidr cidr;
    struct access_action action;
    char name[400];
    MUST(address_parse("192.0.2.1", 25, &client) == 0);
    if (strchr(key, '/') != NULL) {
        MUST(cidr_parse(key, &cidr) == 0);
        MUST(access_table_find(table, &cidr.base, NULL, &action));
    } else if (key[strspn(key, "0123456789abcdef.:")] != '\0') {
        snprintf(name, sizeof name, *key == '.' ? "x%s" : "%s", key);
        MUST(access_table_find(table, &client, name, &action));
    } else {
        return;
    }
    check_action(&action);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const clients[] = {"192.0.2.1", "10.1.2.3", "[2001:db8::1]", "[2001:db8:1:2:3:4:5:6]"};
    char path[40], *messages = NULL;
    size_t messages_length;
    bool is_blank = false;
    struct access_table table = {.entries = NULL};
    struct access_action action;
    struct address client;
    int file = memfd_create("access", 0);
    MUST(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    FILE *errors = open_memstream(&messages, &messages_length);
    MUST(errors != NULL);
    int result = access_table_read(path, errors, &table, &is_blank);
    fclose(errors);
    close(file);
    MUST((result == 0) == (messages_length == 0));
    free(messages);
    if (result < 0)
        return 0;
    MUST(!is_blank || table.keys.count == 0);
    for (size_t at = 0; at < table.keys.texts_used; at += strlen(table.keys.texts + at) + 1)
        check_key(&table, table.keys.texts + at);
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        MUST(address_parse(clients[i], 25, &client) == 0);
        if (access_table_find(&table, &client, i % 2 == 0 ? NULL : "mx.example.org", &action))
            check_action(&action);
    }
    access_table_finish(&table);
    return 0;
}
