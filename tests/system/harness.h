/* What a system test needs: a place of its own, the real programs, and ways to ask them. Every child dies with the test
 * (PR_SET_PDEATHSIG); nothing waits by sleeping a fixed time. */
#ifndef POSTERN_TESTS_HARNESS_H
#define POSTERN_TESTS_HARNESS_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct scene {
    char dir[64];      /* under /tmp, removed at the end */
    const char *build; /* build/san, or build for what is measured */
    pid_t postern;
    unsigned port;        /* where postern listens */
    unsigned strict_port; /* of a backend, by the test's choice */
    pid_t children[64];
    unsigned children_count;
    struct {
        char global[512], listen[512], sections[8192];
        char tier[32]; /* begun last */
    } ini;             /* of the postern that is not started yet */
};

struct test_sink {
    struct scene *scene;
    char name[32];
    unsigned port;
    pid_t pid;
};

/* `measured`: the plain build, for what is counted in memory or tens of thousands of mails; else the sanitised one. */
void scene_begin(struct scene *scene, bool measured);
/* Stops postern as an operator does, and fails the test if it does not exit 0 or a sanitizer has spoken. */
void scene_stop(struct scene *scene);
/* The same where it still runs, and removes all that was there. */
void scene_end(struct scene *scene);

/* A port that was free a moment ago. */
unsigned free_port(void);
/* Starts a program (argv[0] relative to the checkout); its output goes to `log` in the scene's folder. */
pid_t spawn(struct scene *scene, const char *log, const char *const *argv);
void kill_child(struct scene *scene, pid_t pid, int signal);
/* Waits until it has ended by itself; its exit status, as waitpid(2) has it. Fails the test after `ms`. */
int await_child(struct scene *scene, pid_t pid, unsigned ms);

/* Starts a sink; `options` are further words, as "--proxy v2". */
void sink_begin(struct scene *scene, struct test_sink *sink, const char *name, const char *options);
/* The same at an address and port of the test's choice. */
void sink_begin_at(struct scene *scene, struct test_sink *sink, const char *name, const char *host, unsigned port,
                   const char *options);
/* Tells it to end, and waits until it has: its files are complete. */
void sink_quit(const struct test_sink *sink);
void sink_fault(const struct test_sink *sink, const char *fault);
/* One figure of its stats. */
json_int_t sink_figure(const struct test_sink *sink, const char *key);
char *sink_text(const struct test_sink *sink, const char *key);

/* The site's configuration, made part by part before postern_start():
 *
 *     postern_global(&scene, "workers = 1\n");               further lines of [global]
 *     postern_listen(&scene, "proxy-from = 127.0.0.0/8\n");  of [listen mx], on scene.port; more [listen]s may follow
 *     postern_lines(&scene, "[timeouts]\nclient = %s\n", x); whole sections, or more lines of the one begun last
 *     postern_tier(&scene, "primary", "check = none\n");     a tier with these options, and then its backends:
 *     postern_backend(&scene, "vm1", sink.port, "max-sessions = 20\n");
 *     postern_start(&scene);
 *
 * hostname, user, state-dir, a short stop-timeout and [control] need not be given. */
void postern_global(struct scene *scene, const char *lines);
void postern_listen(struct scene *scene, const char *lines);
__attribute__((format(printf, 2, 3))) void postern_lines(struct scene *scene, const char *format, ...);
void postern_tier(struct scene *scene, const char *name, const char *options);
void postern_backend(struct scene *scene, const char *name, unsigned port, const char *options);
/* At a host of the test's own choice, as "vm1.test", instead of 127.0.0.1. */
void postern_backend_at(struct scene *scene, const char *name, const char *host, unsigned port, const char *options);
/* A backend for each sink, of its name. */
void postern_sinks(struct scene *scene, const struct test_sink *sinks, unsigned count);
/* Writes it as postern.ini in the scene's folder: for a test that starts postern by itself. */
void postern_write(struct scene *scene);
/* The same, starts postern and waits until it answers. */
void postern_start(struct scene *scene);

/* posternctl with these words: its output (to be freed), its exit status in *ret_status (may be NULL). */
__attribute__((format(printf, 3, 4))) char *ctl(struct scene *scene, int *ret_status, const char *format, ...);
/* The same with `json`; fails the test when the answer is not JSON. */
__attribute__((format(printf, 2, 3))) json_t *ctl_json(struct scene *scene, const char *format, ...);
json_int_t info_figure(struct scene *scene, const char *key);
/* A value of a row of `show servers` or `show tiers`, as text (to be freed). */
char *row_value(struct scene *scene, const char *table, const char *name, const char *key);
/* True when `show sessions` holds `text`. */
bool sessions_show(struct scene *scene, const char *text);
json_int_t server_figure(struct scene *scene, const char *name, const char *key);
/* Waits for the first pass of a backend's health check. */
void await_up(struct scene *scene, const char *name);

/* Runs a shell command line to its end; output (to be freed) and exit status. */
__attribute__((format(printf, 2, 3))) char *shell(int *ret_status, const char *format, ...);
/* Runs bench/load against postern with these options; its result (to be released). */
__attribute__((format(printf, 2, 3))) json_t *load_run(struct scene *scene, const char *format, ...);
/* The same in the background; the result when it has ended. */
__attribute__((format(printf, 3, 4))) pid_t load_begin(struct scene *scene, const char *name, const char *format, ...);
json_t *load_end(struct scene *scene, pid_t pid, const char *name);
/* The same of one that has sessions, or holds them, for as long as the test wants: it starts no more, and all end. */
json_t *load_stop(struct scene *scene, pid_t pid, const char *name);
json_int_t figure(const json_t *object, const char *key);

/* True when the scene's file (a log) holds `text`; in postern's log: log_has(). */
bool file_has(struct scene *scene, const char *file, const char *text);
bool log_has(struct scene *scene, const char *text);
/* The same when all that postern has said so far is in its log, which a thread of its own writes: for what must not
 * have happened. */
bool log_has_by_now(struct scene *scene, const char *text);
/* How many lines of postern's log fit `pattern`, a basic regular expression. */
unsigned log_count(struct scene *scene, const char *pattern);

/* What a test at random draws from: POSTERN_SOAK_SEED, where it is set, else another one each time. Printed, so that a
 * failure can be had again. */
uint64_t test_seed(const char *suite);

uint64_t now_ms(void);
void pause_ms(unsigned ms);

/* Waits until `condition` holds, looking every 20 ms; fails the test after `ms`. */
#define WAIT_FOR(condition, ms)                                                                                        \
    do {                                                                                                               \
        uint64_t wait_until = now_ms() + (ms);                                                                         \
        while (!(condition)) {                                                                                         \
            cr_assert(now_ms() < wait_until, "waited %u ms in vain for: %s", (unsigned)(ms), #condition);              \
            pause_ms(20);                                                                                              \
        }                                                                                                              \
    } while (0)

/* Every session of a load's result got its mail accepted. */
#define ASSERT_ALL_ACCEPTED(result)                                                                                    \
    cr_assert(figure(result, "accepted") == figure(result, "sessions"), "lost mail: %s", json_dumps(result, 0))

#endif
