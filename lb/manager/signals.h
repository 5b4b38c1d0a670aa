/* The signals that an operator or a service manager sends. */
#ifndef POSTERN_MANAGER_SIGNALS_H
#define POSTERN_MANAGER_SIGNALS_H

struct manager;

/* Before anything can fail, and before any thread is made: those that mean something later (SIGHUP, SIGUSR1, SIGUSR2)
 * wait until they are read, a broken pipe or a full disk is an error and not the end. SIGTERM and SIGINT end a start
 * until signals_hold_stop(). */
void signals_prepare(void);
/* From here on SIGTERM and SIGINT wait, too: there is something to be left in order. */
void signals_hold_stop(void);

/* Opens the descriptor from which they are read. Returns 0 or -errno. */
int signals_open(struct manager *manager);
/* Begins to read it on the manager's ring. */
void signals_start(struct manager *manager);

#endif
