/* One stream socket in a ring: a direct descriptor with at most one receive and one send in flight, and the only
 * right order of closing it (cancel, await, close). Used by sessions, probes, the control socket and the bench. */
#ifndef POSTERN_ENGINE_CONN_H
#define POSTERN_ENGINE_CONN_H

#include "lb/engine/io.h"

enum conn_event {
    CONN_OPENED,   /* conn_connect() or conn_adopt_fd() has ended: result 0 or -errno */
    CONN_RECEIVED, /* result > 0: octets in buffer conn->received_buffer, now the owner's; 0: end of stream; -errno */
    CONN_SENT,     /* all of conn_send()'s data has been taken: result 0, or -errno */
    CONN_SHUT,     /* conn_shutdown_write() has ended */
    CONN_CLOSED,   /* no operation is in flight, the descriptor is gone: the owner may free or reuse the memory */
};

struct conn {
    struct io *io;
    /* The one callback. It may call anything below, and free the conn only on CONN_CLOSED. */
    void (*on_event)(struct conn *conn, enum conn_event event, int result);
    struct recv_op recv;
    struct op send;
    struct op manage; /* install, connect, shutdown, close: one at a time */
    struct op cancel;
    union {
        const uint8_t *send_data;
        const struct address *connect_address; /* before it is open; NULL: it is connected already */
    };
    uint32_t send_left;
    int32_t slot; /* -1: none; while `fd` is moved into the table, the number that the kernel replaces by the slot */
    int32_t fd;   /* the normal descriptor meanwhile; -1: none */
    uint16_t received_buffer;
    uint8_t cancels; /* how far a close has come */
    bool recv_armed : 1;
    bool send_armed : 1;
    bool manage_armed : 1;
    bool cancel_armed : 1;
    bool is_closing : 1;
};

/* The owner's part, asserted: at most one receive, one send and one manage operation at a time, and none of them before
 * CONN_OPENED or after conn_close(). */

/* Not yet open. */
void conn_init(struct conn *conn, struct io *io, void (*on_event)(struct conn *, enum conn_event, int));
/* Takes over a slot that an accept returned. */
void conn_adopt_slot(struct conn *conn, int slot);
/* Takes over a normal descriptor: it is moved into the ring's table (CONN_OPENED) and its number closed. */
void conn_adopt_fd(struct conn *conn, int fd);
/* Opens a TCP connection with TCP_NODELAY. `source` may be NULL; its port is chosen at connect
 * (IP_BIND_ADDRESS_NO_PORT, ip(7)). `address` must live until CONN_OPENED. Returns 0, or -errno when no socket could
 * be made or bound (no event follows then). */
int conn_connect(struct conn *conn, const struct address *address, const struct address *source);
/* The same from an address and port that are known at once; as io_socket_named(). */
int conn_connect_named(struct conn *conn, const struct address *address, struct address *source);
/* One receive into a buffer of its own. `data_expected`: try at once instead of polling first. */
void conn_recv(struct conn *conn, bool data_expected);
/* The same for at most `octets_max` octets, 1 to IO_BUFFER_SIZE: what the owner has room for beside what it holds. */
void conn_recv_at_most(struct conn *conn, unsigned octets_max);
/* The same for up to IO_BULK_SIZE octets, where many are on their way. */
void conn_recv_bulk(struct conn *conn);
/* Sends all of it, however many sends that takes; at least one octet. `data` must live until CONN_SENT. */
void conn_send(struct conn *conn, const void *data, size_t length);
/* Sends nothing, to ask whether the peer of a UNIX socket is still there: CONN_SENT with -EPIPE when it has closed,
 * with 0 else (unix(7)). Not while a send is armed. */
void conn_send_nothing(struct conn *conn);
/* Half-closes; not while a send is armed, whose rest it would cut. */
void conn_shutdown_write(struct conn *conn);
/* Cancels what is in flight, then closes; CONN_CLOSED follows later, even where nothing was open. Idempotent.
 * Received buffers that come in meanwhile are given back, and no other event is delivered. */
void conn_close(struct conn *conn);
/* True while a receive finds no buffer: what the peer has said is not heard for want of our own. */
bool conn_waits_for_buffer(const struct conn *conn);
/* True from a successful opening until conn_close(). */
bool conn_is_open(const struct conn *conn);

#endif
