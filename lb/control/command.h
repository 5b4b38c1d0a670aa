/* One command of one client of the control socket, and its answer: exactly one, at once or in a later turn. */
#ifndef POSTERN_CONTROL_COMMAND_H
#define POSTERN_CONTROL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

#define CONTROL_WORDS_MAX 32

struct command;
struct control_scope;
struct pending_list;

/* Whoever has read the command, and brings the answer to its client. */
struct command_client {
    /* `text` is copied. */
    void (*answer)(struct command *command, const char *text);
    bool (*has_left)(const struct command *command);
};

struct command {
    const struct control_scope *scope;
    const struct command_client *client;
    struct pending_list *pending; /* for what answers in a later turn */
    unsigned clients;             /* connections that were open when it began */
    char *words[CONTROL_WORDS_MAX];
    unsigned words_count;
    bool as_json;
};

/* `text` is copied. */
void command_reply(struct command *command, const char *text);
/* "error: …" */
__attribute__((format(printf, 2, 3))) void command_fail(struct command *command, const char *format, ...);
/* Answers with a value: as JSON, or an array of objects as an aligned table and an object as lines "name: value". Takes
 * the reference. */
void command_reply_value(struct command *command, json_t *value);
/* Answers `text`, or {"ok": true, "message": text}. */
__attribute__((format(printf, 2, 3))) void command_reply_done(struct command *command, const char *format, ...);

/* Nobody waits for the answer any more: one that would be long in coming may be given at once. */
bool command_is_abandoned(const struct command *command);

#endif
