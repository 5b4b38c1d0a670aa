/* The sink's control socket: it sets faults and prints counts; and the other side of it, `sink --tell`. One client at a
 * time is enough for a test or a demo. Owns the socket. A socket that cannot be made is fatal at the start. */
#include "bench/sink_control.h"

#include "bench/sink_listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct sink *sink;
    int fd;
    struct op accept_op;
    struct address peer;
    socklen_t peer_length;
    struct conn conn;
    char reply[1024];
} control;

static void accept_next(void);

static void write_stats(char *out, size_t size) {
    const struct sink_stats *stats = &control.sink->stats;
    if (control.sink->ids != NULL)
        fflush(control.sink->ids);
    snprintf(out, size,
             "{\"name\":\"%s\",\"fault\":\"%s\",\"sessions\":%llu,\"current\":%llu,\"mails\":%llu,\"octets\":%llu,"
             "\"encrypted\":%llu,\"probes\":%llu,\"faults\":%llu,\"without_proxy\":%llu,\"last_octets\":%llu,\"last_"
             "hash\":\"%016llx\","
             "\"last_client\":\"%s\"}\n",
             control.sink->name, fault_name(control.sink->fault), (unsigned long long)stats->sessions,
             (unsigned long long)stats->current, (unsigned long long)stats->mails, (unsigned long long)stats->octets,
             (unsigned long long)stats->encrypted, (unsigned long long)stats->probes, (unsigned long long)stats->faults,
             (unsigned long long)stats->without_proxy, (unsigned long long)stats->last_octets,
             (unsigned long long)stats->last_hash, stats->last_client);
}

static void carry_out(char *line) {
    enum fault fault;
    line[strcspn(line, "\r\n")] = '\0';
    if (strcmp(line, "stats") == 0) {
        write_stats(control.reply, sizeof control.reply);
    } else if (strcmp(line, "quit") == 0) {
        control.sink->quits = true;
        snprintf(control.reply, sizeof control.reply, "ok\n");
    } else if (strncmp(line, "fault ", 6) == 0 && fault_parse(line + 6, &fault)) {
        sink_set_fault(control.sink, fault);
        snprintf(control.reply, sizeof control.reply, "ok\n");
    } else {
        snprintf(control.reply, sizeof control.reply, "error: allowed: stats, quit, fault NAME\n");
    }
}

static void control_on_event(struct conn *conn, enum conn_event event, int result) {
    char line[128];
    switch (event) {
    case CONN_RECEIVED:
        if (result <= 0) {
            conn_close(conn);
            return;
        }
        size_t length = (size_t)result < sizeof line ? (size_t)result : sizeof line - 1;
        memcpy(line, io_buffer(conn->io, conn->received_buffer), length);
        line[length] = '\0';
        io_buffer_release(conn->io, conn->received_buffer);
        carry_out(line);
        conn_send(conn, control.reply, strlen(control.reply));
        break;
    case CONN_SENT:
        if (result < 0)
            conn_close(conn);
        else
            conn_recv(conn, false);
        break;
    case CONN_CLOSED:
        accept_next();
        break;
    case CONN_OPENED:
    case CONN_SHUT:
        break;
    }
}

static void on_accepted(struct op *op, int result, unsigned flags) {
    (void)op;
    (void)flags;
    if (result < 0) {
        accept_next();
        return;
    }
    conn_init(&control.conn, control.sink->io, control_on_event);
    conn_adopt_slot(&control.conn, result);
    conn_recv(&control.conn, true);
}

static void accept_next(void) {
    control.accept_op.complete = on_accepted;
    io_accept(control.sink->io, &control.accept_op, control.fd, true, &control.peer, &control.peer_length);
}

int sink_control_start(struct sink *sink, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    control.sink = sink;
    control.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (control.fd < 0 || bind(control.fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(control.fd, 4) < 0)
        return -errno;
    accept_next();
    return 0;
}

int sink_tell(const char *path, char *const *words) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char reply[1024], command[200] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (; *words != NULL; words++)
        snprintf(command + strlen(command), sizeof command - strlen(command), "%s%c", *words, words[1] ? ' ' : '\n');
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        write(fd, command, strlen(command)) < 0) {
        fprintf(stderr, "sink: %s: %s\n", path, strerror(errno));
        return 1;
    }
    ssize_t length = read(fd, reply, sizeof reply);
    close(fd);
    if (length <= 0)
        return 1;
    fwrite(reply, 1, (size_t)length, stdout);
    return strncmp(reply, "error:", 6) == 0;
}
