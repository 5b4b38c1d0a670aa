/* The trace of a world, which stands in the log's place: the last lines are kept, and printed when an invariant is
 * broken. While it is off, nothing is formatted. */
#include "lb/engine/log.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINES          600u
#define TRACE_LINE_MAX 240u

bool sim_is_tracing, sim_is_verbose;

static char lines[LINES][TRACE_LINE_MAX];
static unsigned long written;
static bool has_failed;

void sim_trace_begin(void) {
    written = 0;
    has_failed = false;
}

static void keep(const char *format, va_list arguments) {
    char *line = lines[written++ % LINES];
    int at = snprintf(line, TRACE_LINE_MAX, "%llu ", (unsigned long long)sim_now_ms());
    vsnprintf(line + at, TRACE_LINE_MAX - (size_t)at, format, arguments);
    if (sim_is_verbose)
        puts(line);
}

void sim_trace_line(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
}

void sim_broken(const char *format, ...) {
    va_list arguments;
    if (!sim_is_tracing) {
        has_failed = true;
        return;
    }
    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
    if (!has_failed) {
        unsigned long from = written > LINES ? written - LINES : 0;
        for (unsigned long i = from; i < written && !sim_is_verbose; i++)
            puts(lines[i % LINES]);
        printf("BROKEN: %s\n", strchr(lines[(written - 1) % LINES], ' ') + 1);
    }
    has_failed = true;
}

bool sim_has_failed(void) {
    return has_failed;
}

/* --- log.h --- */

void log_write(enum log_level level, const char *format, ...) {
    va_list arguments;
    (void)level;
    if (!sim_is_tracing)
        return;
    va_start(arguments, format);
    keep(format, arguments);
    va_end(arguments);
}

int log_start(const char *destination, enum log_level level) {
    (void)destination;
    (void)level;
    return 0;
}

int log_reopen(void) {
    return 0;
}

void log_finish(void) {
}

int log_join(void) {
    return 0;
}

void log_set_level(enum log_level level) {
    (void)level;
}

enum log_level log_get_level(void) {
    return sim_is_tracing ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;
}

bool log_await_room(void) {
    return true;
}

uint64_t log_dropped(void) {
    return 0;
}
