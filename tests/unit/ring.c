/* The ring itself, on socket pairs: it goes on turning whatever ends in one turn, and receives get buffers in their
 * order when there are too few. */
#include "lb/engine/conn.h"
#include "lb/engine/mailbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

TestSuite(ring, .timeout = 120);

#define CONNS_MAX 4000u
/* More than enough for any of these; a ring that turns without an end is a failure, not a time-out. */
#define TURNS_MAX 100000u

struct peer {
    struct conn conn;
    int fd;
    bool is_open, is_closed, has_received;
    unsigned received_as; /* the how manieth of all */
    int result;
};

static struct io *io;
static struct peer peers[CONNS_MAX];
static unsigned opened, closed, received;

static void on_event(struct conn *conn, enum conn_event event, int result) {
    struct peer *peer = container_of(conn, struct peer, conn);
    switch (event) {
    case CONN_OPENED:
        cr_assert_eq(result, 0);
        peer->is_open = true;
        opened++;
        conn_recv(conn, false);
        break;
    case CONN_RECEIVED:
        peer->has_received = true;
        peer->result = result;
        peer->received_as = ++received;
        break;
    case CONN_CLOSED:
        cr_assert(!peer->is_closed);
        peer->is_closed = true;
        closed++;
        break;
    case CONN_SENT:
    case CONN_SHUT:
        break;
    }
}

static void turn(void) {
    io_wait(io);
    io_dispatch(io);
}

static void turn_until(const unsigned *count, unsigned wanted) {
    for (unsigned i = 0; *count < wanted; i++) {
        cr_assert_lt(i, TURNS_MAX, "%u of %u", *count, wanted);
        turn();
    }
}

/* So that a wait always ends. */
static struct timer ticker;
static void on_tick(struct timer *timer) {
    timer_set(io_timers(io), timer, io_now_ms(io) + 1);
}

static void open_conns(unsigned count, unsigned buffers) {
    char error[400];
    struct rlimit limit;
    struct io_options options = {.slots = CONNS_MAX, .buffers = buffers};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    cr_assert_eq(io_create(&options, &io, error, sizeof error), 0, "%s", error);
    cr_assert_eq(io_start(io), 0);
    ticker.expire = on_tick;
    on_tick(&ticker);
    for (unsigned i = 0; i < count; i++) {
        int pair[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        peers[i].fd = pair[1];
        conn_init(&peers[i].conn, io, on_event);
        conn_adopt_fd(&peers[i].conn, pair[0]);
        if (i % 256 == 255)
            turn_until(&opened, i + 1);
    }
    turn_until(&opened, count);
    turn();
}

static void finish(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (peers[i].has_received && peers[i].result > 0)
            io_buffer_release(io, peers[i].conn.received_buffer);
        conn_close(&peers[i].conn);
        close(peers[i].fd);
    }
    turn_until(&closed, count);
    struct io_stats stats;
    io_read_stats(io, &stats);
    cr_assert_eq(stats.buffers_in_use, 0);
    cr_assert_eq(stats.cq_overflows, 0);
    io_destroy(io);
}

static struct timer end_all;
static void on_end_all(struct timer *timer) {
    (void)timer;
    for (unsigned i = 0; i < CONNS_MAX - 1; i++)
        conn_close(&peers[i].conn);
}

Test(ring, connections_that_all_close_in_one_turn_close_and_the_others_go_on) {
    struct peer *other = &peers[CONNS_MAX - 1];
    open_conns(CONNS_MAX, 4 * CONNS_MAX);
    end_all.expire = on_end_all;
    timer_set(io_timers(io), &end_all, io_now_ms(io) + 1);
    cr_assert_eq(write(other->fd, "x", 1), 1);
    turn_until(&closed, CONNS_MAX - 1);
    turn_until(&received, 1);
    cr_assert_eq(other->result, 1);
    finish(CONNS_MAX);
}

Test(ring, a_peers_octets_are_heard_while_others_never_stop_completing) {
    /* Each send completes while it is submitted: there is always a completion to run. */
    open_conns(2, 64);
    conn_send(&peers[0].conn, "x", 1);
    cr_assert_eq(write(peers[1].fd, "x", 1), 1);
    for (unsigned i = 0; received == 0; i++) {
        char octet;
        cr_assert_lt(i, TURNS_MAX);
        turn();
        if (!peers[0].conn.send_armed) {
            cr_assert_eq(read(peers[0].fd, &octet, 1), 1);
            conn_send(&peers[0].conn, "x", 1);
        }
    }
    finish(2);
}

/* A usual pool has IO_BUFFERS_LENT at least. */
#define BUFFERS IO_BUFFERS_LENT

static void write_to(unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++) {
        cr_assert_eq(write(peers[i].fd, "x", 1), 1);
        turn();
    }
}

