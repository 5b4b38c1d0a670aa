/* The end of postern: the workers are told, waited for, and at last told to cut what is left. */
#ifndef POSTERN_MANAGER_STOP_H
#define POSTERN_MANAGER_STOP_H

#include <stdbool.h>
#include <stdint.h>

struct manager;

enum stop_stage {
    STOP_NOT_ASKED, /* no SIGTERM or SIGINT yet */
    STOP_WAITS,  /* no new sessions; those in content, at the dot or inside TLS are waited for, up to `stop-timeout` */
    STOP_PROBES, /* the workers have ended: the probes that run leave politely, PROBE_QUIT_MS at most */
    STOP_CUTS,   /* a second signal: everything is ended, with its lines in the log */
};

struct stop {
    unsigned signals; /* SIGTERM and SIGINT so far */
    enum stop_stage stage;
    uint64_t began_ms; /* the stage */
    uint64_t said_ms;  /* the last line about what is waited for */
};

/* In each turn of the manager's loop: acts on the signals that have come. Returns true when there is nothing
 * more to wait for. */
bool stop_step(struct manager *manager);

#endif
