/* Sockets to connect with, before they stand in the ring's table, and what wakes a ring: a few system calls that never
 * wait. These parts of io.h do not depend on the kind of ring, so they are not in io_uring.c. The caller owns each
 * descriptor. Nothing is fatal here: errors are returned. */
#include "lb/engine/io.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Without IP_BIND_ADDRESS_NO_PORT the kernel would reserve a port at bind(2), for all destinations at once: 28,000
 * sessions from one address would be the end even with many backends (ip(7)). */
static int bind_source(int fd, const struct address *source) {
    int on = 1;
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0)
        return -errno;
    return bind(fd, &source->sa, address_length(source)) < 0 ? -errno : 0;
}

int io_socket(struct io *io, int family, const struct address *source) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    int result = 0;
    (void)io;
    if (fd < 0)
        return -errno;
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        result = -errno;
    if (result == 0 && source != NULL)
        result = bind_source(fd, source);
    if (result < 0)
        close(fd);
    return result < 0 ? result : fd;
}

void io_close_fd(struct io *io, int fd) {
    (void)io;
    close(fd);
}

/* The kernel's choice of an own address; no datagram is sent. */
static int find_route_source(const struct address *destination, struct address *ret_source) {
    struct address source;
    socklen_t length = sizeof source;
    int fd = socket(destination->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result =
        connect(fd, &destination->sa, address_length(destination)) < 0 || getsockname(fd, &source.sa, &length) < 0
            ? -errno
            : 0;
    close(fd);
    if (result == 0)
        *ret_source = source;
    return result;
}

int io_socket_named(struct io *io, const struct address *destination, struct address *source) {
    struct address bound = *source;
    socklen_t length = sizeof bound;
    int result = address_is_wildcard(&bound) ? find_route_source(destination, &bound) : 0;
    int fd = result < 0 ? result : io_socket(io, destination->sa.sa_family, NULL);
    if (fd < 0)
        return fd;
    address_set_port(&bound, 0);
    if (bind(fd, &bound.sa, address_length(&bound)) < 0 || getsockname(fd, &bound.sa, &length) < 0) {
        result = -errno;
        close(fd);
        return result;
    }
    *source = bound;
    return fd;
}

int io_event_open(void) {
    int fd = eventfd(0, EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void io_event_raise(int fd) {
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* EAGAIN at 2^64 - 1: it is awake by then */
}

void io_event_close(int fd) {
    close(fd);
}
