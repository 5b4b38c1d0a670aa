/* junk: sessions that each break one rule of the gate, at a steady rate, whatever becomes of the earlier ones. Prints
 * one JSON object: how many heard what that rule says, and the first answer that was another. See junk.def. */
#include "lb/engine/conn.h"
#include "lb/engine/pool.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX   4
#define PATIENCE_MS 20000u
#define PACE_MS     2u
#define AT_ONCE     16000u

struct kind {
    const char *name;
    const char *expected;
    const char *steps[STEPS_MAX];
};

static const struct kind kinds[] = {
#define JUNK(name, expected, ...) {#name, expected, {__VA_ARGS__}},
#include "bench/junk.def"
#undef JUNK
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static struct {
    struct io *io;
    struct address target;
    struct cidr source;
    double rate;
    uint64_t sessions;
    struct timer pace;
    uint64_t start_ms, started, finished, late;
    struct pool talkers;
    uint64_t answered[KINDS], otherwise[KINDS], dropped[KINDS];
    char other[KINDS][100];
} junk;

struct talker {
    void *pool_link;
    struct conn conn;
    struct timer patience;
    const struct kind *kind;
    struct address source;
    unsigned step;
    unsigned line_length;
    bool is_done;
    char line[600];
};

static void finish(struct talker *talker) {
    talker->is_done = true;
    timer_cancel(&talker->patience);
    conn_close(&talker->conn);
}

static void judge(struct talker *talker) {
    size_t number = (size_t)(talker->kind - kinds);
    bool is_expected = strncmp(talker->line, talker->kind->expected, strlen(talker->kind->expected)) == 0;
    junk.answered[number] += is_expected;
    junk.otherwise[number] += !is_expected;
    if (!is_expected && junk.other[number][0] == '\0')
        snprintf(junk.other[number], sizeof junk.other[number], "%.*s", (int)strcspn(talker->line, "\r\n\""),
                 talker->line);
    finish(talker);
}

static void say_next(struct talker *talker) {
    const char *text = talker->kind->steps[talker->step++];
    conn_send(&talker->conn, text, strlen(text));
}

static bool has_said_all(const struct talker *talker) {
    return talker->step == STEPS_MAX || talker->kind->steps[talker->step] == NULL;
}

static void on_reply(struct talker *talker) {
    if (talker->line[0] >= '4' || has_said_all(talker))
        judge(talker);
    else if (!talker->conn.send_armed)
        say_next(talker);
}

static void on_octets(struct talker *talker, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length && !talker->is_done; i++) {
        if (talker->line_length < sizeof talker->line - 1)
            talker->line[talker->line_length++] = (char)data[i];
        if (data[i] != '\n')
            continue;
        talker->line[talker->line_length] = '\0';
        bool is_last = talker->line_length >= 4 && talker->line[3] != '-';
        talker->line_length = 0;
        if (is_last)
            on_reply(talker);
    }
}

static void on_event(struct conn *conn, enum conn_event event, int result) {
    struct talker *talker = container_of(conn, struct talker, conn);
    switch (event) {
    case CONN_OPENED:
        if (result < 0) {
            junk.dropped[talker->kind - kinds]++;
            finish(talker);
            return;
        }
        conn_recv(conn, false);
        if (talker->kind->steps[0][0] == '\0') {
            talker->step = 1;
            say_next(talker);
        }
        break;
    case CONN_RECEIVED:
        if (result <= 0) {
            junk.dropped[talker->kind - kinds]++;
            finish(talker);
            return;
        }
        on_octets(talker, io_buffer(conn->io, conn->received_buffer), (size_t)result);
        io_buffer_release(conn->io, conn->received_buffer);
        if (!talker->is_done)
            conn_recv(conn, false);
        break;
    case CONN_SENT:
    case CONN_SHUT:
        break;
    case CONN_CLOSED:
        pool_put(&junk.talkers, talker);
        junk.finished++;
        break;
    }
}

static void on_patience_over(struct timer *timer) {
    struct talker *talker = container_of(timer, struct talker, patience);
    junk.dropped[talker->kind - kinds]++;
    finish(talker);
}

