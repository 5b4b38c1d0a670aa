/* Log lines from any thread, written by one: each thread has a bounded ring of its own, so that a slow disk or pipe
 * never makes a worker wait. A full ring drops the line and counts it; the count is said as soon as there is room. */
#ifndef POSTERN_ENGINE_LOG_H
#define POSTERN_ENGINE_LOG_H

#include "conf/config.h"

#include <stdbool.h>
#include <stdint.h>

/* Longest line with its NUL; longer ones are cut. A session line with two IPv6 addresses is about 400. */
#define LOG_LINE_MAX 500

/* Opens the destination ("stderr", "syslog" or a path) and starts the writing thread. Until then, and after
 * log_finish(), lines go to stderr directly. From then on an abort() of any thread first waits until the lines before
 * it have been written. Returns 0 or -errno (of the file or the thread). */
int log_start(const char *destination, enum log_level level);
/* Opens the log file anew, after it was moved away; each line goes whole to the old file or the new one. Without a file
 * nothing happens. From the thread that called log_start(). Returns 0, or -errno: the old file stays. */
int log_reopen(void);
/* The log is a file, which log_reopen() would open anew. */
bool log_is_file(void);
/* Writes what is left and ends the thread. */
void log_finish(void);
/* Gives the calling thread a ring; without one its lines are written directly. Returns 0 or -ENOMEM. */
int log_join(void);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* Lines that stand nowhere: of a ring that was full, or that the destination did not take. */
uint64_t log_dropped(void);
/* Waits until the calling thread's ring has room for a line; for threads that have nothing else to do any more. Returns
 * false when the log has taken nothing for a second: it will not. */
bool log_await_room(void);
/* Makes the text fit between a line's quotation marks: printable, and no end of its value. */
static inline void log_quote(char *text) {
    for (; *text != '\0'; text++)
        *text = *text >= ' ' && *text < 127 && *text != '"' ? *text : '?';
}

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);
/* For what can't be gone on from: says it in the log, and on stderr, and aborts. */
_Noreturn __attribute__((format(printf, 1, 2))) void log_fatal(const char *format, ...);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (log_get_level() >= LOG_LEVEL_DEBUG)                                                                        \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                                   \
    } while (0)

#endif
