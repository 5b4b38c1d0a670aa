/* The scene of a test: its folder, its ports, its child processes, and questions about them. scene_end() stops them
 * all. A step that fails fails the test. */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void pause_ms(unsigned ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

uint64_t test_seed(const char *suite) {
    const char *given = getenv("POSTERN_SOAK_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : now_ms();
    fprintf(stderr, "%s: POSTERN_SOAK_SEED=%llu\n", suite, (unsigned long long)seed);
    return seed;
}

void scene_begin(struct scene *scene, bool measured) {
    memset(scene, 0, sizeof *scene);
    snprintf(scene->dir, sizeof scene->dir, "/tmp/postern-test-XXXXXX");
    cr_assert_not_null(mkdtemp(scene->dir));
    scene->build = measured ? "build" : "build/san";
    scene->port = free_port();
}

/* Ports below the range from which the kernel takes those of outgoing connections (32768, ip(7)), each given once in a
 * long time, over all tests that run side by side: the next one stands in a file. */
#define PORT_FILE  "/tmp/postern-test-ports"
#define PORT_FIRST 12000u
#define PORT_LAST  31999u

static bool is_free(unsigned port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is;
}

unsigned free_port(void) {
    unsigned port = 0;
    int fd = open(PORT_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0, PORT_FILE);
    if (pread(fd, &port, sizeof port, 0) != (ssize_t)sizeof port)
        port = 0;
    do
        port = port < PORT_FIRST || port >= PORT_LAST ? PORT_FIRST : port + 1;
    while (!is_free(port));
    cr_assert_eq(pwrite(fd, &port, sizeof port, 0), (ssize_t)sizeof port);
    close(fd);
    return port;
}

/* --- children --- */

pid_t spawn(struct scene *scene, const char *log, const char *const *argv) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", scene->dir, log);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    cr_assert(scene->children_count < 64);
    scene->children[scene->children_count++] = pid;
    return pid;
}

static void forget_child(struct scene *scene, pid_t pid) {
    for (unsigned i = 0; i < scene->children_count; i++)
        if (scene->children[i] == pid)
            scene->children[i] = 0;
}

static void reap(struct scene *scene, pid_t pid) {
    waitpid(pid, NULL, 0);
    forget_child(scene, pid);
}

int await_child(struct scene *scene, pid_t pid, unsigned ms) {
    int status = 0;
    uint64_t until = now_ms() + ms;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        cr_assert(now_ms() < until, "process %d has not ended", (int)pid);
        pause_ms(5);
    }
    forget_child(scene, pid);
    return status;
}

void kill_child(struct scene *scene, pid_t pid, int signal) {
    kill(pid, signal);
    if (signal == SIGKILL || signal == SIGTERM)
        reap(scene, pid);
}

static void check_log(struct scene *scene) {
    cr_assert(!log_has(scene, "AddressSanitizer") && !log_has(scene, "LeakSanitizer") &&
                  !log_has(scene, "runtime error"),
              "a sanitizer has spoken: see %s/postern.log", scene->dir);
}

void scene_stop(struct scene *scene) {
    kill(scene->postern, SIGTERM);
    int status = await_child(scene, scene->postern, 10000);
    scene->postern = 0;
    check_log(scene);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "postern ended with status %x, see %s/postern.log",
              (unsigned)status, scene->dir);
}

void scene_end(struct scene *scene) {
    if (scene->postern != 0)
        scene_stop(scene);
    for (unsigned i = 0; i < scene->children_count; i++)
        if (scene->children[i] != 0)
            kill_child(scene, scene->children[i], SIGKILL);
    free(shell(NULL, "rm -rf %s", scene->dir));
}

/* --- text --- */