Test(ring, who_has_waited_longest_gets_the_next_buffer) {
    open_conns(3 * BUFFERS, BUFFERS);
    write_to(0, BUFFERS); /* to the bound */
    turn_until(&received, BUFFERS);
    struct io_stats stats;
    io_read_stats(io, &stats);
    cr_assert_eq(stats.starved, 0);
    write_to(BUFFERS, 3 * BUFFERS); /* and beyond */
    turn();
    io_read_stats(io, &stats);
    cr_assert_eq(stats.starved, 2 * BUFFERS);
    for (unsigned i = 0; i < 2 * BUFFERS; i++) {
        io_buffer_release(io, peers[i].conn.received_buffer);
        peers[i].result = 0; /* has none any more */
        turn_until(&received, BUFFERS + i + 1);
        cr_assert_eq(peers[BUFFERS + i].received_as, BUFFERS + i + 1);
    }
    finish(3 * BUFFERS);
}

Test(ring, all_at_once_beyond_the_buffers_are_all_served) {
    open_conns(CONNS_MAX, BUFFERS);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        cr_assert_eq(write(peers[i].fd, "x", 1), 1);
    unsigned released = 0;
    for (unsigned turns = 0; released < CONNS_MAX; turns++) {
        cr_assert_lt(turns, TURNS_MAX);
        turn();
        for (unsigned i = 0; i < CONNS_MAX; i++)
            if (peers[i].has_received && peers[i].result > 0) {
                io_buffer_release(io, peers[i].conn.received_buffer);
                peers[i].result = 0;
                released++;
            }
    }
    finish(CONNS_MAX);
}

Test(ring, a_connection_that_waits_for_a_buffer_closes_at_once) {
    open_conns(3 * BUFFERS, BUFFERS);
    write_to(0, 3 * BUFFERS);
    turn_until(&received, BUFFERS);
    struct io_stats before, after;
    io_read_stats(io, &before);
    /* The first, the last and every other of those that wait. */
    conn_close(&peers[3 * BUFFERS - 1].conn);
    for (unsigned i = BUFFERS; i < 3 * BUFFERS; i += 2)
        conn_close(&peers[i].conn);
    turn_until(&closed, BUFFERS + 1);
    io_read_stats(io, &after);
    cr_assert_leq(after.turns - before.turns, 16);
    /* No buffer came back meanwhile; those left get theirs in their order. */
    cr_assert_eq(received, BUFFERS);
    for (unsigned i = 0; i < BUFFERS; i++) {
        io_buffer_release(io, peers[i].conn.received_buffer);
        peers[i].result = 0;
    }
    turn_until(&received, 2 * BUFFERS - 1);
    for (unsigned i = BUFFERS + 1; i < 3 * BUFFERS - 1; i += 2)
        cr_assert(peers[i].has_received);
    finish(3 * BUFFERS);
}

/* A stall: octets for all have come, and then all their deadlines have passed, before the ring looks again. */
static struct timer deadlines[CONNS_MAX];
static unsigned overtaken;

static void on_deadline(struct timer *timer) {
    overtaken += !peers[timer - deadlines].has_received;
}

Test(ring, what_came_before_its_deadline_is_heard_before_the_deadline_passes_however_much_came) {
    struct timespec now;
    open_conns(CONNS_MAX, 4 * CONNS_MAX);
    uint64_t end_ms = io_now_ms(io) + 2;
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        deadlines[i].expire = on_deadline;
        timer_set(io_timers(io), &deadlines[i], end_ms);
        cr_assert_eq(write(peers[i].fd, "x", 1), 1);
    }
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 < end_ms + 10);
    turn_until(&received, CONNS_MAX);
    for (unsigned i = 0; i < CONNS_MAX; i++)
        while (timer_is_set(&deadlines[i]))
            turn();
    cr_assert_eq(overtaken, 0);
    finish(CONNS_MAX);
}

enum { MESSAGES = 1000 };
static struct message messages[MESSAGES];
static unsigned delivered, delivered_now, woken;

static void on_message(struct message *message, void *receiver) {
    (void)receiver;
    cr_assert_eq(message, &messages[delivered]);
    delivered++;
    delivered_now++;
}

static void on_woken(void *receiver) {
    (void)receiver;
    woken++;
}

Test(ring, many_messages_are_delivered_in_their_order_some_in_each_turn) {
    struct mailbox mailbox;
    open_conns(1, 64);
    cr_assert_eq(mailbox_init(&mailbox, io, NULL, on_woken), 0);
    mailbox_start(&mailbox);
    for (unsigned i = 0; i < MESSAGES; i++) {
        messages[i].deliver = on_message;
        mailbox_post(&mailbox, &messages[i]);
    }
    for (unsigned turns = 0; delivered < MESSAGES; turns++) {
        cr_assert_lt(turns, TURNS_MAX);
        delivered_now = 0;
        turn();
        cr_assert_leq(delivered_now, MESSAGES_PER_TURN);
    }
    turn_until(&woken, 1);
    delivered = 0;
    mailbox_post(&mailbox, &messages[0]);
    turn_until(&delivered, 1);
    finish(1);
    mailbox_finish(&mailbox);
}
