/* The control socket and its clients, on the manager's ring. Each client is served one command at a time, by verbs.c;
 * what it sends behind waits in its line buffer, so that a client cannot pile up work. A client that leaves while its
 * command still runs is kept until that has been answered.
 *
 * No client keeps others out. One that says nothing, or does not read its answer, is closed after a while; when a place
 * is needed, the one that has been idle longest is closed at once. One process has a few places only. A client that
 * waits for the end of its command is not idle; such commands have a bound of their own (CONTROL_WAITS_MAX). When the
 * process has no descriptor's number left, clients are accepted straight into the ring's table, which has its own;
 * their process is not known then.
 *
 * Owns the socket's file, the clients and the commands that wait. A socket that cannot be made is fatal at the start;
 * later nothing is. */
#include "lb/control/control.h"

#include "lb/control/pending.h"
#include "lb/control/scope.h"
#include "lb/control/verbs.h"
#include "lb/engine/conn.h"
#include "lb/engine/container.h"
#include "lb/engine/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 1024
/* Places. One is always left free, for who comes next. */
#define CLIENTS_MAX (CONTROL_WAITS_MAX + 16)
/* Of one process (unix(7), SO_PEERCRED). */
#define CLIENTS_PER_PEER 8
/* Between commands: as long as somebody reads on in a pager while posternctl waits for it. */
#define IDLE_MS 300000u
/* To take an answer, which the socket's buffer holds as a rule. */
#define READ_MS 60000u
/* An accept that failed, for want of descriptors say, is tried again after this. */
#define RETRY_MS 100u
#define BACKLOG  128

struct control_client {
    struct control *control;
    bool is_used;
    bool is_busy;      /* a command is being carried out */
    bool has_left;     /* its connection is closed */
    bool at_end;       /* it has half-closed: close after the last answer */
    bool reply_waits;  /* for the send that asks whether the client is still there */
    struct ucred peer; /* pid 0: not known */
    uint64_t active;   /* the how manieth sign of life of all: that it came, said something, had taken an answer */
    struct timer deadline;
    struct conn conn;
    struct command command;
    char line[LINE_MAX_OCTETS + 1];  /* the command's words point into it */
    char input[LINE_MAX_OCTETS + 1]; /* not yet carried out */
    size_t input_length;
    char *output; /* being sent */
    size_t output_length;
};

struct control {
    const struct control_scope *scope;
    struct pending_list pending;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int fd;
    struct op accept_op;
    struct address peer; /* a UNIX peer's is of no use, but accept wants room */
    socklen_t peer_length;
    bool accept_waits; /* for a free client */
    bool is_direct;    /* the accept in flight is to give a slot of the ring's table */
    bool want_is_said; /* until an accept is given a descriptor's number again */
    uint64_t activity; /* signs of life of all clients */
    struct timer retry;
    struct control_client clients[CLIENTS_MAX];
};

static void accept_next(struct control *control);
static void accept_one(struct control *control, bool is_direct);
static void on_opened(struct control_client *client, int result);
static void next_command(struct control_client *client);

/* --- replies --- */

static void release_client(struct control_client *client) {
    timer_cancel(&client->deadline);
    free(client->output);
    client->output = NULL;
    client->is_used = false;
    if (client->control->accept_waits)
        accept_next(client->control);
}

static void set_deadline(struct control_client *client, uint64_t wait_ms) {
    struct io *io = client->control->scope->io;
    client->active = ++client->control->activity;
    timer_set(io_timers(io), &client->deadline, io_now_ms(io) + wait_ms);
}

static void send_output(struct control_client *client) {
    client->reply_waits = client->conn.send_armed;
    if (client->reply_waits || client->conn.is_closing)
        return;
    set_deadline(client, READ_MS);
    conn_send(&client->conn, client->output, client->output_length);
}

static void send_reply(struct control_client *client, const char *text) {
    size_t length = strlen(text);
    const char *end = length > 0 && text[length - 1] != '\n' ? "\n\n" : "\n";
    client->is_busy = false;
    if (client->has_left) {
        release_client(client);
        return;
    }
    if (client->conn.is_closing) /* released when that has ended */
        return;
    char *output = NULL;
    int total = asprintf(&output, "%s%s", text, end);
    if (total < 0) {
        conn_close(&client->conn);
        return;
    }
    free(client->output);
    client->output = output;
    client->output_length = (size_t)total;
    send_output(client);
}

static void on_answer(struct command *command, const char *text) {
    send_reply(container_of(command, struct control_client, command), text);
}

static bool has_left(const struct command *command) {
    return container_of(command, const struct control_client, command)->has_left;
}

static const struct command_client at_socket = {on_answer, has_left};

/* --- input --- */

static unsigned clients_open(const struct control *control) {
    unsigned count = 0;
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        count += control->clients[i].is_used;
    return count;
}

