/* sink: the SMTP backend of benches, tests and the demo. It accepts mail as fast as it can and throws it away, or fails
 * in one of the ways of faults.def. See bench/README.md. */
#include "bench/sink_control.h"
#include "bench/sink_listener.h"
#include "bench/sink_manners.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void usage(void) {
    fputs("usage: sink --listen ADDRESS:PORT [--name NAME] [--proxy none|v1|v2] [--fault NAME] [--control SOCKET]\n"
          "            [--ids FILE] [--greeting-delay MS] [--reply-delay MS]\n"
          "            [--read-rate OCTETS_PER_S] [--no-hash] [--starttls] [--manners postfix|exim|haraka]\n"
          "            [--offer KEYWORD]\n"
          "       sink --tell SOCKET COMMAND...  (stats, quit, fault NAME)\nfaults:\n",
          stderr);
#define FAULT(name, text) fprintf(stderr, "  %-18s %s\n", #name, text);
#include "bench/faults.def"
#undef FAULT
    exit(2);
}

static enum proxy_expected parse_proxy(const char *text) {
    if (strcmp(text, "v1") == 0)
        return EXPECT_V1;
    if (strcmp(text, "v2") == 0)
        return EXPECT_V2;
    if (strcmp(text, "none") != 0)
        usage();
    return EXPECT_NONE;
}

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},      {"name", required_argument, NULL, 'n'},
    {"proxy", required_argument, NULL, 'p'},       {"fault", required_argument, NULL, 'f'},
    {"control", required_argument, NULL, 'c'},     {"ids", required_argument, NULL, 'i'},
    {"read-rate", required_argument, NULL, 'r'},   {"greeting-delay", required_argument, NULL, 'g'},
    {"reply-delay", required_argument, NULL, 'd'}, {"no-hash", no_argument, NULL, 'H'},
    {"starttls", no_argument, NULL, 't'},          {"manners", required_argument, NULL, 'm'},
    {"offer", required_argument, NULL, 'o'},       {0},
};

static void parse_options(struct sink *sink, int argc, char **argv, enum fault *ret_fault, const char **ret_control) {
    int option;
    bool has_address = false;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'l':
            has_address = address_parse(optarg, 0, &sink->address) == 0;
            break;
        case 'n':
            sink->name = optarg;
            break;
        case 'p':
            sink->proxy = parse_proxy(optarg);
            break;
        case 'f':
            if (!fault_parse(optarg, ret_fault))
                usage();
            break;
        case 'c':
            *ret_control = optarg;
            break;
        case 'i':
            sink->ids = fopen(optarg, "ae");
            if (sink->ids != NULL) /* a sink may be killed: a mail that was accepted must stand there */
                setvbuf(sink->ids, NULL, _IOLBF, 0);
            break;
        case 'g':
            sink->greeting_delay_ms = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'd':
            sink->reply_delay_ms = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            sink->tls = tls_context_create(true);
            if (sink->tls == NULL) {
                fputs("sink: TLS is not to be had\n", stderr);
                exit(1);
            }
            break;
        case 'm':
            sink->manners = sink_manners_find(optarg);
            if (sink->manners == NULL)
                usage();
            break;
        case 'o':
            sink->offer = optarg;
            break;
        case 'H':
            sink->has_no_hash = true;
            break;
        case 'r':
            sink->read_rate = strtoull(optarg, NULL, 10);
            break;
        default:
            usage();
        }
    }
    if (!has_address || optind != argc)
        usage();
}

static int fail(const char *what, int error) {
    fprintf(stderr, "sink: %s: %s\n", what, strerror(-error));
    return 1;
}

int main(int argc, char **argv) {
    static struct sink sink = {.name = "sink.example.test"};
    enum fault fault = FAULT_none;
    const char *control = NULL;
    char text[ADDRESS_TEXT_MAX], error[300];
    struct rlimit limit;
    if (argc >= 4 && strcmp(argv[1], "--tell") == 0)
        return sink_tell(argv[2], argv + 3);
    parse_options(&sink, argc, argv, &fault, &control);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct io_options options = {.slots = (unsigned)limit.rlim_cur, .buffers = 4096};
    if (io_create(&options, &sink.io, error, sizeof error) < 0) {
        fprintf(stderr, "sink: %s\n", error);
        return 1;
    }
    io_start(sink.io);
    if (pool_init(&sink.sessions, sizeof(struct sink_session), (unsigned)limit.rlim_cur) < 0)
        return fail("sessions", -ENOMEM);
    int result = sink_listen(&sink);
    if (result < 0)
        return fail("listen", result);
    sink_set_fault(&sink, fault);
    result = control == NULL ? 0 : sink_control_start(&sink, control);
    if (result < 0)
        return fail(control, result);
    printf("listening %s\n", address_format(&sink.address, text));
    fflush(stdout);
    while (!sink.quits) {
        io_wait(sink.io);
        io_dispatch(sink.io);
    }
    if (sink.ids != NULL)
        fclose(sink.ids);
    tls_context_destroy(sink.tls);
    return 0;
}
