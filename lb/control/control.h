/* The control socket: UNIX stream, one command a line, HAProxy's words; each reply ends with an empty line. */
#ifndef POSTERN_CONTROL_CONTROL_H
#define POSTERN_CONTROL_CONTROL_H

#include "lb/engine/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct manager;
struct control;

/* Binds the socket; a stale file of a process that is gone is replaced, one that answers is an error (-EADDRINUSE).
 * The file gets `mode` and the group `gid` ((gid_t)-1: unchanged). Returns 0 or -errno with a sentence. */
int control_create(const char *path, unsigned mode, gid_t gid, struct control **ret_control, char *ret_error,
                   size_t error_size);
/* Begins to accept on the manager's ring. */
void control_start(struct control *control, struct manager *manager);
/* Ten times a second or so: notices who has left while its command runs. */
void control_tick(struct control *control);
/* Connections open now, and commands whose client has left. */
unsigned control_clients(const struct control *control);
/* Accepts NULL; removes the socket's file. */
void control_destroy(struct control *control);

/* --- for verbs --- */

#define CONTROL_WORDS_MAX 32

/* Commands that may wait for something at a time; more hear an error. */
#define CONTROL_WAITS_MAX 16u

/* One command being carried out for one client. */
struct command {
    struct manager *manager;
    struct control_client *client;
    char *words[CONTROL_WORDS_MAX];
    unsigned words_count;
    bool as_json;
};

/* The answer, exactly one for each command, at once or in a later turn. `text` is copied. */
void command_reply(struct command *command, const char *text);
/* Nobody waits for the answer any more: one that would be long in coming may be given at once. */
bool command_is_abandoned(const struct command *command);
/* "error: …" */
__attribute__((format(printf, 2, 3))) void command_fail(struct command *command, const char *format, ...);

#endif
