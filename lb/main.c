/* The start of postern. Everything that can fail is done here or called from here, in order, before the first client is
 * served: configuration, the files that it names, user, listening sockets, rings, control socket, the feeds' listener.
 * Then rights are given up (lb/privileges), the log and the workers begin, and the manager runs until it is told to
 * stop.
 *
 * Owns struct start with all that is made before the manager runs. Each failure is fatal, with one message on stderr
 * and exit status 1. `postern -T` ends when the files and the user have been checked. */
#include "conf/finish.h"
#include "conf/load.h"
#include "conf/print.h"
#include "lb/control/control.h"
#include "lb/engine/log.h"
#include "lb/feedback/feedback.h"
#include "lb/manager/manager.h"
#include "lb/manager/signals.h"
#include "lb/privileges/identity.h"
#include "lb/privileges/needs.h"
#include "lb/reputation/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/postern/postern.ini"

static void usage(FILE *out) {
    fputs("usage: postern [-c FILE] [-T] [-V] [-h]\n"
          "  -c FILE  configuration (default " DEFAULT_CONFIG ")\n"
          "  -T       check it, print what is in effect, exit 0 or 1\n"
          "  -V       version\n"
          "See postern(8), postern.ini(5), posternctl(1).\n",
          out);
}

struct start {
    struct config *config;
    struct access *access;           /* the manager's, once it has been made */
    struct gate_tables *gate_tables; /* likewise */
    char *alarms;                    /* about the gate's files, for the log; a line each */
    struct manager manager;
    struct listener_socket sockets[LISTENERS_MAX];
    unsigned sockets_count;
    struct identity identity;
};

static int fail(const char *message) {
    fprintf(stderr, "postern: %s\n", message);
    return -EINVAL;
}

/* --- the steps --- */

static uint64_t raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/* Made for the user that it will belong to. That it can't be is no reason not to serve: the keeper says so. */
static void make_state_dir(const struct start *start) {
    const char *path = start->config->global.state_dir;
    if (path[0] != '\0' && mkdir(path, 0700) == 0 && start->identity.mode == IDENTITY_CHANGES &&
        chown(path, start->identity.uid, start->identity.gid) < 0)
        fprintf(stderr, "postern: %s: %s\n", path, strerror(errno));
}

static unsigned count_workers(const struct config *config) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned workers = config->global.workers != 0 ? config->global.workers : cpus > 0 ? (unsigned)cpus : 1;
    return workers < WORKERS_MAX ? workers : WORKERS_MAX;
}

static int bind_one(struct start *start, const struct config_listen *listen, const struct address *address) {
    char text[ADDRESS_TEXT_MAX];
    struct listener_socket *socket = &start->sockets[start->sockets_count];
    if (start->sockets_count == LISTENERS_MAX) {
        fprintf(stderr, "postern: [listen %s] address: more than %u addresses in all\n", listen->name, LISTENERS_MAX);
        return -E2BIG;
    }
    *socket = (struct listener_socket){.config = listen, .address = *address, .fd = listener_bind(address)};
    if (socket->fd < 0) {
        fprintf(stderr, "postern: %s:%u: [listen %s] address: %s: %s\n", start->config->path, listen->line,
                listen->name, address_format(address, text), strerror(-socket->fd));
        return socket->fd;
    }
    socklen_t length = sizeof socket->address;
    getsockname(socket->fd, &socket->address.sa, &length); /* port 0 has become a real one */
    start->sockets_count++;
    return 0;
}

static int bind_first(struct start *start) {
    for (size_t i = 0; i < start->config->listens_count; i++) {
        const struct config_listen *listen = &start->config->listens[i];
        for (size_t a = 0; a < listen->addresses.count; a++)
            if (bind_one(start, listen, &listen->addresses.items[a]) < 0)
                return -EINVAL;
    }
    return 0;
}

/* Each worker has sockets of its own on the same addresses (SO_REUSEPORT); the first worker gets those that exist. */
static int create_worker(struct start *start, unsigned index) {
    char error[400];
    struct workers_shared *shared = &start->manager.workers.shared;
    for (unsigned i = 0; index > 0 && i < start->sockets_count; i++) {
        start->sockets[i].fd = listener_bind(&start->sockets[i].address);
        if (start->sockets[i].fd < 0)
            return fail("another worker's listening socket could not be bound");
    }
    if (worker_create(shared, index, start->sockets, start->sockets_count, &shared->workers[index], error,
                      sizeof error) < 0)
        return fail(error);
    return 0;
}

/* Mistakes go to stderr. What is no mistake, a file that is not there, is kept for the log. */
static int load_gate_tables(struct start *start) {
    size_t length;
    FILE *errors = open_memstream(&start->alarms, &length);
    if (errors == NULL)
        return fail("out of memory");
    int result = gate_tables_load(&start->config->gate, NULL, errors, &start->gate_tables);
    fclose(errors);
    if (result < 0)
        fputs(start->alarms, stderr);
    return result;
}

static void log_gate(const struct start *start) {
    const struct config *config = start->config;
    char *rest = start->alarms, *line;
    const char *name;
    bool is_used = config_uses_gate(config);
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0')
            log_warning("%s", line);
    for (unsigned i = 0; is_used && (name = gate_tables_off_name(start->manager.files.gate_tables, i)) != NULL; i++)
        log_info("[gate] %s is empty: this rule is off", name);
}

