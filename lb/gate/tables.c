/* The three files of the gate together. main.c loads them, and the manager anew at a reload; workers read them by a
 * pointer. What one file holds is counted by its holders, so that tables read anew can go on with what an older reading
 * found, and the older one be freed. Owns the tables. Nothing is fatal here: a file that cannot be read leaves its last
 * contents in force, or its rule says 4xx; a mistake in one is the caller's to answer. */
#include "lb/gate/tables.h"

#include "lb/gate/access_table.h"
#include "lb/gate/domain_table.h"
#include "lb/gate/recipient_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of a list `texts`, of access-file `access`; the other is zeroed. */
struct kept_table {
    unsigned holders; /* of the thread that loads and frees */
    struct text_map texts;
    struct access_table access;
};

/* In the order of the rules: access, relay, recipients. */
enum file { FILE_ACCESS, FILE_RELAY_DOMAINS, FILE_RECIPIENTS, FILES_COUNT };

static const char *const names[FILES_COUNT] = {"access-file", "relay-domains-file", "recipients-file"};

static const struct gate_table *table_of(const struct gate_tables *tables, enum file file) {
    const struct gate_table *const all[FILES_COUNT] = {&tables->access, &tables->relay_domains, &tables->recipients};
    return all[file];
}

static const char *path_of(const struct config_gate *config, enum file file) {
    const char *const all[FILES_COUNT] = {config->access_file, config->relay_domains_file, config->recipients_file};
    return all[file];
}

static void let_go(struct kept_table *kept) {
    if (kept == NULL)
        return;
    assert(kept->holders > 0);
    if (--kept->holders > 0)
        return;
    text_map_finish(&kept->texts);
    access_table_finish(&kept->access);
    free(kept);
}

/* --- loading --- */

static int read_file(enum file file, const char *path, FILE *errors, struct kept_table *kept, bool *ret_is_empty) {
    int result = -EINVAL;
    switch (file) {
    case FILE_ACCESS:
        return access_table_read(path, errors, &kept->access, ret_is_empty);
    case FILE_RELAY_DOMAINS:
        result = domain_table_read(path, errors, &kept->texts);
        break;
    case FILE_RECIPIENTS:
        result = recipient_table_read(path, errors, &kept->texts);
        break;
    case FILES_COUNT:
        break;
    }
    *ret_is_empty = kept->texts.count == 0;
    return result;
}

/* The operator's alarm. */
static void say_missing(enum file file, const char *path, int result, bool has_previous, FILE *errors) {
    const char *until = result < 0 ? "until a reload finds it, its rule answers 4xx"
                                   : "until a reload finds entries in it, its rule answers 4xx";
    fprintf(errors, "%s: [gate] %s %s%s: %s\n", path, names[file], result < 0 ? "cannot be read: " : "is empty",
            result < 0 ? strerror(-result) : "", has_previous ? "what was read before stays in force" : until);
}

static int load_file(enum file file, const struct config_gate *config, const struct gate_tables *previous, FILE *errors,
                     struct gate_table *table) {
    const char *path = path_of(config, file);
    bool is_empty = false;
    if (path[0] == '\0') {
        table->is_off = true;
        return 0;
    }
    table->kept = calloc(1, sizeof *table->kept);
    int result = table->kept == NULL ? -ENOMEM : read_file(file, path, errors, table->kept, &is_empty);
    if (table->kept != NULL)
        table->kept->holders = 1;
    if (result == 0 && !is_empty)
        return 0;
    let_go(table->kept);
    table->kept = NULL;
    if (result == -ENOMEM || result == -E2BIG)
        fprintf(errors, "%s: out of memory\n", path);
    if (result == -EINVAL || result == -ENOMEM || result == -E2BIG)
        return result == -EINVAL ? -EINVAL : -ENOMEM;
    if (previous != NULL)
        table->kept = table_of(previous, file)->kept;
    if (table->kept != NULL)
        table->kept->holders++;
    say_missing(file, path, result, table->kept != NULL, errors);
    return 0;
}

