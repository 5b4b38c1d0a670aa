/* rude: sessions of rude, hostile and unlucky clients at a steady rate, whatever becomes of the earlier ones, each from
 * an address of its own as long as there are any. Prints one JSON object: how sessions of each kind (rude.def) ended.
 * Plain sockets on epoll, since the kinds are about what a ring does not do: a reset, a half-close, a reader that reads
 * nothing. */
#include "lb/base/address.h"
#include "lb/base/chance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STEPS_MAX   16
#define AT_ONCE     8000
#define PATIENCE_MS 40000u /* longer than any deadline of the server in bench/rude */
#define OCTET_MS    50u    /* between two of a client that says them one by one */
#define TICK_MS     5
#define EVENTS_MAX  256

/* How a session ended, by what the client knows of it. */
enum ending {
    OWN,      /* by itself, having done what it wanted */
    ANSWERED, /* the server closed behind a complete reply */
    UNSAID,   /* the server closed or reset without a word, or in the middle of one */
    HUNG,     /* nothing for the patience */
    UNBORN,   /* no connection */
    ENDINGS
};

static const char *const ending_names[ENDINGS] = {"own", "answered", "unsaid", "hung", "unborn"};

struct kind {
    const char *name;
    const char *steps[STEPS_MAX];
    uint64_t ended[ENDINGS];
};

static struct kind kinds[] = {
#define RUDE(name, ...) {#name, {__VA_ARGS__}, {0}},
#include "bench/rude.def"
#undef RUDE
};
#define KINDS (sizeof kinds / sizeof kinds[0])

struct client {
    int fd; /* -1: free */
    struct kind *kind;
    unsigned step;
    uint64_t due_ms;      /* of a wait or the next single octet; 0: none */
    uint64_t patience_ms; /* when it gives up */
    size_t said;          /* octets of this step */
    bool is_connected;
    bool is_deaf;
    bool is_writing;   /* the socket took no more */
    bool has_heard;    /* a complete reply, ever */
    bool is_mid_reply; /* an incomplete one */
    unsigned replies;  /* complete ones that no step has awaited yet */
    unsigned line_length;
    char line[4];
};

static struct {
    int epoll;
    struct address target;
    struct cidr source;
    double rate;
    uint64_t sessions, begun, finished, late;
    uint64_t start_ms, now_ms;
    struct chance chance;
    struct client clients[AT_ONCE];
} rude;

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void end(struct client *client, enum ending ending) {
    client->kind->ended[ending]++;
    rude.finished++;
    close(client->fd);
    client->fd = -1;
}

static void reset(struct client *client) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    end(client, OWN);
}

static void watch(struct client *client, bool is_writing) {
    client->is_writing = is_writing;
    struct epoll_event event = {.events = (client->is_deaf ? 0 : EPOLLIN | EPOLLRDHUP) | (is_writing ? EPOLLOUT : 0),
                                .data.ptr = client};
    epoll_ctl(rude.epoll, EPOLL_CTL_MOD, client->fd, &event);
}

/* The next part of a step's text: from `said` on. Returns how many octets, 0 when there are none. */
static size_t text_of(const struct client *client, const char *step, const char **ret_text) {
    if (step[0] != '*') {
        *ret_text = step + 1 + client->said;
        return strlen(step + 1) - client->said;
    }
    char *text;
    size_t times = strtoul(step + 1, &text, 10);
    size_t length = strlen(++text);
    if (client->said >= times * length)
        return 0;
    *ret_text = text + client->said % length;
    return length - client->said % length;
}

/* Returns true when the step is done. */
static bool say(struct client *client, const char *step) {
    const char *text;
    size_t length;
    bool is_slow = step[0] == '/';
    while ((length = text_of(client, step, &text)) > 0) {
        ssize_t sent = send(client->fd, text, is_slow ? 1 : length, MSG_NOSIGNAL);
        if (sent < 0) { /* gone, which reading tells of; a deaf client leaves it at that */
            if (errno == EAGAIN && !client->is_deaf)
                watch(client, true);
            return errno != EAGAIN || client->is_deaf;
        }
        client->said += (size_t)sent;
        if (is_slow) {
            client->due_ms = rude.now_ms + OCTET_MS;
            return false;
        }
    }
    return true;
}

/* Does what the current step says. Returns true when it is done, false when it has to wait or the client is gone. */
static bool do_step(struct client *client, const char *step) {
    switch (step[0]) {
    case '>':
    case '*':
    case '/':
        return say(client, step);
    case '<':
        return client->replies > 0 && client->replies-- > 0;
    case '.':
        if (client->said++ == 0) {
            client->due_ms = rude.now_ms + strtoul(step + 1, NULL, 10);
            return false;
        }
        return true;
    case '#':
        client->is_deaf = true;
        watch(client, false);
        return true;
    case '|':
        shutdown(client->fd, SHUT_WR);
        return true;
    case '!':
        reset(client);
        return false;
    default: /* $: the server's end */
        return false;
    }
}

static void go_on(struct client *client) {
    while (client->fd >= 0 && client->due_ms == 0) {
        const char *step = client->step < STEPS_MAX ? client->kind->steps[client->step] : NULL;
        if (step == NULL) {
            end(client, OWN);
            return;
        }
        if (!do_step(client, step))
            return;
        client->step++;
        client->said = 0;
    }
}

/* Replies by their last lines (RFC 5321 §4.2.1): three digits and no hyphen. */
static void take_octet(struct client *client, char octet) {
    client->is_mid_reply = true;
    if (octet != '\n') {
        if (client->line_length < sizeof client->line)
            client->line[client->line_length++] = octet;
        return;
    }
    bool is_last = client->line_length < 4 || client->line[3] != '-';
    client->line_length = 0;
    client->is_mid_reply = !is_last;
    client->replies += is_last;
    client->has_heard |= is_last;
}

