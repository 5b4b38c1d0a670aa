/* The log thread and the rings that it drains. A ring has one producer (its thread) and one consumer (the log thread):
 * a line is formatted in its slot and published by moving `written`. The log thread sleeps on a futex when all rings
 * are empty, and after waking lets lines gather for a moment, so that a busy balancer costs it few wake-ups.
 *
 * Owns the rings, the thread and the destination. Lines that find no room, or no disk, are dropped and counted; the log
 * never stops postern. What other files call log_fatal() for ends the process here. */
#include "lb/engine/log.h"

#include "lb/base/memory.h"
#include "lb/engine/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Lines a thread can be ahead of the disk: at 10,000 sessions a second, 100 ms. A power of two. */
#define LINES_PER_RING 1024u
/* How long lines may gather before they are written. */
#define GATHER_NS    5000000
#define OUTPUT_BYTES 65536
/* An abort waits so long for the lines that came before it, and a worker's end for room: a second, if the disk is that
 * slow. */
#define WAIT_STEP_NS 1000000
#define WAIT_STEPS   1000u
/* Workers, manager, store, status page, main. */
#define RINGS_MAX (WORKERS_MAX + 4)

struct line {
    struct timespec time;
    enum log_level level;
    uint16_t length;
    char text[LOG_LINE_MAX];
};

struct ring {
    _Alignas(64) atomic_uint written;
    atomic_ulong dropped;
    uint64_t dropped_said; /* the log thread's */
    _Alignas(64) atomic_uint taken;
    struct line lines[LINES_PER_RING];
};

