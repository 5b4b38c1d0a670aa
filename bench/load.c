/* load: an SMTP client load with an honest clock. In the open loop (--rate) sessions start when they are due, whether
 * or not earlier ones have ended, and their time counts from when they were due; in the closed loop (--concurrency) a
 * new one starts when one ends. The result is one JSON object on stdout. See bench/README.md. */
#include "bench/load.h"
#include "bench/hash.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char *const outcome_names[] = {"accepted", "tempfailed", "refused", "dropped", "timed_out"};
static const char *const phase_names[] = {"connect", "greeting", "ehlo",    "idle", "mail",
                                          "rcpt",    "data",     "content", "dot",  "quit"};

uint64_t load_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- starting sessions --- */

static bool may_start(const struct load *load) {
    return load->result.started < load->options.sessions && load->clients.in_use < load->clients.capacity;
}

static void start_one(struct load *load, uint64_t scheduled_us) {
    client_start(load, (unsigned)load->result.started++, scheduled_us);
}

static uint64_t due_us(const struct load *load, uint64_t number) {
    return load->start_us + (uint64_t)((double)number * 1e6 / load->options.rate);
}

static void on_pace(struct timer *timer) {
    struct load *load = container_of(timer, struct load, pace);
    uint64_t now = load_now_us();
    while (may_start(load) && due_us(load, load->result.started) <= now)
        start_one(load, due_us(load, load->result.started));
    if (load->result.started < load->options.sessions)
        timer_set(io_timers(load->io), timer, io_now_ms(load->io) + 1);
}

void load_on_client_end(struct load *load, struct client *client) {
    pool_put(&load->clients, client);
    load->result.finished++;
    if (load->options.rate <= 0 && may_start(load))
        start_one(load, load_now_us());
}

static void run(struct load *load) {
    load->start_us = load_now_us();
    if (load->options.rate > 0) {
        load->pace.expire = on_pace;
        timer_set(io_timers(load->io), &load->pace, io_now_ms(load->io));
    } else {
        for (unsigned i = 0; i < load->options.concurrency && may_start(load); i++)
            start_one(load, load_now_us());
    }
    while (load->result.finished < load->options.sessions) {
        io_wait(load->io);
        io_dispatch(load->io);
    }
}

/* --- the result --- */

static void print_histogram(const char *name, const struct histogram *histogram) {
    printf("\"%s_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f},", name,
           (double)histogram_quantile(histogram, 0.5) / 1000, (double)histogram_quantile(histogram, 0.9) / 1000,
           (double)histogram_quantile(histogram, 0.99) / 1000, (double)histogram_quantile(histogram, 0.999) / 1000,
           (double)histogram->max / 1000);
}

static void print_phases(const struct load_result *result, enum outcome outcome) {
    printf("\"%s_at\":{", outcome_names[outcome]);
    bool is_first = true;
    for (unsigned phase = 0; phase < PHASES; phase++) {
        if (result->by_phase[outcome][phase] == 0)
            continue;
        printf("%s\"%s\":%llu", is_first ? "" : ",", phase_names[phase],
               (unsigned long long)result->by_phase[outcome][phase]);
        is_first = false;
    }
    printf("},");
}

static uint64_t hash_of_last_mail(const struct load *load) {
    const char *header = load->result.last_header;
    if (load->result.content_octets == 0)
        return 0;
    return hash_octets(hash_octets(HASH_START, header, strlen(header)), load->body, load->body_octets - 3);
}

static void print_result(const struct load *load) {
    const struct load_result *result = &load->result;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    double seconds = (double)(load_now_us() - load->start_us) / 1e6;
    printf("{\"sessions\":%llu,", (unsigned long long)result->finished);
    for (unsigned outcome = 0; outcome < OUTCOMES; outcome++)
        printf("\"%s\":%llu,", outcome_names[outcome], (unsigned long long)result->by_outcome[outcome]);
    for (unsigned outcome = TEMPFAILED; outcome < OUTCOMES; outcome++)
        print_phases(result, (enum outcome)outcome);
    print_histogram("greeting", &result->greeting);
    print_histogram("session", &result->session);
    printf("\"mails\":%llu,\"mail_octets\":%llu,\"last_hash\":\"%016llx\",\"last_reply\":\"%s\",\"seconds\":%.3f,"
           "\"sessions_per_s\":%.1f,\"cpu_us_per_session\":%.1f}\n",
           (unsigned long long)result->mails, (unsigned long long)result->content_octets,
           (unsigned long long)hash_of_last_mail(load), result->last_reply, seconds, (double)result->finished / seconds,
           cpu_us / (double)result->finished);
}

