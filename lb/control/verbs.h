/* The verbs of the control socket: one table gives the parser, `help` and the man page their words. */
#ifndef POSTERN_CONTROL_VERBS_H
#define POSTERN_CONTROL_VERBS_H

#include "lb/control/control.h"

#include <jansson.h>

struct verb {
    const char *words; /* that select it, as "show servers" */
    const char *arguments;
    const char *help;
    unsigned arguments_min, arguments_max; /* words behind the verb, without `json` */
    void (*run)(struct command *command, char **arguments, unsigned count);
};

extern const struct verb verbs[];
extern const size_t verbs_count;

/* Takes a line apart (it is written into) and carries it out; the answer goes to the command's client. */
void verbs_run(struct command *command, char *line);
/* Splits at blanks; returns the number of words, or -1 when there are more than `most`. Pure. */
int verbs_split(char *line, char **words, unsigned most);
/* The verb that the words begin with (the longest), or NULL. Pure. */
const struct verb *verbs_find(char *const *words, unsigned count);

/* Answers with a value: as JSON, or an array of objects as an aligned table and an object as lines "name: value". Takes
 * the reference. */
void command_reply_value(struct command *command, json_t *value);
/* Answers `text`, or {"ok": true, "message": text}. */
__attribute__((format(printf, 2, 3))) void command_reply_done(struct command *command, const char *format, ...);

/* --- show.c --- */
void show_info(struct command *command, char **arguments, unsigned count);
void show_servers(struct command *command, char **arguments, unsigned count);
void show_tiers(struct command *command, char **arguments, unsigned count);
void show_sessions(struct command *command, char **arguments, unsigned count);

/* --- show_reputation.c --- */
void show_reputation(struct command *command, char **arguments, unsigned count);

/* --- reputation_verbs.c --- */
/* The client that an operator names: its address alone, with no port and no interface, since neither would be heeded.
 * Without one the command has been answered, and false returned. */
bool command_parse_client(struct command *command, const char *text, struct address *ret_address);
/* Room for "IPv6/64". */
#define CLIENT_KEY_TEXT_MAX (ADDRESS_TEXT_MAX + 4)
/* What an entry is kept under: "192.0.2.1" for IPv4, mapped or not, or the network as "2001:db8:0:5::/64". */
const char *client_key_text(const struct address *client, char text[CLIENT_KEY_TEXT_MAX]);
void reputation_feedback_verb(struct command *command, char **arguments, unsigned count);
void reputation_set_verb(struct command *command, char **arguments, unsigned count);
void reputation_clear_verb(struct command *command, char **arguments, unsigned count);
void reputation_top_verb(struct command *command, char **arguments, unsigned count);
void reputation_export_verb(struct command *command, char **arguments, unsigned count);
void reputation_import_verb(struct command *command, char **arguments, unsigned count);
/* Goes on with `reputation top` of a large table; at each tick of the manager. */
void walks_serve(struct manager *manager);
/* At the end: without answers. */
void walks_finish(struct manager *manager);

/* --- reload.c --- */
void reload_verb(struct command *command, char **arguments, unsigned count);
/* Reads what can be read anew. Returns 0; or -errno, nothing has changed then, and every mistake on `errors`. */
int reload(struct manager *manager, FILE *errors);
void reload_by_signal(struct manager *manager);

/* --- set.c --- */
void set_server(struct command *command, char **arguments, unsigned count);
void add_server(struct command *command, char **arguments, unsigned count);
void del_server(struct command *command, char **arguments, unsigned count);
void shutdown_sessions(struct command *command, char **arguments, unsigned count);

void set_tier(struct command *command, char **arguments, unsigned count);

/* --- wait.c --- */
void wait_drained(struct command *command, char **arguments, unsigned count);
/* Answers those whose wait is over; at each tick of the manager. */
void waits_serve(struct manager *manager);
/* At the end: without answers. */
void waits_finish(struct manager *manager);

/* The backend of that name; without one the command has been answered with the names there are, and NULL returned. */
struct backend *find_server(struct command *command, const char *name);

#endif
