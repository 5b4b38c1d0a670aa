/* What another backend would have to be told: a first-in first-out chain of chunks. Records leave at the head when the
 * transaction that they belong to has ended, and at the tail when the last one was refused, so that a list of refused
 * recipients takes no room. observe.c fills it, replay.c reads it. A log owns its chunks, which are of a worker's pool.
 * Where none is left the session is not replayed. */
#include "lb/relay/replay_log.h"

#include "lb/engine/limits.h"
#include "lb/smtp/dialog.h"

#include <string.h>

void replay_log_init(struct replay_log *log, struct pool *chunks) {
    memset(log, 0, sizeof *log);
    log->chunks = chunks;
}

static void release_chain(struct replay_log *log, struct replay_chunk *chunk, const struct replay_chunk *end) {
    while (chunk != end) {
        struct replay_chunk *next = chunk->next;
        pool_put(log->chunks, chunk);
        chunk = next;
    }
}

static void release_records(struct replay_log *log) {
    release_chain(log, log->head.chunk, NULL);
    log->head = log->unanswered = (struct replay_position){NULL, 0};
    log->last = NULL;
    log->octets = 0;
    log->line_octets = 0;
}

void replay_log_finish(struct replay_log *log) {
    release_records(log);
    release_chain(log, log->hello, NULL);
    log->hello = NULL;
}

static void overflow(struct replay_log *log) {
    release_records(log);
    log->is_overflown = true;
}

/* --- one octet at a position --- */

static bool is_at_end(const struct replay_log *log, const struct replay_position *position) {
    return position->chunk == NULL || (position->chunk == log->last && position->offset == log->tail);
}

static uint8_t read_octet(struct replay_position *position) {
    if (position->offset == REPLAY_CHUNK_OCTETS)
        *position = (struct replay_position){position->chunk->next, 0};
    return position->chunk->octets[position->offset++];
}

static void write_octet(struct replay_position *position, uint8_t octet) {
    if (position->offset == REPLAY_CHUNK_OCTETS)
        *position = (struct replay_position){position->chunk->next, 0};
    position->chunk->octets[position->offset++] = octet;
}

static bool push_octet(struct replay_log *log, uint8_t octet) {
    if (log->last == NULL || log->tail == REPLAY_CHUNK_OCTETS) {
        struct replay_chunk *chunk = pool_get(log->chunks);
        if (chunk == NULL)
            return false;
        chunk->next = NULL;
        if (log->last != NULL)
            log->last->next = chunk;
        else
            log->head = log->unanswered = (struct replay_position){chunk, 0};
        log->last = chunk;
        log->tail = 0;
    }
    log->last->octets[log->tail++] = octet;
    log->octets++;
    return true;
}

void replay_log_append(struct replay_log *log, const uint8_t *octets, size_t length) {
    for (size_t i = 0; i < length && !log->is_overflown; i++) {
        bool fits = log->octets + 3u <= REPLAY_LOG_OCTETS_MAX && log->line_octets < REPLAY_LINE_MAX;
        if (fits && log->line_octets == 0)
            fits = push_octet(log, REPLAY_OPEN) && push_octet(log, REPLAY_OPEN);
        if (!fits || !push_octet(log, octets[i])) {
            overflow(log);
            return;
        }
        log->line_octets = octets[i] == '\n' ? 0 : (uint16_t)(log->line_octets + 1);
    }
}

/* --- records --- */

static unsigned read_code(struct replay_position *position) {
    unsigned high = read_octet(position);
    return high << 8 | read_octet(position);
}

static void skip_line(const struct replay_log *log, struct replay_position *position) {
    while (!is_at_end(log, position) && read_octet(position) != '\n')
        ;
}

static void write_code(struct replay_position at, unsigned code) {
    write_octet(&at, (uint8_t)(code >> 8));
    write_octet(&at, (uint8_t)code);
}

static unsigned distance(const struct replay_log *log, struct replay_position from, const struct replay_position *to) {
    unsigned octets = 0;
    for (; from.chunk != to->chunk; from = (struct replay_position){from.chunk->next, 0})
        octets += (from.chunk == log->last ? log->tail : REPLAY_CHUNK_OCTETS) - from.offset;
    return octets + to->offset - from.offset;
}

/* Everything before `position` goes. */
static void drop_before(struct replay_log *log, struct replay_position position) {
    if (is_at_end(log, &position)) {
        release_records(log);
        return;
    }
    log->octets = (uint16_t)(log->octets - distance(log, log->head, &position));
    release_chain(log, log->head.chunk, position.chunk);
    log->head = position;
}

