/* Signals are read from a signalfd on the manager's ring, so that what they ask for is done between two turns like
 * everything else. SIGTERM and SIGINT are only counted here; stop.c acts on the count. */
#include "lb/manager/signals.h"

#include "lb/control/verbs.h"
#include "lb/engine/log.h"
#include "lb/manager/manager.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

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

int signals_open(struct manager *manager) {
    sigset_t signals;
    sigemptyset(&signals);
    add(&signals, later, sizeof later / sizeof later[0]);
    add(&signals, stops, sizeof stops / sizeof stops[0]);
    manager->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    return manager->signal_fd < 0 ? -errno : 0;
}

/* As logrotate asks for with its postrotate. */
static void reopen_log(const struct manager *manager) {
    int result = log_reopen();
    if (result < 0)
        log_error("SIGUSR1: [global] log = %s: %s; the old file stays", manager->config->global.log, strerror(-result));
    else if (log_is_file())
        log_info("SIGUSR1: the log file is opened anew");
    else
        log_info("SIGUSR1: [global] log = %s: nothing to open anew", manager->config->global.log);
}

static void act_on(struct manager *manager, unsigned number) {
    switch (number) {
    case SIGHUP:
        reload_by_signal(manager);
        break;
    case SIGUSR1:
        reopen_log(manager);
        break;
    case SIGUSR2:
        log_info("SIGUSR2: ignored: this version can't be upgraded while it runs");
        break;
    default:
        manager->stop.signals++;
        break;
    }
}

static void on_signal(struct op *op, int result, unsigned flags) {
    struct manager *manager = container_of(op, struct manager, signal_op);
    (void)flags;
    if (result == (int)sizeof manager->signal)
        act_on(manager, manager->signal.ssi_signo);
    io_read_fd(manager->io, &manager->signal_op, manager->signal_fd, &manager->signal, sizeof manager->signal);
}

void signals_start(struct manager *manager) {
    manager->signal_op.complete = on_signal;
    io_read_fd(manager->io, &manager->signal_op, manager->signal_fd, &manager->signal, sizeof manager->signal);
}
