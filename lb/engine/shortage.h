/* Which errors of a system call are a want of our own, and no word about the peer: descriptors (of the process, the
 * system or the ring's table), buffers, memory. */
#ifndef POSTERN_ENGINE_SHORTAGE_H
#define POSTERN_ENGINE_SHORTAGE_H

#include <errno.h>
#include <stdbool.h>

/* `error`: 0 or -errno. */
static inline bool is_shortage(int error) {
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

#endif
