/* What a backend has been told and another one would have to be told again: the accepted EHLO or HELO, and the commands
 * of the current transaction that were accepted or are not yet answered (DESIGN §5). Octets are kept in small chunks
 * of a pool that a worker's sessions share. Pure but for that pool. */
#ifndef POSTERN_RELAY_REPLAY_LOG_H
#define POSTERN_RELAY_REPLAY_LOG_H

#include "lb/engine/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With its link one cache line. An EHLO line of most clients fits one; an envelope with one recipient, three. */
#define REPLAY_CHUNK_OCTETS 56
struct replay_chunk {
    struct replay_chunk *next;
    uint8_t octets[REPLAY_CHUNK_OCTETS];
};

/* A record is a command line behind two octets: the code of its reply, or one of these. */
enum { REPLAY_OPEN = 0, REPLAY_REFUSED = 1 };
struct replay_position {
    struct replay_chunk *chunk; /* NULL: the end */
    uint16_t offset;
};

struct replay_log {
    struct pool *chunks;
    struct replay_chunk *hello; /* the EHLO or HELO line, to its line end; NULL: none was accepted yet */
    struct replay_chunk *last;
    struct replay_position head;
    struct replay_position unanswered; /* the first record without a reply */
    uint16_t tail;                     /* octets used in `last` */
    uint16_t octets;
    uint16_t line_octets;  /* of the last record, while its line has no end */
    bool is_overflown : 1; /* it can't tell all: no replay until the transaction has ended */
    bool hello_is_lost : 1;
};

/* No command is longer (DESIGN §8). */
#define REPLAY_LINE_MAX 2048u

void replay_log_init(struct replay_log *log, struct pool *chunks);
/* Gives all memory back; accepts a log that is not initialised but zeroed. */
void replay_log_finish(struct replay_log *log);

/* Octets of commands, as they go on to the backend: any split. */
void replay_log_append(struct replay_log *log, const uint8_t *octets, size_t length);
/* A reply to the oldest open command has gone to the client. `verb`: enum smtp_verb or dialog_awaited. `is_quiet`: no
 * command is open or begun. */
void replay_log_on_reply(struct replay_log *log, unsigned verb, unsigned code, bool is_quiet);
/* All is known that a new backend must be told. `has_greeted`: the client's EHLO or HELO was accepted. */
bool replay_log_is_complete(const struct replay_log *log, bool has_greeted);

/* Copies the EHLO line; returns its length, 0 when there is none. */
size_t replay_log_hello(const struct replay_log *log, uint8_t line[REPLAY_LINE_MAX]);
/* The first record, for replay_log_next(). */
struct replay_position replay_log_first(const struct replay_log *log);
/* Copies the record at *position and moves on to the next. Returns its length, 0 at the end; *ret_code: of its reply,
 * REPLAY_OPEN, or REPLAY_REFUSED for what must not be told again. The last one may lack its line end. */
size_t replay_log_next(const struct replay_log *log, struct replay_position *position, uint8_t line[REPLAY_LINE_MAX],
                       unsigned *ret_code);

#endif
