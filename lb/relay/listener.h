/* A listening socket of one worker (listener.c). */
#ifndef POSTERN_RELAY_LISTENER_H
#define POSTERN_RELAY_LISTENER_H

#include "lb/base/address.h"

struct config_listen;
struct listener;

/* A listening socket, bound by main before privileges are dropped; one per worker and address (SO_REUSEPORT). */
struct listener_socket {
    const struct config_listen *config;
    struct address address; /* as bound, with the real port */
    int fd;                 /* owned by the worker once passed */
};

/* Binds and listens with SO_REUSEPORT. Returns the descriptor or -errno. */
int listener_bind(const struct address *address);

void listener_start(struct listener *listener);
void listener_stop(struct listener *listener);
/* Arms the accepts that waited for room. */
void listener_resume(struct listener *listener);
/* From now on a session knows the address that its client has connected to. */
void listener_take_addresses(struct listener *listener);

#endif