static int prepare(struct start *start) {
    char error[400];
    struct manager *manager = &start->manager;
    const struct config *config = start->config;
    unsigned workers = count_workers(config);
    uint64_t descriptors = raise_descriptors();
    uint32_t sessions_max;
    if (sessions_max_compute(config->global.sessions_max, workers, descriptors, &sessions_max, error, sizeof error) < 0)
        return fail(error);
    /* The user is looked up, and what it may do, before anything is bound: no mistake leaves half a start behind. */
    if (access_load(&config->reputation, stderr, &start->access) < 0 || load_gate_tables(start) < 0 ||
        identity_find(&config->global, stderr, &start->identity) < 0 ||
        needs_check(&start->identity, config, stderr) < 0 || bind_first(start) < 0)
        return -EINVAL;
    if (manager_init(manager, config, workers, error, sizeof error) < 0)
        return fail(error);
    manager->workers.shared.sessions_max = sessions_max;
    files_set_access(&manager->files, start->access);
    start->access = NULL;
    files_set_gate_tables(&manager->files, start->gate_tables);
    start->gate_tables = NULL;
    for (unsigned i = 0; i < workers; i++)
        if (create_worker(start, i) < 0)
            return -EINVAL;
    if (control_create(config->control.socket, config->control.mode,
                       start->identity.mode == IDENTITY_CHANGES ? start->identity.gid : (gid_t)-1, &manager->control,
                       error, sizeof error) < 0)
        return fail(error);
    if (config->feedback.listen.count > 0 && config->reputation.enabled &&
        feedback_create(&config->feedback, &manager->feedback, error, sizeof error) < 0)
        return fail(error);
    make_state_dir(start);
    return identity_take(&start->identity, stderr);
}

static int run(struct start *start) {
    const struct config *config = start->config;
    char error[400];
    int result = log_start(config->global.log, config->global.log_level);
    if (result < 0) {
        fprintf(stderr, "postern: [global] log = %s: %s\n", config->global.log, strerror(-result));
        return result;
    }
    log_join();
    if (start->identity.mode == IDENTITY_STAYS_ROOT)
        log_warning("[global] user is empty: postern stays root, and keeps all its capabilities");
    log_gate(start);
    result = manager_start(&start->manager, error, sizeof error);
    if (result == 0) {
        manager_run(&start->manager);
        log_info("postern has stopped");
    }
    log_finish();
    return result < 0 ? fail(error) : 0;
}

static int serve(const char *path) {
    struct start *start = calloc(1, sizeof *start);
    if (start == NULL)
        return fail("out of memory");
    signals_prepare();
    int result = config_load(path, stderr, &start->config);
    if (result == 0) {
        signals_hold_stop();
        result = prepare(start);
        if (result == 0)
            result = run(start);
        for (unsigned i = 0; i < start->manager.workers.shared.workers_count; i++)
            worker_destroy(start->manager.workers.shared.workers[i]);
        manager_finish(&start->manager);
    }
    access_free(start->access);
    gate_tables_free(start->gate_tables);
    free(start->alarms);
    config_free(start->config);
    free(start);
    return result;
}

/* Only root can look as another user. That it is not on this host is no mistake of a file that is for another one. */
static int check_user(const struct config *config) {
    struct identity identity;
    if (geteuid() != 0)
        return 0;
    int result = identity_find(&config->global, stderr, &identity);
    if (result == -ENOENT)
        fputs("postern: so a start is refused here; what it may read and write is not checked\n", stderr);
    if (result < 0)
        return result == -ENOENT ? 0 : result;
    return needs_check(&identity, config, stderr);
}

static int check(const char *path) {
    struct start start = {.config = NULL};
    if (config_load(path, stderr, &start.config) < 0)
        return 1;
    struct feedback_key key;
    int result = access_load(&start.config->reputation, stderr, &start.access);
    int loaded = gate_tables_load(&start.config->gate, NULL, stderr, &start.gate_tables);
    int read =
        start.config->feedback.listen.count > 0 ? feedback_key_read(start.config->feedback.key_file, stderr, &key) : 0;
    if (result == 0)
        result = loaded < 0 ? loaded : read;
    int user = check_user(start.config);
    if (result == 0)
        result = user;
    if (result == 0)
        config_print(start.config, stdout);
    access_free(start.access);
    gate_tables_free(start.gate_tables);
    config_free(start.config);
    return result < 0 ? 1 : 0;
}

/* What the keeper runs as a process of its own, see lb/reputation/store.h. Exit 1: to be set aside; 2: not known. */
static int check_store(int argc, char **argv) {
    int result = argc == 4 ? store_check(argv[2], (unsigned)strtoul(argv[3], NULL, 10)) : -EINVAL;
    return result == 0 ? 0 : result == -EBADMSG ? 1 : 2;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--check-store") == 0)
        return check_store(argc, argv);
    const char *path = DEFAULT_CONFIG;
    bool only_checks = false;
    int option;
    while ((option = getopt(argc, argv, "c:TVh")) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'T':
            only_checks = true;
            break;
        case 'V':
            puts("postern " POSTERN_VERSION);
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 1;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return 1;
    }
    if (only_checks)
        return check(path);
    return serve(path) < 0 ? 1 : 0;
}
