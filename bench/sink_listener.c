/* The sink's listening socket. It accepts one client at a time and begins a session for it; a fault of the listener
 * itself closes or resets the connection instead. Owns the socket. A socket that cannot be bound is fatal. */
#include "bench/sink_listener.h"

#include "bench/sink_session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void accept_next(struct sink *sink);

static int open_listener(const struct address *address) {
    int on = 1;
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, &address->sa, address_length(address)) < 0 || listen(fd, 4096) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* SO_LINGER with time 0 makes the close a RST (socket(7)). */
static void reset_connection(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

/* A connection that is to be reset is taken as a normal descriptor, for setsockopt(2); all others go straight into the
 * ring's table, which spares each session two system calls. The pool is as large as the table. */
static void on_accepted(struct op *op, int result, unsigned flags) {
    struct sink *sink = container_of(op, struct sink, accept_op);
    (void)flags;
    if (result >= 0 && sink->fault == FAULT_reset && !sink->accepts_direct) {
        sink->stats.faults++;
        reset_connection(result);
    } else if (result >= 0) {
        sink_session_start(sink, result, sink->accepts_direct, &sink->peer);
    }
    if (sink->listen_fd >= 0)
        accept_next(sink);
}

static void accept_next(struct sink *sink) {
    sink->accept_op.complete = on_accepted;
    sink->accepts_direct = sink->fault != FAULT_reset;
    io_accept(sink->io, &sink->accept_op, sink->listen_fd, sink->accepts_direct, &sink->peer, &sink->peer_length);
}

static void on_cancelled(struct op *op, int result, unsigned flags) {
    (void)op;
    (void)result;
    (void)flags;
}

/* `refuse` closes the listener; leaving it binds the same port again. */
void sink_set_fault(struct sink *sink, enum fault fault) {
    bool refused = sink->fault == FAULT_refuse;
    sink->fault = fault;
    if (fault == FAULT_reset && !refused) {
        /* The one in flight is of the other kind. */
        sink->cancel_op.complete = on_cancelled;
        io_cancel_op(sink->io, &sink->cancel_op, &sink->accept_op);
    } else if (fault == FAULT_refuse && !refused) {
        /* The accept in flight holds the socket open until it is cancelled. */
        sink->cancel_op.complete = on_cancelled;
        io_cancel_fd(sink->io, &sink->cancel_op, sink->listen_fd);
        shutdown(sink->listen_fd, SHUT_RDWR);
        close(sink->listen_fd);
        sink->listen_fd = -1;
    } else if (fault != FAULT_refuse && refused) {
        sink->listen_fd = open_listener(&sink->address);
        if (sink->listen_fd < 0) {
            fprintf(stderr, "sink: listening again: %s\n", strerror(-sink->listen_fd));
            exit(1);
        }
        accept_next(sink);
    }
}

int sink_listen(struct sink *sink) {
    socklen_t length = sizeof sink->address;
    sink->listen_fd = open_listener(&sink->address);
    if (sink->listen_fd < 0)
        return sink->listen_fd;
    getsockname(sink->listen_fd, &sink->address.sa, &length);
    accept_next(sink);
    return 0;
}