static char *read_file(const char *path) {
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    if (file == NULL)
        return strdup("");
    if (getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return text;
}

bool file_has(struct scene *scene, const char *file, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", scene->dir, file);
    char *content = read_file(path);
    bool has = strstr(content, text) != NULL;
    free(content);
    return has;
}

bool log_has(struct scene *scene, const char *text) {
    return file_has(scene, "postern.log", text);
}

unsigned log_count(struct scene *scene, const char *pattern) {
    char *count = shell(NULL, "grep -ac -e '%s' %s/postern.log", pattern, scene->dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}

/* Each thread has its own ring of lines, and all are written in turn: what came before the signal is there when the
 * signal's line is, or when the next one's is. */
bool log_has_by_now(struct scene *scene, const char *text) {
    for (unsigned i = 0; i < 2; i++) {
        unsigned before = log_count(scene, "SIGUSR2: ignored");
        kill(scene->postern, SIGUSR2);
        WAIT_FOR(log_count(scene, "SIGUSR2: ignored") > before, 5000);
    }
    return log_has(scene, text);
}

static char *shell_v(int *ret_status, const char *format, va_list arguments) {
    char *command;
    cr_assert(vasprintf(&command, format, arguments) >= 0);
    FILE *pipe = popen(command, "re");
    char *text = NULL;
    size_t room = 0;
    cr_assert_not_null(pipe);
    if (getdelim(&text, &room, '\0', pipe) < 0) {
        free(text);
        text = strdup("");
    }
    int status = pclose(pipe);
    if (ret_status != NULL)
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    free(command);
    return text;
}

char *shell(int *ret_status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = shell_v(ret_status, format, arguments);
    va_end(arguments);
    return text;
}

json_int_t figure(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    cr_assert(json_is_integer(value), "no figure %s", key);
    return json_integer_value(value);
}

/* --- sinks --- */

void sink_begin(struct scene *scene, struct test_sink *sink, const char *name, const char *options) {
    sink_begin_at(scene, sink, name, "127.0.0.1", free_port(), options);
}

void sink_begin_at(struct scene *scene, struct test_sink *sink, const char *name, const char *host, unsigned port,
                   const char *options) {
    char command[512], log[64];
    sink->scene = scene;
    snprintf(sink->name, sizeof sink->name, "%s", name);
    sink->port = port;
    snprintf(log, sizeof log, "%s.log", name);
    snprintf(command, sizeof command, "exec %s/bench/sink --listen %s:%u --name %s --control %s/%s.sock %s",
             scene->build, host, sink->port, name, scene->dir, name, options);
    sink->pid = spawn(scene, log, (const char *const[]){"sh", "-c", command, NULL});
    WAIT_FOR(file_has(scene, log, "listening"), 5000);
}

static char *sink_tell(const struct test_sink *sink, const char *command) {
    int status;
    char *answer = shell(&status, "%s/bench/sink --tell %s/%s.sock '%s'", sink->scene->build, sink->scene->dir,
                         sink->name, command);
    cr_assert(status == 0, "sink %s: %s", sink->name, answer);
    return answer;
}

void sink_fault(const struct test_sink *sink, const char *fault) {
    char command[64];
    snprintf(command, sizeof command, "fault %s", fault);
    free(sink_tell(sink, command));
}

/* It may be gone before it has answered. */
void sink_quit(const struct test_sink *sink) {
    free(shell(NULL, "%s/bench/sink --tell %s/%s.sock quit", sink->scene->build, sink->scene->dir, sink->name));
    cr_assert_eq(await_child(sink->scene, sink->pid, 5000), 0, "sink %s has failed", sink->name);
}

static json_t *sink_stats(const struct test_sink *sink) {
    char *answer = sink_tell(sink, "stats");
    json_t *stats = json_loads(answer, 0, NULL);
    cr_assert_not_null(stats);
    free(answer);
    return stats;
}

json_int_t sink_figure(const struct test_sink *sink, const char *key) {
    json_t *stats = sink_stats(sink);
    json_int_t value = figure(stats, key);
    json_decref(stats);
    return value;
}

char *sink_text(const struct test_sink *sink, const char *key) {
    json_t *stats = sink_stats(sink);
    char *text = strdup(json_string_value(json_object_get(stats, key)));
    json_decref(stats);
    return text;
}

/* --- postern --- */

char *ctl(struct scene *scene, int *ret_status, const char *format, ...) {
    char words[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return shell(ret_status, "%s/posternctl -s %s/control.sock %s 2>&1", scene->build, scene->dir, words);
}

json_t *ctl_json(struct scene *scene, const char *format, ...) {
    char words[600];
    int status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    char *answer = ctl(scene, &status, "%s json", words);
    json_t *value = json_loads(answer, 0, NULL);
    cr_assert(status == 0 && value != NULL, "posternctl %s json: %s", words, answer);
    free(answer);
    return value;
}

json_int_t info_figure(struct scene *scene, const char *key) {
    json_t *info = ctl_json(scene, "show info");
    json_int_t value = figure(info, key);
    json_decref(info);
    return value;
}

char *row_value(struct scene *scene, const char *table, const char *name, const char *key) {
    json_t *rows = ctl_json(scene, "show %s", table), *row;
    size_t index;
    char *text = NULL;
    json_array_foreach(rows, index, row) {
        const json_t *value = json_object_get(row, key);
        if (strcmp(json_string_value(json_object_get(row, "name")), name) != 0)
            continue;
        if (json_is_string(value))
            text = strdup(json_string_value(value));
        else if (json_is_integer(value))
            cr_assert(asprintf(&text, "%lld", (long long)json_integer_value(value)) > 0);
        else
            text = strdup(json_is_null(value) ? "-" : json_is_true(value) ? "yes" : "no");
    }
    json_decref(rows);
    cr_assert_not_null(text, "no %s of %s", key, name);
    return text;
}

json_int_t server_figure(struct scene *scene, const char *name, const char *key) {
    char *text = row_value(scene, "servers", name, key);
    json_int_t value = strtoll(text, NULL, 10);
    free(text);
    return value;
}

void await_up(struct scene *scene, const char *name) {
    char text[80];
    snprintf(text, sizeof text, "server %s health starting -> up", name);
    WAIT_FOR(log_has(scene, text), 20000);
}

bool sessions_show(struct scene *scene, const char *text) {
    char *rows = ctl(scene, NULL, "show sessions");
    bool has = strstr(rows, text) != NULL;
    free(rows);
    return has;
}

/* --- load --- */

json_t *load_run(struct scene *scene, const char *format, ...) {
    char options[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    char *answer = shell(NULL, "%s/bench/load --target 127.0.0.1:%u %s", scene->build, scene->port, options);
    json_t *result = json_loads(answer, 0, NULL);
    cr_assert(result != NULL, "load %s: %s", options, answer);
    free(answer);
    return result;
}

pid_t load_begin(struct scene *scene, const char *name, const char *format, ...) {
    char options[400], command[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    snprintf(command, sizeof command, "exec %s/bench/load --target 127.0.0.1:%u %s", scene->build, scene->port,
             options);
    return spawn(scene, name, (const char *const[]){"sh", "-c", command, NULL});
}

json_t *load_end(struct scene *scene, pid_t pid, const char *name) {
    char path[128];
    reap(scene, pid);
    snprintf(path, sizeof path, "%s/%s", scene->dir, name);
    char *text = read_file(path);
    json_t *result = json_loads(text, 0, NULL);
    cr_assert(result != NULL, "load: %s", text);
    free(text);
    return result;
}

json_t *load_stop(struct scene *scene, pid_t pid, const char *name) {
    kill(pid, SIGTERM);
    return load_end(scene, pid, name);
}