int gate_tables_load(const struct config_gate *config, const struct gate_tables *previous, FILE *errors,
                     struct gate_tables **ret_tables) {
    struct gate_tables *tables = calloc(1, sizeof *tables);
    int result = 0;
    if (tables == NULL) {
        fprintf(errors, "[gate]: out of memory\n");
        return -ENOMEM;
    }
    snprintf(tables->delimiters, sizeof tables->delimiters, "%s", config->recipient_delimiter);
    struct gate_table *const all[FILES_COUNT] = {&tables->access, &tables->relay_domains, &tables->recipients};
    for (unsigned file = 0; file < FILES_COUNT; file++) {
        int loaded = load_file((enum file)file, config, previous, errors, all[file]);
        result = result == 0 ? loaded : result;
    }
    if (result < 0)
        gate_tables_free(tables);
    else
        *ret_tables = tables;
    return result;
}

void gate_tables_free(struct gate_tables *tables) {
    if (tables == NULL)
        return;
    for (unsigned file = 0; file < FILES_COUNT; file++)
        let_go(table_of(tables, (enum file)file)->kept);
    free(tables);
}

void gate_tables_describe(const struct gate_tables *tables, char *ret_text, size_t size) {
    char figures[FILES_COUNT][24];
    for (unsigned file = 0; file < FILES_COUNT; file++) {
        const struct gate_table *table = table_of(tables, (enum file)file);
        if (table->kept == NULL)
            snprintf(figures[file], sizeof figures[file], "%s", table->is_off ? "off" : "unreadable");
        else
            snprintf(figures[file], sizeof figures[file], "%zu",
                     file == FILE_ACCESS ? table->kept->access.keys.count : table->kept->texts.count);
    }
    snprintf(ret_text, size, "%s: %s, %s: %s, %s: %s", names[FILE_RELAY_DOMAINS], figures[FILE_RELAY_DOMAINS],
             names[FILE_RECIPIENTS], figures[FILE_RECIPIENTS], names[FILE_ACCESS], figures[FILE_ACCESS]);
}

const char *gate_tables_off_name(const struct gate_tables *tables, unsigned index) {
    for (unsigned file = 0; file < FILES_COUNT; file++)
        if (table_of(tables, (enum file)file)->is_off && index-- == 0)
            return names[file];
    return NULL;
}

/* --- asking --- */

static enum table_answer answer_of(bool is_there) {
    return is_there ? TABLE_YES : TABLE_NO;
}

static enum table_answer answer_without(const struct gate_table *table) {
    return table->is_off ? TABLE_IS_OFF : TABLE_UNREADABLE;
}

enum table_answer gate_tables_relays(const struct gate_tables *tables, const char *domain) {
    const struct gate_table *table = &tables->relay_domains;
    if (table->kept == NULL)
        return answer_without(table);
    return answer_of(domain_table_has(&table->kept->texts, domain));
}

static bool is_postmaster(const struct gate_tables *tables, const char *local_part, const char *domain) {
    size_t length = recipient_base_length(local_part, tables->delimiters);
    return length == strlen("postmaster") && strncasecmp(local_part, "postmaster", length) == 0 &&
           (domain[0] == '\0' || gate_tables_relays(tables, domain) != TABLE_NO);
}

enum table_answer gate_tables_has_recipient(const struct gate_tables *tables, const char *local_part,
                                            const char *domain) {
    const struct gate_table *table = &tables->recipients;
    if (table->is_off)
        return TABLE_IS_OFF;
    if (is_postmaster(tables, local_part, domain))
        return TABLE_YES;
    if (table->kept == NULL)
        return TABLE_UNREADABLE;
    return answer_of(recipient_table_has(&table->kept->texts, local_part, domain, tables->delimiters));
}

enum table_answer gate_tables_access(const struct gate_tables *tables, const struct address *client, const char *name,
                                     struct access_action *ret_action) {
    const struct gate_table *table = &tables->access;
    *ret_action = (struct access_action){.kind = ACCESS_DUNNO};
    if (table->kept == NULL)
        return answer_without(table);
    return answer_of(access_table_find(&table->kept->access, client, name, ret_action));
}

bool gate_tables_bars(const struct gate_tables *tables, const struct address *client) {
    return tables->access.kept != NULL && access_table_bars(&tables->access.kept->access, client);
}

bool gate_tables_need_name(const struct gate_tables *tables) {
    return tables->access.kept != NULL && tables->access.kept->access.has_names;
}
