/* load: an SMTP client load with an honest clock. In the open loop (--rate) sessions start when they are due, whether
 * or not earlier ones have ended, and their time counts from when they were due; in the closed loop (--concurrency) a
 * new one starts when one ends. The result is one JSON object on stdout. See bench/README.md. */
#include "bench/load_client.h"
#include "bench/load_content.h"
#include "bench/load_report.h"
#include "bench/load_say.h"
#include "lb/base/hash.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- starting sessions --- */

static bool may_start(const struct load *load) {
    return load->result.started < load->options.sessions && load->clients.in_use < load->clients.capacity;
}

static void start_one(struct load *load, uint64_t scheduled_us) {
    client_start(load, (unsigned)load->result.started++, scheduled_us);
}

/* Starts all that are due, then waits for the next one: a timerfd is right to some microseconds, the ring's timers to
 * one millisecond, which would be the larger part of what is measured. */
static void keep_pace(struct load *load) {
    uint64_t now = load_now_us(), due;
    while (may_start(load) && (due = load->start_us + arrivals_due_us(&load->arrivals)) <= now) {
        start_one(load, due);
        arrivals_advance(&load->arrivals);
    }
    if (load->result.started == load->options.sessions)
        return;
    if (!may_start(load)) {
        timer_set(io_timers(load->io), &load->retry, io_now_ms(load->io) + 1);
        return;
    }
    due = load->start_us + arrivals_due_us(&load->arrivals);
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(due / 1000000), .tv_nsec = (long)(due % 1000000) * 1000}};
    timerfd_settime(load->pace_fd, TFD_TIMER_ABSTIME, &at, NULL);
    io_poll_fd(load->io, &load->pace, load->pace_fd, POLLIN);
}

static void on_pace(struct op *op, int result, unsigned flags) {
    (void)result;
    (void)flags;
    keep_pace(container_of(op, struct load, pace));
}

static void on_retry(struct timer *timer) {
    keep_pace(container_of(timer, struct load, retry));
}

static void on_client_end(struct load *load, struct client *client) {
    client->phase = PHASES; /* none */
    pool_put(&load->clients, client);
    load->result.finished++;
    if (load->options.rate <= 0 && may_start(load))
        start_one(load, load_now_us());
}

/* No more sessions are started; those that are there go on to their end, which for held ones has come. */
static void on_stop(struct op *op, int result, unsigned flags) {
    struct load *load = container_of(op, struct load, stop);
    (void)result;
    (void)flags;
    load->options.sessions = (unsigned)load->result.started;
    if (load->options.hold_ms > 0)
        load->options.hold_ms = 1; /* of those that have not come so far */
    for (unsigned i = 0; i < load->clients.touched; i++) {
        struct client *client = pool_at(&load->clients, i);
        if (client->phase == AT_IDLE)
            timer_set(io_timers(load->io), &client->timer, io_now_ms(load->io));
    }
}

/* For a load that goes on until something has happened. */
static int await_stop(struct load *load) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    load->stop.complete = on_stop;
    io_poll_fd(load->io, &load->stop, fd, POLLIN);
    return 0;
}

static void note_usage(struct load *load) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    load->result.cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    load->result.seconds = (double)(load_now_us() - load->start_us) / 1e6;
}

static void run(struct load *load) {
    load->start_us = load_now_us();
    if (load->options.rate > 0) {
        arrivals_init(&load->arrivals, load->options.rate, load->options.is_poisson, load->options.seed);
        load->pace.complete = on_pace;
        load->retry.expire = on_retry;
        keep_pace(load);
    } else {
        for (unsigned i = 0; i < load->options.concurrency && may_start(load); i++)
            start_one(load, load_now_us());
    }
    while (load->result.finished < load->options.sessions) {
        io_wait(load->io);
        io_dispatch(load->io);
    }
    note_usage(load);
    if (load->last_body != NULL)
        load->result.mail_hash = hash_octets(hash_octets(HASH_START, load->last_header, strlen(load->last_header)),
                                             load->last_body, load->last_body_octets);
}

/* --- options --- */

static void usage(void) {
    fputs("usage: load --target ADDRESS:PORT [OPTION]...\n"
          "  --sessions N             1\n"
          "  --concurrency N          so many at once, a new one when one ends (1); or\n"
          "  --rate PER_S             so many a second, whatever becomes of them\n"
          "  --arrivals even|poisson  of --rate (even)\n"
          "  --seed N                 of arrivals and sizes (1)\n"
          "  --mails N                a session (1)\n"
          "  --size SIZE              octets of a mail's body: N, uniform:N-N, lognormal:MEDIAN,SIGMA,\n"
          "                           table:N*WEIGHT,N*WEIGHT... (1000)\n"
          "  --pipelining             MAIL, RCPT and DATA at once\n"
          "  --starttls PERCENT       of sessions (0)\n"
          "  --source ADDRESS[/BITS]  addresses to connect from, in turn\n"
          "  --send-rate OCTETS_PER_S of slow clients' content\n"
          "  --slow PERCENT           of clients are slow (100, with --send-rate)\n"
          "  --think S                before each command (0)\n"
          "  --hold S                 idle sessions: EHLO, this time, QUIT\n"
          "  --early OCTETS           said before the greeting (0)\n"
          "  --patience S             until a silent session is given up (20)\n"
          "  --ids FILE               the ids of accepted mails, a line each\n"
          "SIGTERM: no more sessions are started, none is held any longer; the result when all have ended\n",
          stderr);
    exit(2);
}