static void on_readable(struct client *client) {
    char data[4096];
    ssize_t length = recv(client->fd, data, sizeof data, 0);
    if (length < 0 && errno == EAGAIN)
        return;
    for (ssize_t i = 0; i < length; i++)
        take_octet(client, data[i]);
    if (length <= 0)
        end(client, client->has_heard && !client->is_mid_reply ? ANSWERED : UNSAID);
    else
        go_on(client);
}

static void on_event(struct client *client, uint32_t events) {
    if (!client->is_connected) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error != 0) {
            end(client, UNBORN);
            return;
        }
        client->is_connected = true;
        watch(client, false);
        go_on(client);
        return;
    }
    if (client->is_writing && (events & EPOLLOUT) != 0) {
        watch(client, false);
        go_on(client);
    }
    if (client->fd < 0)
        return;
    if (client->is_deaf && (events & (EPOLLHUP | EPOLLERR)) != 0)
        end(client, OWN);
    else if (!client->is_deaf && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        on_readable(client);
}

static int open_socket(void) {
    int on = 1;
    struct address source = rude.source.base;
    uint32_t hosts = (1u << (32 - rude.source.prefix_bits)) - 2;
    source.in4.sin_addr.s_addr =
        htonl(ntohl(rude.source.base.in4.sin_addr.s_addr) + 1 + (uint32_t)(rude.begun % hosts));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, &source.sa, sizeof source.in4) == 0 &&
        (connect(fd, &rude.target.sa, sizeof rude.target.in4) == 0 || errno == EINPROGRESS))
        return fd;
    close(fd);
    return -1;
}

static void begin(struct client *client) {
    *client = (struct client){.kind = &kinds[chance_bits(&rude.chance) % KINDS], .fd = open_socket()};
    client->patience_ms = rude.now_ms + PATIENCE_MS;
    rude.begun++;
    if (client->fd < 0) {
        client->kind->ended[UNBORN]++;
        rude.finished++;
        return;
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    epoll_ctl(rude.epoll, EPOLL_CTL_ADD, client->fd, &event);
}

/* Those whose time has come, and as many new ones as are due. */
static void tick(void) {
    uint64_t due = (uint64_t)((double)(rude.now_ms - rude.start_ms) * rude.rate / 1000);
    if (due > rude.sessions)
        due = rude.sessions;
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct client *client = &rude.clients[i];
        if (client->fd < 0 && rude.begun + rude.late < due)
            begin(client);
        if (client->fd >= 0 && client->due_ms != 0 && rude.now_ms >= client->due_ms) {
            client->due_ms = 0;
            go_on(client);
        }
        if (client->fd >= 0 && rude.now_ms >= client->patience_ms)
            end(client, HUNG);
    }
    if (rude.begun + rude.late < due)
        rude.late = due - rude.begun;
}

static void print_result(void) {
    uint64_t all[ENDINGS] = {0};
    printf("{\"sessions\":%llu,\"late\":%llu,\"kinds\":{", (unsigned long long)rude.begun,
           (unsigned long long)rude.late);
    for (size_t i = 0; i < KINDS; i++) {
        printf("%s\"%s\":{", i == 0 ? "" : ",", kinds[i].name);
        for (unsigned j = 0; j < ENDINGS; j++) {
            printf("%s\"%s\":%llu", j == 0 ? "" : ",", ending_names[j], (unsigned long long)kinds[i].ended[j]);
            all[j] += kinds[i].ended[j];
        }
        putchar('}');
    }
    putchar('}');
    for (unsigned j = 0; j < ENDINGS; j++)
        printf(",\"%s\":%llu", ending_names[j], (unsigned long long)all[j]);
    puts("}");
}

static int usage(void) {
    fputs("usage: rude --target ADDRESS:PORT --source ADDRESS/BITS [--rate PER_S] [--seconds N] [--seed N]\n", stderr);
    return 2;
}

static void run(void) {
    struct epoll_event events[EVENTS_MAX];
    rude.start_ms = clock_ms();
    while (rude.finished + rude.late < rude.sessions) {
        int count = epoll_wait(rude.epoll, events, EVENTS_MAX, TICK_MS);
        rude.now_ms = clock_ms();
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (client->fd >= 0)
                on_event(client, events[i].events);
        }
        tick();
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"target", required_argument, NULL, 't'}, {"source", required_argument, NULL, 's'},
        {"rate", required_argument, NULL, 'r'},   {"seconds", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 'e'},   {0}};
    double seconds = 10;
    uint64_t seed = 1;
    int option;
    rude.rate = 200;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 't' && address_parse(optarg, 0, &rude.target) == 0)
            continue;
        if (option == 's' && cidr_parse(optarg, &rude.source) == 0 && rude.source.prefix_bits <= 24)
            continue;
        if (option == 'r' && (rude.rate = strtod(optarg, NULL)) > 0)
            continue;
        if (option == 'n' && (seconds = strtod(optarg, NULL)) > 0)
            continue;
        if (option == 'e' && (seed = strtoull(optarg, NULL, 10)) > 0)
            continue;
        return usage();
    }
    if (rude.target.sa.sa_family != AF_INET || rude.source.base.sa.sa_family != AF_INET)
        return usage();
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (size_t i = 0; i < AT_ONCE; i++)
        rude.clients[i].fd = -1;
    chance_init(&rude.chance, seed);
    rude.sessions = (uint64_t)(rude.rate * seconds);
    rude.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (rude.epoll < 0) {
        perror("rude: epoll");
        return 1;
    }
    run();
    print_result();
    return 0;
}
