/* A listening socket of one worker, and what becomes of its clients. Multishot accept cannot return the peer's address,
 * so a set of single accepts is kept armed, each with room for one (DESIGN §4). They go straight into the ring's
 * table, except where the PROXY header to a backend must name our own address and the socket is bound to a wildcard:
 * getsockname(2) needs a normal descriptor. When no memory is left for another session, accepts stay unarmed and the
 * kernel's backlog holds clients until one ends.
 *
 * Begins a session for each client, in the stage accepted. Owns the socket and its accepts. A socket that cannot be
 * bound is fatal at the start; later an accept that fails is tried again. */
#include "lb/relay/listener.h"

#include "lb/engine/failure.h"
#include "lb/engine/log.h"
#include "lb/relay/lingerers.h"
#include "lb/relay/session.h"
#include "lb/relay/worker_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* Accepts that failed for want of descriptors or memory try again after this. */
#define RETRY_MS 100u
/* Those that go into the table for want of a number ask for one again after this. */
#define NUMBERS_MS 1000u
#define BACKLOG    4096

int listener_bind(const struct address *address) {
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    int result = 0;
    /* Accepted sockets inherit TCP_NODELAY. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        result = -errno;
    /* 0.0.0.0 and [::] are told apart in the configuration, so they must not collide here (ipv6(7)). */
    if (result == 0 && address->sa.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        result = -errno;
    if (result == 0 && bind(fd, &address->sa, address_length(address)) < 0)
        result = -errno;
    if (result == 0 && listen(fd, BACKLOG) < 0)
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

static void arm(struct listener *listener, struct acceptor *acceptor, bool is_direct) {
    listener->accepts_in_flight++;
    listener->worker->accepts_in_flight++;
    acceptor->is_direct = is_direct;
    io_accept(listener->worker->io, &acceptor->op, listener->fd, acceptor->is_direct, &acceptor->peer,
              &acceptor->peer_length);
}

static void rest(struct listener *listener, struct acceptor *acceptor) {
    listener->idle_acceptors[listener->idle_count++] = acceptor;
}

/* Room for one session more beyond those that accepts in flight, of any listener, may become: an accept that is armed
 * can't refuse its client. */
static bool has_room(const struct worker *worker) {
    return worker->sessions.in_use + worker->accepts_in_flight < worker->sessions.capacity;
}

static void take_local_address(struct session *session, int fd) {
    struct address local;
    socklen_t length = sizeof local;
    if (getsockname(fd, &local.sa, &length) == 0)
        session_set_local(session, &local);
}

/* One of max-sessions, or one that is only told that there are too many. */
static bool count_session(struct worker *worker) {
    if (worker->sessions.in_use > worker->sessions_share)
        return false;
    if (atomic_fetch_add(&worker->shared->sessions, 1) < worker->shared->sessions_max)
        return true;
    atomic_fetch_sub(&worker->shared->sessions, 1);
    return false;
}

static void take_client(struct listener *listener, const struct acceptor *acceptor, int result) {
    struct worker *worker = listener->worker;
    struct session *session = pool_get(&worker->sessions);
    assert(session != NULL); /* has_room() */
    session_init(session, worker, listener);
    session->client.address = acceptor->peer;
    address_unmap(&session->client.address);
    counter_add(&worker->counters.sessions_total, 1);
    counter_add(&worker->counters.sessions, 1);
    session->client.counts = count_session(worker);
    if (acceptor->is_direct) {
        session_start(session, result, -1);
    } else {
        take_local_address(session, result);
        session_start(session, -1, result);
    }
}

/* What the kernel has accepted and no session had room for. It has heard nothing yet, and says no more than these. */
static void refuse_waiting(const struct listener *listener) {
    const struct own_reply *reply = &listener->worker->own_replies[CLOSE_STOPPING];
    fcntl(listener->fd, F_SETFL, O_NONBLOCK);
    for (unsigned i = 0; i < BACKLOG; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != ECONNABORTED)
            return;
        if (fd < 0)
            continue;
        counter_add(&listener->worker->counters.sessions_total, 1);
        counter_add(&listener->worker->counters.refused_total, 1);
        send(fd, reply->text, reply->length, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}

/* Its accepts have come back: the last look, and the end. */
static void close_when_idle(struct listener *listener) {
    if (listener->accepts_in_flight > 0 || listener->cancel_in_flight || listener->state != LISTENER_ENDS)
        return;
    refuse_waiting(listener);
    close(listener->fd);
    listener->fd = -1;
    listener->state = LISTENER_CLOSED;
}

static void say_want(struct listener *listener, int result, const char *what_now) {
    if (!listener->want_is_said)
        log_warning("listen %s: accept: %s; %s", listener->config->name, strerror(-result), what_now);
    listener->want_is_said = true;
}

static void retry_in(struct listener *listener, uint64_t wait_ms) {
    struct io *io = listener->worker->io;
    if (!timer_is_set(&listener->retry))
        timer_set(io_timers(io), &listener->retry, io_now_ms(io) + wait_ms);
}

/* No number is left, but the table has numbers of its own: its clients are answered, by hosts that need not be told the
 * address or by a 421. */
static void accept_without_number(struct listener *listener, struct acceptor *acceptor, int result) {
    say_want(listener, result, "going on by way of the ring's own table");
    listener->lacks_numbers = true;
    arm(listener, acceptor, true);
    retry_in(listener, NUMBERS_MS);
}

/* An accept that was armed before the want may have its number still. */
static void take_accepted(struct listener *listener, const struct acceptor *acceptor, int result) {
    if (acceptor->is_direct == listener->is_direct && !timer_is_set(&listener->retry))
        listener->want_is_said = false;
    take_client(listener, acceptor, result);
}

static void on_accepted(struct op *op, int result, unsigned flags) {
    struct acceptor *acceptor = container_of(op, struct acceptor, op);
    struct listener *listener = acceptor->listener;
    (void)flags;
    listener->accepts_in_flight--;
    listener->worker->accepts_in_flight--;
    if (result >= 0)
        take_accepted(listener, acceptor, result);
    if (listener->state >= LISTENER_ENDS) {
        rest(listener, acceptor);
        close_when_idle(listener);
    } else if (result == -EMFILE && !acceptor->is_direct) {
        accept_without_number(listener, acceptor, result);
    } else if (is_shortage(result)) {
        say_want(listener, result, "trying again");
        rest(listener, acceptor);
        lingerers_spare_oldest(listener->worker);
        retry_in(listener, RETRY_MS);
    } else if (has_room(listener->worker)) {
        arm(listener, acceptor, listener->is_direct);
    } else {
        rest(listener, acceptor);
        lingerers_spare_oldest(listener->worker);
    }
}

void listener_resume(struct listener *listener) {
    while (listener->idle_count > 0 && listener->state < LISTENER_ENDS && has_room(listener->worker))
        arm(listener, listener->idle_acceptors[--listener->idle_count], listener->is_direct);
}

static void on_redirected(struct op *op, int result, unsigned flags) {
    struct listener *listener = container_of(op, struct listener, redirect);
    (void)result;
    (void)flags;
    listener->redirect_in_flight = false;
}

/* Its accepts come back, and are armed anew. */
static void redirect(struct listener *listener) {
    if (listener->accepts_in_flight == 0 || listener->redirect_in_flight)
        return;
    listener->redirect_in_flight = true;
    listener->redirect.complete = on_redirected;
    io_cancel_fd(listener->worker->io, &listener->redirect, listener->fd);
}

static void on_retry(struct timer *timer) {
    struct listener *listener = container_of(timer, struct listener, retry);
    if (listener->lacks_numbers)
        redirect(listener);
    listener->lacks_numbers = false;
    listener_resume(listener);
}

void listener_start(struct listener *listener) {
    listener->retry.expire = on_retry;
    for (unsigned i = 0; i < ACCEPTS_PER_LISTENER; i++) {
        struct acceptor *acceptor = &listener->acceptors[i];
        acceptor->listener = listener;
        acceptor->op.complete = on_accepted;
        rest(listener, acceptor);
    }
    listener_resume(listener);
}

static void on_cancelled(struct op *op, int result, unsigned flags) {
    struct listener *listener = container_of(op, struct listener, cancel);
    (void)result;
    (void)flags;
    listener->cancel_in_flight = false;
    close_when_idle(listener);
}

/* Those that accepts have taken meanwhile lack it, and are sent to no backend that wants a PROXY header. */
void listener_take_addresses(struct listener *listener) {
    if (listener->state >= LISTENER_ENDS || !listener->is_direct || !address_is_wildcard(&listener->address))
        return;
    listener->is_direct = false;
    redirect(listener);
}

/* A listener with an accept armed would go on accepting after its close: cancel first. */
static void on_drained(struct timer *timer) {
    struct listener *listener = container_of(timer, struct listener, drain);
    timer_cancel(&listener->retry);
    listener->state = LISTENER_ENDS;
    listener->cancel_in_flight = true;
    listener->cancel.complete = on_cancelled;
    io_cancel_fd(listener->worker->io, &listener->cancel, listener->fd);
}

/* From here on a SYN is dropped without an answer, and the client's next one, a second later, finds the port closed:
 * it is refused, where the close would have reset what the kernel had accepted for us since the last look. All other
 * segments pass, so handshakes that have begun come to their end. Without the filter that gap is there, no more. */
static void take_no_syn(int fd) {
    enum { TCP_FLAGS = 13, SYN = 0x02, ACK = 0x10 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),  BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void listener_stop(struct listener *listener) {
    struct io *io = listener->worker->io;
    take_no_syn(listener->fd);
    listener->state = LISTENER_DRAINS;
    listener->drain.expire = on_drained;
    timer_set(io_timers(io), &listener->drain, io_now_ms(io) + LISTENER_DRAIN_MS);
}
