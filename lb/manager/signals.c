/* Signals, read from a signalfd on the manager's ring, so that what they ask for is done between two turns like
 * everything else. What each asks for is decided in manager.c. Owns the signalfd. */
#include "lb/manager/signals.h"

#include "lb/engine/container.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const int later[] = {SIGHUP, SIGUSR1, SIGUSR2};
static const int stops[] = {SIGTERM, SIGINT};

static void add(sigset_t *signals, const int *numbers, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        sigaddset(signals, numbers[i]);
}

void signals_prepare(void) {
    sigset_t signals;
    sigemptyset(&signals);
    add(&signals, later, sizeof later / sizeof later[0]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk, not the end of the mail */
}

void signals_hold_stop(void) {
    sigset_t signals;
    sigemptyset(&signals);
    add(&signals, stops, sizeof stops / sizeof stops[0]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

int signals_open(struct signals *signals) {
    sigset_t all;
    sigemptyset(&all);
    add(&all, later, sizeof later / sizeof later[0]);
    add(&all, stops, sizeof stops / sizeof stops[0]);
    signals->fd = signalfd(-1, &all, SFD_CLOEXEC);
    return signals->fd < 0 ? -errno : 0;
}

static void read_next(struct signals *signals) {
    io_read_fd(signals->io, &signals->op, signals->fd, &signals->read, sizeof signals->read);
}

static void on_read(struct op *op, int result, unsigned flags) {
    struct signals *signals = container_of(op, struct signals, op);
    (void)flags;
    if (result == (int)sizeof signals->read)
        signals->on_signal(signals->context, signals->read.ssi_signo);
    read_next(signals);
}

void signals_start(struct signals *signals, struct io *io, void (*on_signal)(void *context, unsigned number),
                   void *context) {
    signals->io = io;
    signals->on_signal = on_signal;
    signals->context = context;
    signals->op.complete = on_read;
    read_next(signals);
}

void signals_close(struct signals *signals) {
    if (signals->fd >= 0)
        close(signals->fd);
}