/* The last record, which begins at `position`, goes. */
static void truncate(struct replay_log *log, struct replay_position position) {
    if (position.chunk == log->head.chunk && position.offset == log->head.offset) {
        release_records(log);
        return;
    }
    struct replay_position end = {log->last, log->tail};
    log->octets = (uint16_t)(log->octets - distance(log, position, &end));
    release_chain(log, position.chunk->next, NULL);
    position.chunk->next = NULL;
    log->last = position.chunk;
    log->tail = position.offset;
    log->unanswered = position;
}

static void keep_hello(struct replay_log *log, struct replay_position record) {
    struct replay_chunk *chunk = NULL, *first = NULL;
    unsigned used = REPLAY_CHUNK_OCTETS;
    uint8_t octet = 0;
    (void)read_code(&record);
    while (octet != '\n') {
        octet = read_octet(&record);
        if (used == REPLAY_CHUNK_OCTETS) {
            struct replay_chunk *next = pool_get(log->chunks);
            if (next == NULL) {
                release_chain(log, first, NULL);
                first = NULL;
                break;
            }
            next->next = NULL;
            if (chunk != NULL)
                chunk->next = next;
            else
                first = next;
            chunk = next;
            used = 0;
        }
        chunk->octets[used++] = octet;
    }
    release_chain(log, log->hello, NULL);
    log->hello = first;
    log->hello_is_lost = first == NULL;
}

static bool ends_transaction(unsigned verb, unsigned code) {
    return verb == AWAITED_DOT || verb == AWAITED_BDAT_LAST || (verb == VERB_RSET && code / 100 == 2);
}

static bool is_kept(unsigned verb, unsigned code) {
    return ((verb == VERB_MAIL || verb == VERB_RCPT || verb == VERB_BDAT) && code / 100 == 2) ||
           (verb == VERB_DATA && code == 354);
}

static void resume(struct replay_log *log, unsigned verb, unsigned code, bool is_quiet) {
    bool is_hello = (verb == VERB_EHLO || verb == VERB_HELO) && code / 100 == 2;
    log->hello_is_lost |= is_hello;
    if (is_quiet && (is_hello || ends_transaction(verb, code)))
        log->is_overflown = false;
}

void replay_log_on_reply(struct replay_log *log, unsigned verb, unsigned code, bool is_quiet) {
    struct replay_position record = log->unanswered, next = record;
    if (log->is_overflown) {
        resume(log, verb, code, is_quiet);
        return;
    }
    if (verb == AWAITED_GREETING)
        return;
    if (verb == AWAITED_DOT) { /* content has no record: what stands before the next open command has ended */
        drop_before(log, record);
        return;
    }
    if (is_at_end(log, &next))
        return;
    (void)read_code(&next);
    skip_line(log, &next);
    log->unanswered = next;
    if ((verb == VERB_EHLO || verb == VERB_HELO) && code / 100 == 2) {
        keep_hello(log, record);
        drop_before(log, next);
    } else if (ends_transaction(verb, code)) {
        drop_before(log, next);
    } else if (is_kept(verb, code)) {
        write_code(record, code);
    } else if (is_at_end(log, &next)) {
        truncate(log, record);
    } else {
        write_code(record, REPLAY_REFUSED);
    }
}

bool replay_log_is_complete(const struct replay_log *log, bool has_greeted) {
    return !log->is_overflown && !log->hello_is_lost && (!has_greeted || log->hello != NULL);
}

/* --- reading --- */

size_t replay_log_hello(const struct replay_log *log, uint8_t line[REPLAY_LINE_MAX]) {
    struct replay_position position = {log->hello, 0};
    size_t length = 0;
    if (log->hello == NULL)
        return 0;
    do {
        line[length] = read_octet(&position);
    } while (line[length++] != '\n' && length < REPLAY_LINE_MAX);
    return length;
}

struct replay_position replay_log_first(const struct replay_log *log) {
    return log->head;
}

size_t replay_log_next(const struct replay_log *log, struct replay_position *position, uint8_t line[REPLAY_LINE_MAX],
                       unsigned *ret_code) {
    size_t length = 0;
    if (is_at_end(log, position))
        return 0;
    *ret_code = read_code(position);
    while (!is_at_end(log, position) && length < REPLAY_LINE_MAX) {
        line[length] = read_octet(position);
        if (line[length++] == '\n')
            break;
    }
    return length;
}