static struct {
    _Atomic(struct ring *) rings[RINGS_MAX];
    atomic_uint rings_count;
    atomic_uint sleeping; /* the futex: 1 while the log thread sleeps */
    atomic_int level;
    atomic_bool running;
    atomic_bool stopping;
    atomic_bool has_ended; /* the log thread has written its last line */
    bool to_syslog;
    bool to_journal;
    const char *path; /* of a file; the configuration's */
    int fd;
    char output[OUTPUT_BYTES];
    size_t output_length;
    bool is_torn; /* the destination has taken half of a line */
    atomic_ulong unwritten;
    uint64_t unwritten_said, unwritten_saying;
    bool is_saying_unwritten; /* in the output */
    pthread_t thread;
} logger = {.level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static _Thread_local struct ring *own_ring;

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* The destination takes no more, as a full disk: what it did not take is counted, and a line that it took half of is
 * ended before the next. The line that says so is none of those that are lost. */
static void lose_output(size_t done) {
    uint64_t lines = 0;
    for (size_t i = done; i < logger.output_length; i++)
        lines += logger.output[i] == '\n';
    atomic_fetch_add(&logger.unwritten, lines - (lines > 0 && logger.is_saying_unwritten));
    logger.is_torn |= done > 0 && logger.output[done - 1] != '\n';
}

static bool write_all(const char *text, size_t length, size_t *ret_done) {
    for (*ret_done = 0; *ret_done < length;) {
        ssize_t written = write(logger.fd, text + *ret_done, length - *ret_done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        *ret_done += (size_t)written;
    }
    return true;
}

static void flush_output(void) {
    size_t done = 0;
    if (logger.output_length == 0)
        return;
    if (logger.is_torn && write_all("\n", 1, &done))
        logger.is_torn = false;
    if (logger.is_torn || !write_all(logger.output, logger.output_length, &done))
        lose_output(logger.is_torn ? 0 : done);
    else if (logger.is_saying_unwritten)
        logger.unwritten_said = logger.unwritten_saying;
    logger.is_saying_unwritten = false;
    logger.output_length = 0;
}

static void put_line(const struct line *line) {
    if (logger.to_syslog) {
        syslog(level_priorities[line->level], "%.*s", line->length, line->text);
        return;
    }
    if (logger.output_length + LOG_LINE_MAX + 64 > sizeof logger.output)
        flush_output();
    char *out = logger.output + logger.output_length;
    size_t room = sizeof logger.output - logger.output_length;
    int length;
    if (logger.to_journal) {
        length = snprintf(out, room, "<%d>%.*s\n", level_priorities[line->level], line->length, line->text);
    } else {
        struct tm tm;
        char stamp[32];
        gmtime_r(&line->time.tv_sec, &tm);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
        length = snprintf(out, room, "%s.%03ldZ %s: %.*s\n", stamp, line->time.tv_nsec / 1000000,
                          level_names[line->level], line->length, line->text);
    }
    logger.output_length += (size_t)length;
}

static void say_dropped(struct ring *ring) {
    uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    if (dropped == ring->dropped_said)
        return;
    struct line line = {.level = LOG_LEVEL_WARNING};
    clock_gettime(CLOCK_REALTIME, &line.time);
    line.length = (uint16_t)snprintf(line.text, sizeof line.text, "log: %llu lines dropped, the log is too slow",
                                     (unsigned long long)(dropped - ring->dropped_said));
    ring->dropped_said = dropped;
    put_line(&line);
}

/* Beside the next lines, since there is room again then. */
static void say_unwritten(void) {
    uint64_t unwritten = atomic_load_explicit(&logger.unwritten, memory_order_relaxed);
    if (unwritten == logger.unwritten_said || logger.is_saying_unwritten)
        return;
    struct line line = {.level = LOG_LEVEL_WARNING};
    clock_gettime(CLOCK_REALTIME, &line.time);
    line.length = (uint16_t)snprintf(line.text, sizeof line.text, "log: %llu lines could not be written",
                                     (unsigned long long)(unwritten - logger.unwritten_said));
    logger.unwritten_saying = unwritten;
    logger.is_saying_unwritten = true;
    put_line(&line);
}

static bool drain_rings(void) {
    bool found = false;
    unsigned rings = atomic_load(&logger.rings_count);
    for (unsigned i = 0; i < rings; i++) {
        struct ring *ring = atomic_load(&logger.rings[i]);
        if (ring == NULL)
            continue;
        unsigned taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
        unsigned written = atomic_load_explicit(&ring->written, memory_order_acquire);
        for (; taken != written; taken++) {
            put_line(&ring->lines[taken % LINES_PER_RING]);
            atomic_store_explicit(&ring->taken, taken + 1, memory_order_release);
            found = true;
        }
        say_dropped(ring);
    }
    if (found)
        say_unwritten();
    flush_output();
    return found;
}

static bool rings_empty(void) {
    unsigned rings = atomic_load(&logger.rings_count);
    for (unsigned i = 0; i < rings; i++) {
        struct ring *ring = atomic_load(&logger.rings[i]);
        if (ring != NULL && atomic_load(&ring->written) != atomic_load(&ring->taken))
            return false;
    }
    return true;
}

static void *log_thread(void *unused) {
    (void)unused;
    while (!atomic_load(&logger.stopping)) {
        if (drain_rings()) {
            nanosleep(&(struct timespec){.tv_nsec = GATHER_NS}, NULL);
            continue;
        }
        atomic_store(&logger.sleeping, 1);
        if (rings_empty() && !atomic_load(&logger.stopping))
            syscall(SYS_futex, &logger.sleeping, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        atomic_store(&logger.sleeping, 0);
    }
    drain_rings();
    atomic_store(&logger.has_ended, true);
    return NULL;
}

static void wake_log_thread(void) {
    if (atomic_load(&logger.sleeping) != 0 && atomic_exchange(&logger.sleeping, 0) != 0)
        syscall(SYS_futex, &logger.sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void end_log_thread(void) {
    atomic_store(&logger.stopping, true);
    atomic_store(&logger.sleeping, 0);
    syscall(SYS_futex, &logger.sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Of SIGABRT: what led to the abort is still in the rings. Only atomics and system calls, as signal-safety(7) demands;
 * abort(3) goes on to its end when this returns. The log thread's own abort has nobody to wait for. */
static void on_abort(int signal) {
    (void)signal;
    if (!atomic_load(&logger.running) || pthread_equal(pthread_self(), logger.thread))
        return;
    end_log_thread();
    for (unsigned i = 0; i < WAIT_STEPS && !atomic_load(&logger.has_ended); i++)
        nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
}

static int open_file(void) {
    int fd = open(logger.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

/* The new file takes the old one's number, so that the writing thread needs to know nothing. */
int log_reopen(void) {
    if (logger.path == NULL)
        return 0;
    int fd = open_file();
    if (fd < 0)
        return fd;
    int result = dup3(fd, logger.fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(fd);
    return result;
}

bool log_is_file(void) {
    return logger.path != NULL;
}

int log_start(const char *destination, enum log_level level) {
    atomic_store(&logger.level, (int)level);
    if (strcmp(destination, "syslog") == 0) {
        openlog("postern", LOG_PID | LOG_NDELAY, LOG_MAIL);
        logger.to_syslog = true;
    } else if (strcmp(destination, "stderr") == 0) {
        /* systemd's journal wants the priority in the line and adds the time itself (sd-daemon(3)). */
        logger.to_journal = getenv("JOURNAL_STREAM") != NULL;
    } else {
        logger.path = destination;
        int fd = open_file();
        if (fd < 0)
            return fd;
        logger.fd = fd;
    }
    atomic_store(&logger.has_ended, false);
    int result = pthread_create(&logger.thread, NULL, log_thread, NULL);
    if (result == 0) {
        atomic_store(&logger.running, true);
        sigaction(SIGABRT, &(struct sigaction){.sa_handler = on_abort}, NULL);
    }
    return -result;
}

void log_finish(void) {
    if (!atomic_exchange(&logger.running, false))
        return;
    end_log_thread();
    pthread_join(logger.thread, NULL);
    own_ring = NULL;
    unsigned rings = atomic_exchange(&logger.rings_count, 0);
    for (unsigned i = 0; i < rings; i++)
        memory_release(atomic_exchange(&logger.rings[i], NULL), sizeof(struct ring));
    if (logger.fd != STDERR_FILENO)
        close(logger.fd);
    logger.fd = STDERR_FILENO;
    logger.path = NULL;
    atomic_store(&logger.stopping, false);
}

int log_join(void) {
    struct ring *ring = memory_reserve(sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    unsigned index = atomic_fetch_add(&logger.rings_count, 1);
    if (index >= RINGS_MAX) {
        atomic_fetch_sub(&logger.rings_count, 1);
        memory_release(ring, sizeof *ring);
        return -ENOMEM;
    }
    atomic_store(&logger.rings[index], ring);
    own_ring = ring;
    return 0;
}

void log_set_level(enum log_level level) {
    atomic_store(&logger.level, (int)level);
}

enum log_level log_get_level(void) {
    return (enum log_level)atomic_load_explicit(&logger.level, memory_order_relaxed);
}

uint64_t log_dropped(void) {
    uint64_t dropped = atomic_load_explicit(&logger.unwritten, memory_order_relaxed);
    unsigned rings = atomic_load(&logger.rings_count);
    for (unsigned i = 0; i < rings; i++) {
        struct ring *ring = atomic_load(&logger.rings[i]);
        if (ring != NULL)
            dropped += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    }
    return dropped;
}

static bool is_full(const struct ring *ring) {
    unsigned written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    return written - atomic_load_explicit(&ring->taken, memory_order_acquire) >= LINES_PER_RING;
}

bool log_await_room(void) {
    for (unsigned i = 0; own_ring != NULL && i < WAIT_STEPS && is_full(own_ring); i++)
        nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
    return own_ring == NULL || !is_full(own_ring);
}

static void format_line(struct line *line, enum log_level level, const char *format, va_list arguments) {
    clock_gettime(CLOCK_REALTIME, &line->time);
    line->level = level;
    int length = vsnprintf(line->text, sizeof line->text, format, arguments);
    line->length = (uint16_t)(length < 0 ? 0 : length < LOG_LINE_MAX ? length : LOG_LINE_MAX - 1);
}

static void write_line(enum log_level level, const char *format, va_list arguments) {
    struct ring *ring = own_ring;
    if (ring == NULL || !atomic_load_explicit(&logger.running, memory_order_relaxed)) {
        struct line line;
        format_line(&line, level, format, arguments);
        dprintf(STDERR_FILENO, "postern: %s: %.*s\n", level_names[level], line.length, line.text);
        return;
    }
    unsigned written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (is_full(ring)) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
    } else {
        format_line(&ring->lines[written % LINES_PER_RING], level, format, arguments);
        atomic_store(&ring->written, written + 1);
        wake_log_thread();
    }
}

void log_write(enum log_level level, const char *format, ...) {
    if (level > log_get_level())
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line(level, format, arguments);
    va_end(arguments);
}

void log_fatal(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line(LOG_LEVEL_ERROR, format, arguments);
    va_end(arguments);
    if (atomic_load(&logger.running) && (logger.to_syslog || logger.path != NULL)) { /* else stderr has it already */
        va_start(arguments, format);
        dprintf(STDERR_FILENO, "postern: ");
        vdprintf(STDERR_FILENO, format, arguments);
        dprintf(STDERR_FILENO, "\n");
        va_end(arguments);
    }
    abort();
}
