/* The end of postern: the workers are told, waited for, and at last told to cut what is left. */
#ifndef POSTERN_MANAGER_STOP_H
#define POSTERN_MANAGER_STOP_H

#include "lb/manager/workers.h"

#include <stdint.h>

struct health;
struct io;
struct questions;

enum stop_stage {
    STOP_NOT_ASKED, /* no SIGTERM or SIGINT yet */
    STOP_WAITS,  /* no new sessions; those in content, at the dot or inside TLS are waited for, up to `stop-timeout` */
    STOP_PROBES, /* the workers have ended: the probes that run leave politely, PROBE_QUIT_MS at most */
    STOP_CUTS,   /* a second signal: everything is ended, with its lines in the log */
};

/* The manager fills in the parts before the first step. */
struct stop {
    struct io *io;
    struct workers *workers;
    struct questions *questions;
    struct health *health;
    uint64_t timeout_ms;
    unsigned signals; /* SIGTERM and SIGINT so far */
    enum stop_stage stage;
    uint64_t began_ms; /* the stage */
    uint64_t said_ms;  /* the last line about what is waited for */
};

enum stop_answer {
    STOP_GO_ON,
    STOP_OVER,  /* there is nothing more to wait for */
    STOP_LEAVE, /* a worker's thread does not end, so it can't be joined: the process has to go as it is */
};

/* In each turn of the manager's loop: acts on the signals that have come. */
enum stop_answer stop_step(struct stop *stop);

#endif