static void begin_command(struct control_client *client, size_t length) {
    memcpy(client->line, client->input, length);
    client->line[length] = '\0';
    client->is_busy = true;
    timer_cancel(&client->deadline);
    client->command = (struct command){
        .scope = client->control->scope,
        .client = &at_socket,
        .pending = &client->control->pending,
        .clients = clients_open(client->control),
    };
    verbs_run(&client->command, client->line);
}

/* Carries out the next whole line, if no command runs and no reply is on its way. */
static void next_command(struct control_client *client) {
    if (client->is_busy || client->conn.send_armed || client->conn.is_closing)
        return;
    const char *end = memchr(client->input, '\n', client->input_length);
    if (end == NULL && client->at_end && client->input_length > 0)
        end = client->input + client->input_length;
    if (end == NULL) {
        if (client->at_end)
            conn_close(&client->conn);
        return;
    }
    size_t length = (size_t)(end - client->input);
    begin_command(client, length);
    size_t used = length < client->input_length ? length + 1 : length;
    client->input_length -= used;
    memmove(client->input, client->input + used, client->input_length);
}

static void take_input(struct control_client *client, int result) {
    char text[64];
    struct conn *conn = &client->conn;
    size_t length = (size_t)result;
    bool fits = length <= LINE_MAX_OCTETS - client->input_length;
    if (fits) {
        memcpy(client->input + client->input_length, io_buffer(conn->io, conn->received_buffer), length);
        client->input_length += length;
    }
    io_buffer_release(conn->io, conn->received_buffer);
    if (!fits && !client->is_busy && !conn->send_armed) {
        client->at_end = true;
        client->input_length = 0;
        client->is_busy = true;
        snprintf(text, sizeof text, "error: a line of more than %d octets", LINE_MAX_OCTETS);
        send_reply(client, text);
        return;
    }
    if (!fits) {
        conn_close(conn);
        return;
    }
    if (!client->is_busy && !conn->send_armed)
        set_deadline(client, IDLE_MS);
    conn_recv(conn, false);
    next_command(client);
}

static void on_sent(struct control_client *client, int result) {
    if (result < 0) {
        conn_close(&client->conn);
    } else if (client->reply_waits) {
        send_output(client);
    } else if (!client->is_busy) {
        set_deadline(client, IDLE_MS);
        next_command(client);
    }
}

static void client_on_event(struct conn *conn, enum conn_event event, int result) {
    struct control_client *client = container_of(conn, struct control_client, conn);
    switch (event) {
    case CONN_RECEIVED:
        if (result > 0) {
            take_input(client, result);
        } else if (result == 0) {
            client->at_end = true;
            next_command(client);
        } else {
            conn_close(conn);
        }
        break;
    case CONN_SENT:
        on_sent(client, result);
        break;
    case CONN_CLOSED:
        client->has_left = true;
        if (!client->is_busy)
            release_client(client);
        break;
    case CONN_OPENED:
        on_opened(client, result);
        break;
    case CONN_SHUT:
        break;
    }
}

static void on_deadline(struct timer *timer) {
    struct control_client *client = container_of(timer, struct control_client, deadline);
    conn_close(&client->conn);
}

/* Of a client that has ended its stream while its command runs it is not known whether it awaits the answer (`echo … |
 * socat`) or is gone. A send of nothing tells: on a socket whose peer is closed it fails with EPIPE (unix(7)). */
void control_tick(struct control *control) {
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->is_used && client->is_busy && client->at_end && conn_is_open(&client->conn) &&
            !client->conn.send_armed)
            conn_send_nothing(&client->conn);
    }
    pending_serve(&control->pending);
}

/* --- accepting --- */

static struct control_client *free_client(struct control *control) {
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        if (!control->clients[i].is_used)
            return &control->clients[i];
    return NULL;
}

/* Of this process; of any when `peer` is NULL. */
static bool is_peer(const struct control_client *client, const struct ucred *peer) {
    return peer == NULL || (client->peer.pid == peer->pid && client->peer.uid == peer->uid);
}

/* `peer`: only those of its process; NULL: all. */
static unsigned count_clients(const struct control *control, const struct ucred *peer) {
    unsigned count = 0;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        const struct control_client *client = &control->clients[i];
        count += client->is_used && !client->conn.is_closing && is_peer(client, peer);
    }
    return count;
}

/* Closes the one that has been idle longest, other than `newest`. Returns false when all the others are at work. */
static bool make_room(struct control *control, const struct control_client *newest, const struct ucred *peer) {
    struct control_client *idlest = NULL;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (!client->is_used || client->is_busy || client->conn.is_closing || client == newest ||
            !is_peer(client, peer))
            continue;
        if (idlest == NULL || client->active < idlest->active)
            idlest = client;
    }
    if (idlest != NULL)
        conn_close(&idlest->conn);
    return idlest != NULL;
}