static const struct option long_options[] = {
    {"target", required_argument, NULL, 't'},
    {"sessions", required_argument, NULL, 'n'},
    {"rate", required_argument, NULL, 'r'},
    {"arrivals", required_argument, NULL, 'a'},
    {"seed", required_argument, NULL, 'd'},
    {"concurrency", required_argument, NULL, 'c'},
    {"mails", required_argument, NULL, 'm'},
    {"size", required_argument, NULL, 'l'},
    {"pipelining", no_argument, NULL, 'P'},
    {"starttls", required_argument, NULL, 'T'},
    {"source", required_argument, NULL, 's'},
    {"patience", required_argument, NULL, 'p'},
    {"hold", required_argument, NULL, 'h'},
    {"think", required_argument, NULL, 'k'},
    {"early", required_argument, NULL, 'e'},
    {"send-rate", required_argument, NULL, 'w'},
    {"slow", required_argument, NULL, 'S'},
    {"ids", required_argument, NULL, 'i'},
    {0},
};

/* A whole number, or, with `scale`, one with a fraction, in units of 1/scale. */
static uint64_t number(double scale) {
    char *end;
    double value = strtod(optarg, &end);
    if (end == optarg || *end != '\0' || value < 0 || value > 1e12)
        usage();
    return (uint64_t)(value * scale);
}

static unsigned percent(void) {
    uint64_t value = number(1);
    if (value > 100)
        usage();
    return (unsigned)value;
}

static void take_words(struct load_options *options, int option) {
    bool is_good = true;
    switch (option) {
    case 't':
        is_good = address_parse(optarg, 25, &options->target) == 0;
        break;
    case 's':
        is_good = cidr_parse(optarg, &options->source) == 0;
        break;
    case 'l':
        is_good = sizes_parse(optarg, &options->sizes) == 0;
        break;
    case 'a':
        options->is_poisson = strcmp(optarg, "poisson") == 0;
        is_good = options->is_poisson || strcmp(optarg, "even") == 0;
        break;
    case 'r':
        options->rate = strtod(optarg, NULL);
        break;
    case 'P':
        options->has_pipelining = true;
        break;
    case 'i':
        options->ids = optarg;
        break;
    default:
        is_good = false;
    }
    if (!is_good)
        usage();
}

static void take_option(struct load_options *options, int option) {
    switch (option) {
    case 'n':
        options->sessions = (unsigned)number(1);
        break;
    case 'c':
        options->concurrency = (unsigned)number(1);
        break;
    case 'm':
        options->mails = (unsigned)number(1);
        break;
    case 'd':
        options->seed = number(1);
        break;
    case 'T':
        options->starttls_percent = percent();
        break;
    case 'S':
        options->slow_percent = percent();
        break;
    case 'p':
        options->patience_ms = number(1000);
        break;
    case 'h':
        options->hold_ms = number(1000);
        break;
    case 'k':
        options->think_ms = number(1000);
        break;
    case 'e':
        options->early_octets = (unsigned)number(1);
        break;
    case 'w':
        options->send_rate = number(1);
        break;
    default:
        take_words(options, option);
    }
}

/* --- start --- */

static void fail(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void init(struct load *load) {
    static char error[300];
    struct rlimit limit;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    unsigned clients = (unsigned)limit.rlim_cur - 64;
    struct io_options options = {.slots = (unsigned)limit.rlim_cur, .buffers = 4096};
    if (io_create(&options, &load->io, error, sizeof error) < 0)
        fail(error);
    if (pool_init(&load->clients, sizeof(struct client), clients) < 0 || !content_init(load))
        fail("out of memory");
    io_start(load->io);
    chance_init(&load->chance, load->options.seed);
    load->pace_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (load->pace_fd < 0)
        fail("timerfd_create");
    if (await_stop(load) < 0)
        fail("signalfd");
    load->tls = load->options.starttls_percent == 0 ? NULL : tls_context_create(false);
    if (load->options.starttls_percent > 0 && load->tls == NULL)
        fail("TLS is not to be had");
    load->ids = load->options.ids == NULL ? NULL : fopen(load->options.ids, "we");
    if (load->options.ids != NULL && load->ids == NULL)
        fail(strerror(errno));
}

int main(int argc, char **argv) {
    static struct load load = {
        .options = {.sessions = 1,
                    .concurrency = 1,
                    .mails = 1,
                    .seed = 1,
                    .sizes = {.least = 1000, .most = 1000},
                    .patience_ms = 20000,
                    .slow_percent = 100},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(&load.options, option);
    if (load.options.target.sa.sa_family == 0 || optind != argc || load.options.mails == 0)
        usage();
    load.on_client_end = on_client_end;
    init(&load);
    run(&load);
    if (load.ids != NULL)
        fclose(load.ids);
    load_report(stdout, &load.result);
    tls_context_destroy(load.tls);
    close(load.pace_fd);
    free(load.body);
    return 0;
}