static void start_one(void) {
    struct talker *talker = pool_get(&junk.talkers);
    if (talker == NULL) {
        junk.late++;
        return;
    }
    memset(talker, 0, offsetof(struct talker, line));
    talker->kind = &kinds[junk.started % KINDS];
    talker->source = junk.source.base;
    uint32_t hosts = (1u << (32 - junk.source.prefix_bits)) - 2;
    hosts -= hosts % KINDS; /* an address keeps to its kind: who talks early has never waited */
    talker->source.in4.sin_addr.s_addr =
        htonl(ntohl(junk.source.base.in4.sin_addr.s_addr) + 1 + (uint32_t)(junk.started % hosts));
    junk.started++;
    talker->patience.expire = on_patience_over;
    timer_set(io_timers(junk.io), &talker->patience, io_now_ms(junk.io) + PATIENCE_MS);
    conn_init(&talker->conn, junk.io, on_event);
    if (conn_connect(&talker->conn, &junk.target, &talker->source) < 0) {
        junk.dropped[talker->kind - kinds]++;
        finish(talker);
    }
}

static void on_pace(struct timer *timer) {
    uint64_t now = io_now_ms(junk.io);
    uint64_t due = (uint64_t)((double)(now - junk.start_ms) * junk.rate / 1000);
    while (junk.started + junk.late < due && junk.started + junk.late < junk.sessions)
        start_one();
    if (junk.started + junk.late < junk.sessions)
        timer_set(io_timers(junk.io), timer, now + PACE_MS);
}

static void print_result(void) {
    uint64_t answered = 0, otherwise = 0, dropped = 0;
    for (size_t i = 0; i < KINDS; i++) {
        answered += junk.answered[i];
        otherwise += junk.otherwise[i];
        dropped += junk.dropped[i];
    }
    printf("{\"sessions\":%llu,\"late\":%llu,\"answered\":%llu,\"otherwise\":%llu,\"dropped\":%llu,\"per_s\":%.0f,"
           "\"kinds\":{",
           (unsigned long long)junk.finished, (unsigned long long)junk.late, (unsigned long long)answered,
           (unsigned long long)otherwise, (unsigned long long)dropped,
           (double)junk.finished * 1000 / (double)(io_now_ms(junk.io) - junk.start_ms));
    for (size_t i = 0; i < KINDS; i++)
        printf("%s\"%s\":{\"answered\":%llu,\"otherwise\":%llu,\"dropped\":%llu,\"other\":\"%s\"}", i == 0 ? "" : ",",
               kinds[i].name, (unsigned long long)junk.answered[i], (unsigned long long)junk.otherwise[i],
               (unsigned long long)junk.dropped[i], junk.other[i]);
    puts("}}");
}

static int usage(void) {
    fputs("usage: junk --target ADDRESS:PORT --source ADDRESS/BITS [--rate PER_S] [--seconds N]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"target", required_argument, NULL, 't'},
                                            {"source", required_argument, NULL, 's'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 'n'},
                                            {0}};
    char error[300];
    double seconds = 10;
    int option;
    junk.rate = 2000;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 't' && address_parse(optarg, 0, &junk.target) == 0)
            continue;
        if (option == 's' && cidr_parse(optarg, &junk.source) == 0 && junk.source.prefix_bits <= 24)
            continue;
        if (option == 'r' && (junk.rate = strtod(optarg, NULL)) > 0)
            continue;
        if (option == 'n' && (seconds = strtod(optarg, NULL)) > 0)
            continue;
        return usage();
    }
    if (junk.target.sa.sa_family != AF_INET || junk.source.base.sa.sa_family != AF_INET)
        return usage();
    junk.sessions = (uint64_t)(junk.rate * seconds);
    struct io_options io_options = {.slots = AT_ONCE + 64, .buffers = 4096};
    if (io_create(&io_options, &junk.io, error, sizeof error) < 0 ||
        pool_init(&junk.talkers, sizeof(struct talker), AT_ONCE) < 0 || io_start(junk.io) < 0) {
        fprintf(stderr, "junk: %s\n", error);
        return 1;
    }
    junk.start_ms = io_now_ms(junk.io);
    junk.pace.expire = on_pace;
    timer_set(io_timers(junk.io), &junk.pace, junk.start_ms + PACE_MS);
    while (junk.finished + junk.late < junk.sessions) {
        io_wait(junk.io);
        io_dispatch(junk.io);
    }
    print_result();
    return 0;
}