/* The descriptor is in the table. */
static void on_opened(struct control_client *client, int result) {
    char text[64];
    struct control *control = client->control;
    if (result < 0) {
        conn_close(&client->conn);
        return;
    }
    bool is_one_too_many = client->peer.pid != 0 && count_clients(control, &client->peer) > CLIENTS_PER_PEER;
    if (is_one_too_many && !make_room(control, client, &client->peer)) {
        client->at_end = true;
        client->is_busy = true;
        snprintf(text, sizeof text, "error: this process has %d commands under way", CLIENTS_PER_PEER);
        send_reply(client, text);
        return;
    }
    if (count_clients(control, NULL) == CLIENTS_MAX)
        make_room(control, client, NULL);
    conn_recv(&client->conn, true);
}

/* `accepted`: a slot of the ring's, or a descriptor. */
static void begin(struct control *control, struct control_client *client, int accepted) {
    socklen_t length = sizeof client->peer;
    memset(client, 0, sizeof *client);
    client->control = control;
    client->is_used = true;
    client->deadline.expire = on_deadline;
    set_deadline(client, IDLE_MS);
    conn_init(&client->conn, control->scope->io, client_on_event);
    if (control->is_direct) {
        conn_adopt_slot(&client->conn, accepted);
        on_opened(client, 0);
        return;
    }
    if (getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &client->peer, &length) < 0)
        memset(&client->peer, 0, sizeof client->peer);
    conn_adopt_fd(&client->conn, accepted);
}

static void on_retry(struct timer *timer) {
    accept_next(container_of(timer, struct control, retry));
}

static void on_accepted(struct op *op, int result, unsigned flags) {
    struct control *control = container_of(op, struct control, accept_op);
    struct io *io = control->scope->io;
    (void)flags;
    if (result == -ECONNABORTED) { /* who has left again already holds nobody up */
        accept_next(control);
        return;
    }
    if (result == -EMFILE && !control->is_direct) {
        if (!control->want_is_said)
            log_warning("control: accept: %s; going on by way of the ring's own table", strerror(-result));
        control->want_is_said = true;
        accept_one(control, true);
        return;
    }
    if (result < 0) {
        log_warning("control: accept: %s; trying again", strerror(-result));
        control->retry.expire = on_retry;
        timer_set(io_timers(io), &control->retry, io_now_ms(io) + RETRY_MS);
        return;
    }
    control->want_is_said &= control->is_direct;
    begin(control, free_client(control), result);
    accept_next(control);
}

static void accept_one(struct control *control, bool is_direct) {
    control->is_direct = is_direct;
    control->accept_op.complete = on_accepted;
    io_accept(control->scope->io, &control->accept_op, control->fd, is_direct, &control->peer, &control->peer_length);
}

/* A normal descriptor: SO_PEERCRED needs one. */
static void accept_next(struct control *control) {
    control->accept_waits = free_client(control) == NULL;
    if (!control->accept_waits)
        accept_one(control, false);
}

/* --- the socket --- */

static bool somebody_answers(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0)
        close(fd);
    return answers;
}

static int bind_socket(int fd, const struct sockaddr_un *address, unsigned mode, gid_t gid) {
    struct stat status;
    if (lstat(address->sun_path, &status) == 0) {
        if (!S_ISSOCK(status.st_mode))
            return -EEXIST;
        if (somebody_answers(address))
            return -EADDRINUSE;
        unlink(address->sun_path);
    }
    mode_t old_mask = umask(0777 & ~mode);
    int result = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
    umask(old_mask);
    if (result == 0 && gid != (gid_t)-1 && chown(address->sun_path, (uid_t)-1, gid) < 0)
        result = -errno;
    if (result == 0 && listen(fd, BACKLOG) < 0)
        result = -errno;
    return result;
}

int control_create(const char *path, unsigned mode, gid_t gid, struct control **ret_control, char *ret_error,
                   size_t error_size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct control *control = calloc(1, sizeof *control);
    int result = control == NULL ? -ENOMEM : 0;
    if (result == 0) {
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        snprintf(control->path, sizeof control->path, "%s", path);
        control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        result = control->fd < 0 ? -errno : bind_socket(control->fd, &address, mode, gid);
    }
    if (result < 0) {
        snprintf(ret_error, error_size, "[control] socket: %s: %s", path,
                 result == -EEXIST ? "exists and is not a socket" : strerror(-result));
        if (control != NULL) {
            control->path[0] = '\0'; /* another's */
            control_destroy(control);
        }
        return result;
    }
    *ret_control = control;
    return 0;
}

void control_start(struct control *control, const struct control_scope *scope) {
    control->scope = scope;
    accept_next(control);
}

void control_destroy(struct control *control) {
    if (control == NULL)
        return;
    pending_finish(&control->pending);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        free(control->clients[i].output);
    if (control->path[0] != '\0')
        unlink(control->path);
    if (control->fd >= 0)
        close(control->fd);
    free(control);
}