/* --- options --- */

static void usage(void) {
    fputs(
        "usage: load --target ADDRESS:PORT [--sessions N] [--rate PER_S | --concurrency N] [--mails N] [--size "
        "OCTETS]\n"
        "            [--source ADDRESS[/BITS]] [--patience S] [--hold S] [--early OCTETS] [--send-rate OCTETS_PER_S]\n"
        "            [--ids FILE]\n",
        stderr);
    exit(2);
}

static const struct option long_options[] = {
    {"target", required_argument, NULL, 't'},
    {"sessions", required_argument, NULL, 'n'},
    {"rate", required_argument, NULL, 'r'},
    {"concurrency", required_argument, NULL, 'c'},
    {"mails", required_argument, NULL, 'm'},
    {"size", required_argument, NULL, 'l'},
    {"source", required_argument, NULL, 's'},
    {"patience", required_argument, NULL, 'p'},
    {"hold", required_argument, NULL, 'h'},
    {"early", required_argument, NULL, 'e'},
    {"send-rate", required_argument, NULL, 'w'},
    {"ids", required_argument, NULL, 'i'},
    {0},
};

static void take_option(struct load_options *options, int option) {
    switch (option) {
    case 't':
        if (address_parse(optarg, 25, &options->target) < 0)
            usage();
        break;
    case 'n':
        options->sessions = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'r':
        options->rate = strtod(optarg, NULL);
        break;
    case 'c':
        options->concurrency = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'm':
        options->mails = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'l':
        options->size = strtoul(optarg, NULL, 10);
        break;
    case 's':
        if (cidr_parse(optarg, &options->source) < 0)
            usage();
        break;
    case 'p':
        options->patience_ms = (uint64_t)(strtod(optarg, NULL) * 1000);
        break;
    case 'h':
        options->hold_ms = (uint64_t)(strtod(optarg, NULL) * 1000);
        break;
    case 'e':
        options->early_octets = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'w':
        options->send_rate = strtoull(optarg, NULL, 10);
        break;
    case 'i':
        options->ids = optarg;
        break;
    default:
        usage();
    }
}

/* Lines of 72 octets with no leading dot, then the final dot, which is not part of the content. */
static void make_body(struct load *load) {
    size_t size = load->options.size < 2 ? 2 : load->options.size;
    load->body = malloc(size + 3);
    if (load->body == NULL)
        exit(1);
    for (size_t i = 0; i < size; i++)
        load->body[i] = (char)(i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'a' + (char)((i / 72 + i) % 26));
    /* The last line ends at `size`, wherever that falls. */
    if (size >= 3 && load->body[size - 3] == '\r')
        load->body[size - 3] = 'z';
    memcpy(load->body + size - 2, "\r\n", 2);
    memcpy(load->body + size, ".\r\n", 3);
    load->body_octets = size + 3;
}

int main(int argc, char **argv) {
    static struct load load = {
        .options = {.sessions = 1, .concurrency = 1, .mails = 1, .size = 1000, .patience_ms = 20000},
    };
    char error[300];
    struct rlimit limit;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(&load.options, option);
    if (load.options.target.sa.sa_family == 0 || optind != argc || load.options.mails == 0)
        usage();
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    unsigned clients = (unsigned)limit.rlim_cur - 64;
    struct io_options options = {.slots = (unsigned)limit.rlim_cur, .buffers = 4096};
    if (io_create(&options, &load.io, error, sizeof error) < 0 ||
        pool_init(&load.clients, sizeof(struct client), clients) < 0) {
        fprintf(stderr, "load: %s\n", error);
        return 1;
    }
    io_start(load.io);
    make_body(&load);
    if (load.options.ids != NULL)
        load.ids = fopen(load.options.ids, "we");
    run(&load);
    if (load.ids != NULL)
        fclose(load.ids);
    print_result(&load);
    free(load.body);
    return 0;
}
