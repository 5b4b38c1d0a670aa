/* The operator's files that the gate reads: which domains are ours, which recipients exist, what is done with which
 * client. Read by workers, exchanged whole by the manager. */
#ifndef POSTERN_GATE_TABLES_H
#define POSTERN_GATE_TABLES_H

#include "conf/config.h"
#include "conf/limits.h"
#include "lb/engine/snapshot.h"
#include "lb/gate/access_action.h"

#include <stdio.h>

enum table_answer {
    TABLE_IS_OFF,     /* the option is empty: the rule is off */
    TABLE_UNREADABLE, /* the file was never readable: the caller answers 4xx */
    TABLE_NO,
    TABLE_YES,
};

struct kept_table;

/* One of the files: what was read last and good, or why there is nothing. */
struct gate_table {
    bool is_off;
    struct kept_table *kept; /* held together with an older or newer struct gate_tables; NULL: off, or never readable */
};

/* Immutable once loaded. */
struct gate_tables {
    struct retired retired;
    struct gate_table relay_domains, recipients, access;
    char delimiters[CONFIG_DELIMITERS_MAX + 1];
};

/* Reads relay-domains-file, recipients-file and access-file. `previous` may be NULL. A file that has become unreadable
 * or empty (an access-file with comments alone is not: nobody may be listed) leaves what `previous` holds in force;
 * where that is nothing, it is TABLE_UNREADABLE. Either is an alarm, a line on `errors`, and no failure. Returns 0;
 * -EINVAL with every mistake on `errors` as "file:line: …"; -ENOMEM, said there too. *ret_tables is untouched on
 * failure. To be called by one thread, which also frees the tables. */
int gate_tables_load(const struct config_gate *config, const struct gate_tables *previous, FILE *errors,
                     struct gate_tables **ret_tables);
/* Accepts NULL. */
void gate_tables_free(struct gate_tables *tables);
/* "relay-domains-file: 3, recipients-file: off, access-file: unreadable"; the number is of entries. */
void gate_tables_describe(const struct gate_tables *tables, char *ret_text, size_t size);
/* The options' names, in the order of the rules, of those that are off; NULL at the end of them. */
const char *gate_tables_off_name(const struct gate_tables *tables, unsigned index);

/* `domain`: in lower case, no dot at its end. "", of a bare postmaster, is no domain of ours. */
enum table_answer gate_tables_relays(const struct gate_tables *tables, const char *domain);
/* `local_part`: without quotes, in any case. The address, or without its extension; its domain's catch-all. postmaster
 * of a domain of ours (of any, where relay-domains-file is off or unreadable), and of none (""), exists always, unless
 * the rule is off. */
enum table_answer gate_tables_has_recipient(const struct gate_tables *tables, const char *local_part,
                                            const char *domain);
/* In the order of Postfix' check_client_access, see access_table.h. `name`: forward-confirmed, in lower case; NULL or
 * "": unknown, which an entry `unknown` takes, so ask for the name first where gate_tables_need_name(). *ret_action:
 * ACCESS_DUNNO unless the answer is TABLE_YES. */
enum table_answer gate_tables_access(const struct gate_tables *tables, const struct address *client, const char *name,
                                     struct access_action *ret_action);
/* access-file refuses this client with a 5xx whatever its name may be. */
bool gate_tables_bars(const struct gate_tables *tables, const struct address *client);
/* Some entry is a name, so that the client's name is worth asking for. */
bool gate_tables_need_name(const struct gate_tables *tables);

#endif
