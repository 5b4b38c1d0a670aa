/* sim: worlds of clients and backends around postern's own code, one for each seed (README.md).
 *
 *   sim [--from SEED] [--seeds N] [--sessions N] [--trace] [--verbose]
 *
 * A seed that fails is run again with its trace, whose end is printed; exit 1 when there is one. */
#include "tests/sim/run.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAILED_MAX 3u

static uint64_t running_seed;
static unsigned sessions = 200;

static void say_failed(void) {
    printf("seed %llu has failed\n\n", (unsigned long long)running_seed);
    fflush(stdout);
}

/* An assertion of postern's own: the trace is what tells how it came to it, so the seed is run again with it. */
static void on_abort(int signal) {
    (void)signal;
    if (sim_is_tracing) {
        sim_broken("aborted");
        say_failed();
        site_remove_files();
        _exit(1);
    }
    char seed[24], count[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)running_seed);
    snprintf(count, sizeof count, "%u", sessions);
    site_remove_files();
    execl("/proc/self/exe", "sim", "--from", seed, "--seeds", "1", "--sessions", count, "--trace", (char *)NULL);
    _exit(1);
}

static bool run(void) {
    if (world_run(running_seed, sessions))
        return true;
    if (!sim_is_tracing) {
        sim_is_tracing = true;
        if (world_run(running_seed, sessions))
            printf("BROKEN: but not with the trace on: the world is not the same in each run\n");
        sim_is_tracing = false;
    }
    say_failed();
    return false;
}

static int usage(void) {
    fputs("usage: sim [--from SEED] [--seeds N] [--sessions N] [--trace] [--verbose]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"from", required_argument, NULL, 'f'},     {"seeds", required_argument, NULL, 'n'},
        {"sessions", required_argument, NULL, 's'}, {"trace", no_argument, NULL, 't'},
        {"verbose", no_argument, NULL, 'v'},        {0}};
    uint64_t from = 1, seeds = 100, failed = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'f')
            from = strtoull(optarg, NULL, 10);
        else if (option == 'n')
            seeds = strtoull(optarg, NULL, 10);
        else if (option == 's')
            sessions = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't' || option == 'v')
            sim_is_tracing = true;
        else
            return usage();
        sim_is_verbose |= option == 'v';
    }
    if (optind != argc || sessions == 0)
        return usage();
    const struct sigaction action = {.sa_handler = on_abort, .sa_flags = SA_NODEFER}; /* exec keeps what is blocked */
    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    site_make_files();
    for (running_seed = from; running_seed < from + seeds && failed < FAILED_MAX; running_seed++)
        failed += !run();
    site_remove_files();
    printf("%llu seeds of %u sessions, %llu failed\n", (unsigned long long)seeds, sessions, (unsigned long long)failed);
    return failed > 0;
}
