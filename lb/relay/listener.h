/* A listening socket of one worker (listener.c). */
#ifndef POSTERN_RELAY_LISTENER_H
#define POSTERN_RELAY_LISTENER_H

struct listener;

void listener_start(struct listener *listener);
void listener_stop(struct listener *listener);
/* Arms the accepts that waited for room. */
void listener_resume(struct listener *listener);
/* From now on a session knows the address that its client has connected to. */
void listener_take_addresses(struct listener *listener);

#endif
