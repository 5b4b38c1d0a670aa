/* One stream socket and its operations: sessions, attempts, probes, feeds and clients of the control socket each have
 * one. Its flags say which of its ops are in flight; while any is, neither the slot in the ring's table nor the memory
 * may go. To close is to cancel what is in flight, await every completion, close the slot, await that, and tell the
 * owner (DESIGN §4).
 *
 * A conn is a part of its owner, and owns its slot. Fatal here, by asserts, is an operation that is armed twice or on a
 * closed connection. */
#include "lb/engine/conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* What a close has told to end so far. */
enum { CANCELS_NOTHING, CANCELS_RECV, CANCELS_SEND, CANCELS_MANAGE };

static void on_closed(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, manage);
    (void)result; /* a close can't fail in a way that leaves the slot open */
    (void)flags;
    conn->manage_armed = false;
    conn->on_event(conn, CONN_CLOSED, 0);
}

static void close_when_idle(struct conn *conn) {
    if (conn->recv_armed || conn->send_armed || conn->manage_armed || conn->cancel_armed)
        return;
    conn->manage_armed = true;
    conn->manage.complete = on_closed;
    if (conn->slot >= 0) {
        io_close(conn->io, &conn->manage, conn->slot);
        conn->slot = -1;
    } else {
        io_nop(conn->io, &conn->manage);
    }
}

static void on_recv(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, recv.op);
    conn->recv_armed = false;
    if (result > 0 && conn->is_closing)
        io_buffer_release(conn->io, io_buffer_id(flags));
    if (conn->is_closing) {
        close_when_idle(conn);
        return;
    }
    if (result > 0)
        conn->received_buffer = (uint16_t)io_buffer_id(flags);
    conn->on_event(conn, CONN_RECEIVED, result);
}

static void on_send(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, send);
    (void)flags;
    conn->send_armed = false;
    if (conn->is_closing) {
        close_when_idle(conn);
        return;
    }
    if (result < 0) {
        conn->on_event(conn, CONN_SENT, result);
        return;
    }
    conn->send_data += result;
    conn->send_left -= (uint32_t)result;
    if (conn->send_left > 0 && result > 0) {
        conn->send_armed = true;
        io_send(conn->io, &conn->send, conn->slot, conn->send_data, conn->send_left);
        return;
    }
    conn->on_event(conn, CONN_SENT, conn->send_left == 0 ? 0 : -EPIPE);
}

static void on_connected(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, manage);
    (void)flags;
    conn->manage_armed = false;
    if (conn->is_closing)
        close_when_idle(conn);
    else
        conn->on_event(conn, CONN_OPENED, result < 0 ? result : 0);
}

static void on_installed(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, manage);
    (void)flags;
    conn->manage_armed = false;
    io_close_fd(conn->io, conn->fd);
    conn->fd = -1;
    if (result < 0)
        conn->slot = -1;
    if (conn->is_closing) {
        close_when_idle(conn);
        return;
    }
    if (result < 0 || conn->connect_address == NULL) {
        conn->on_event(conn, CONN_OPENED, result < 0 ? result : 0);
        return;
    }
    conn->manage_armed = true;
    conn->manage.complete = on_connected;
    io_connect(conn->io, &conn->manage, conn->slot, conn->connect_address);
}

static void on_shut(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, manage);
    (void)flags;
    conn->manage_armed = false;
    if (conn->is_closing)
        close_when_idle(conn);
    else
        conn->on_event(conn, CONN_SHUT, result);
}

static bool is_busy(const struct conn *conn) {
    return conn->recv_armed || conn->send_armed || conn->manage_armed;
}

/* Tells what is in flight to end, one by one: to cancel all on a descriptor the kernel looks at every operation in
 * flight on the ring, which with 9,000 sessions held was more than half of all CPU (measured). */
static void cancel_next(struct conn *conn) {
    assert(!conn->cancel_armed);
    if (conn->recv_armed && io_recv_give_up(conn->io, &conn->recv))
        conn->recv_armed = false;
    conn->cancel_armed = true;
    if (conn->recv_armed && conn->cancels < CANCELS_RECV) {
        conn->cancels = CANCELS_RECV;
        io_cancel_recv(conn->io, &conn->cancel, &conn->recv);
    } else if (conn->send_armed && conn->cancels < CANCELS_SEND) {
        conn->cancels = CANCELS_SEND;
        io_cancel_op(conn->io, &conn->cancel, &conn->send);
    } else if (conn->manage_armed && conn->cancels < CANCELS_MANAGE) {
        conn->cancels = CANCELS_MANAGE;
        io_cancel_op(conn->io, &conn->cancel, &conn->manage);
    } else {
        conn->cancel_armed = false;
        close_when_idle(conn);
    }
}

