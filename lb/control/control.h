/* The control socket: UNIX stream, one command a line, HAProxy's words; each reply ends with an empty line. */
#ifndef POSTERN_CONTROL_CONTROL_H
#define POSTERN_CONTROL_CONTROL_H

#include <stddef.h>
#include <sys/types.h>

struct control;
struct control_scope;

/* Binds the socket; a stale file of a process that is gone is replaced, one that answers is an error (-EADDRINUSE).
 * The file gets `mode` and the group `gid` ((gid_t)-1: unchanged). Returns 0 or -errno with a sentence. */
int control_create(const char *path, unsigned mode, gid_t gid, struct control **ret_control, char *ret_error,
                   size_t error_size);
/* Begins to accept on the scope's ring. `scope` outlives it. */
void control_start(struct control *control, const struct control_scope *scope);
/* Ten times a second or so: goes on with commands that answer later, and notices who has left while its command runs.
 */
void control_tick(struct control *control);
/* Accepts NULL; removes the socket's file. Commands that wait end without an answer. */
void control_destroy(struct control *control);

#endif
