/* The signals that an operator or a service manager sends. */
#ifndef POSTERN_MANAGER_SIGNALS_H
#define POSTERN_MANAGER_SIGNALS_H

#include "lb/engine/io.h"

#include <sys/signalfd.h>

/* Before anything can fail, and before any thread is made: those that mean something later (SIGHUP, SIGUSR1, SIGUSR2)
 * wait until they are read, a broken pipe or a full disk is an error and not the end. SIGTERM and SIGINT end a start
 * until signals_hold_stop(). */
void signals_prepare(void);
/* From here on SIGTERM and SIGINT wait, too: there is something to be left in order. */
void signals_hold_stop(void);

struct signals {
    struct io *io;
    int fd; /* -1: not open */
    struct op op;
    struct signalfd_siginfo read;
    void (*on_signal)(void *context, unsigned number);
    void *context;
};

/* Opens the descriptor from which they are read. Returns 0 or -errno. */
int signals_open(struct signals *signals);
/* Begins to read it on this ring: `on_signal` runs for each, between two turns. */
void signals_start(struct signals *signals, struct io *io, void (*on_signal)(void *context, unsigned number),
                   void *context);
void signals_close(struct signals *signals);

#endif
