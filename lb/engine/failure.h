/* Whose failure an error of a system call on a connection is. The one place that decides it, for sockets towards
 * backends and clients alike. */
#ifndef POSTERN_ENGINE_FAILURE_H
#define POSTERN_ENGINE_FAILURE_H

#include <errno.h>
#include <stdbool.h>

enum failure {
    FAILURE_OF_PEER,   /* it refused, hung up, answered wrongly: its own, once another one does better */
    FAILURE_SILENCE,   /* no answer in time: its probe decides */
    FAILURE_OF_NOBODY, /* no way to it from here, or it answers this client otherwise than another one does */
    FAILURE_SHORTAGE,  /* our own want of descriptors, buffers or memory: no other peer would help */
};

/* `error`: 0, a connection's end, or -errno. A shortage is one of descriptors (of the process, the system or the ring's
 * table), buffers or memory. To one address a host has 28,000 ports by default: EADDRNOTAVAIL (ip(7), connect(2)). */
static inline enum failure failure_of_error(int error) {
    switch (error) {
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
        return FAILURE_SHORTAGE;
    case -ETIMEDOUT:
        return FAILURE_SILENCE;
    case -EADDRNOTAVAIL:
    case -EAGAIN:
        return FAILURE_OF_NOBODY;
    default:
        return FAILURE_OF_PEER;
    }
}

static inline bool is_shortage(int error) {
    return failure_of_error(error) == FAILURE_SHORTAGE;
}

#endif