/* Whatever the cancel has met, the operation completes: cancelled, or by itself. Both are awaited. */
static void on_cancelled(struct op *op, int result, unsigned flags) {
    struct conn *conn = container_of(op, struct conn, cancel);
    (void)result;
    (void)flags;
    conn->cancel_armed = false;
    cancel_next(conn);
}

void conn_init(struct conn *conn, struct io *io, void (*on_event)(struct conn *, enum conn_event, int)) {
    memset(conn, 0, sizeof *conn);
    conn->io = io;
    conn->on_event = on_event;
    conn->slot = -1;
    conn->fd = -1;
    conn->recv.op.complete = on_recv;
    conn->send.complete = on_send;
    conn->cancel.complete = on_cancelled;
}

void conn_adopt_slot(struct conn *conn, int slot) {
    assert(conn->slot < 0 && !conn->is_closing && slot >= 0);
    conn->slot = slot;
}

void conn_adopt_fd(struct conn *conn, int fd) {
    assert(conn->slot < 0 && !conn->is_closing && !conn->manage_armed);
    conn->fd = conn->slot = fd;
    conn->manage_armed = true;
    conn->manage.complete = on_installed;
    io_install(conn->io, &conn->manage, &conn->slot);
}

static int connect_with(struct conn *conn, const struct address *address, int fd) {
    if (fd < 0)
        return fd;
    conn->connect_address = address;
    conn_adopt_fd(conn, fd);
    return 0;
}

int conn_connect(struct conn *conn, const struct address *address, const struct address *source) {
    return connect_with(conn, address, io_socket(conn->io, address->sa.sa_family, source));
}

int conn_connect_named(struct conn *conn, const struct address *address, struct address *source) {
    return connect_with(conn, address, io_socket_named(conn->io, address, source));
}

static void begin_recv(struct conn *conn) {
    assert(conn_is_open(conn) && !conn->recv_armed);
    conn->recv_armed = true;
}

void conn_recv(struct conn *conn, bool data_expected) {
    begin_recv(conn);
    io_recv(conn->io, &conn->recv, conn->slot, IO_BUFFER_SIZE, data_expected);
}

void conn_recv_at_most(struct conn *conn, unsigned octets_max) {
    begin_recv(conn);
    io_recv(conn->io, &conn->recv, conn->slot, octets_max, false);
}

void conn_recv_bulk(struct conn *conn) {
    begin_recv(conn);
    io_recv_bulk(conn->io, &conn->recv, conn->slot);
}

void conn_send(struct conn *conn, const void *data, size_t length) {
    assert(conn_is_open(conn) && !conn->send_armed && length > 0);
    conn->send_data = data;
    conn->send_left = (uint32_t)length;
    conn->send_armed = true;
    io_send(conn->io, &conn->send, conn->slot, data, length);
}

void conn_send_nothing(struct conn *conn) {
    assert(conn_is_open(conn) && !conn->send_armed);
    conn->send_data = (const uint8_t *)"";
    conn->send_left = 0;
    conn->send_armed = true;
    io_send(conn->io, &conn->send, conn->slot, conn->send_data, 0);
}

void conn_shutdown_write(struct conn *conn) {
    assert(conn_is_open(conn) && !conn->manage_armed && !conn->send_armed);
    conn->manage_armed = true;
    conn->manage.complete = on_shut;
    io_shutdown_write(conn->io, &conn->manage, conn->slot);
}

void conn_close(struct conn *conn) {
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    if (conn->fd < 0 && conn->slot >= 0 && is_busy(conn)) {
        cancel_next(conn);
        return;
    }
    close_when_idle(conn);
}

bool conn_waits_for_buffer(const struct conn *conn) {
    return conn->recv_armed && conn->recv.starved_link != NULL;
}

bool conn_is_open(const struct conn *conn) {
    return conn->fd < 0 && conn->slot >= 0 && !conn->is_closing;
}
