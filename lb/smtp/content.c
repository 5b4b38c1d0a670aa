/* The end of the content behind DATA: a state for each octet of it that has come; text between is passed over in
 * blocks. The observer calls it. Pure. */
#include "lb/smtp/content.h"

#include <stdbool.h>
#include <string.h>

enum content_state { AT_LINE_START = CONTENT_START, IN_TEXT, AFTER_CR, AFTER_DOT, AFTER_DOT_CR };

/* Text is looked at in blocks (GCC's and clang's vectors, SSE2 or NEON as the machine has it). */
typedef uint8_t octets16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));
#define TEXT_BLOCK 64u

static octets16 load16(const uint8_t *from) {
    octets16 octets;
    memcpy(&octets, from, sizeof octets);
    return octets;
}

/* A bare CR or LF, or a dot at a line's start, ends in this block. Reads one octet before it. */
static bool needs_a_look(const uint8_t *block) {
    octets16 found = {0};
    for (unsigned i = 0; i < TEXT_BLOCK; i += 16) {
        octets16 here = load16(block + i), before = load16(block + i - 1);
        found |= (octets16)((before == '\r') ^ (here == '\n'));
        found |= (octets16)((before == '\n') & (here == '.'));
    }
    words2 words = (words2)found;
    return (words[0] | words[1]) != 0;
}

/* Passes over blocks in which nothing happens; an octet stands before `data`. Returns the octets passed over. */
static size_t skip_text(const uint8_t *data, size_t length) {
    size_t done = 0;
    while (length - done >= TEXT_BLOCK && !needs_a_look(data + done))
        done += TEXT_BLOCK;
    return done;
}

static enum content_state state_behind(uint8_t octet) {
    return octet == '\n' ? AT_LINE_START : octet == '\r' ? AFTER_CR : IN_TEXT;
}

/* Returns the next state, or -1 at a bare CR or LF. */
static int next_content_state(enum content_state state, uint8_t octet) {
    switch (state) {
    case AT_LINE_START:
        if (octet == '.')
            return AFTER_DOT;
        return octet == '\r' ? AFTER_CR : octet == '\n' ? -1 : IN_TEXT;
    case IN_TEXT:
        return octet == '\r' ? AFTER_CR : octet == '\n' ? -1 : IN_TEXT;
    case AFTER_CR:
        return octet == '\n' ? AT_LINE_START : -1;
    case AFTER_DOT:
        return octet == '\r' ? AFTER_DOT_CR : octet == '\n' ? -1 : IN_TEXT;
    case AFTER_DOT_CR:
        return octet == '\n' ? AT_LINE_START : -1;
    }
    return -1;
}

/* One octet at a time, which alone finds something. */
static size_t feed_text(uint8_t *state, const uint8_t *data, size_t length, enum content_found *ret_found) {
    for (size_t i = 0; i < length; i++) {
        int next = next_content_state((enum content_state) * state, data[i]);
        if (next < 0) {
            *ret_found = CONTENT_BARE_LINE_END;
            return i;
        }
        bool is_end = *state == AFTER_DOT_CR;
        *state = (uint8_t)next;
        if (is_end) {
            *ret_found = CONTENT_ENDS;
            return i + 1;
        }
    }
    return length;
}

size_t content_feed(uint8_t *state, const uint8_t *data, size_t length, enum content_found *ret_found) {
    size_t done = 0;
    *ret_found = CONTENT_GOES_ON;
    while (done < length && *ret_found == CONTENT_GOES_ON) {
        bool is_in_dot = *state == AFTER_DOT || *state == AFTER_DOT_CR;
        size_t skipped = done > 0 && !is_in_dot ? skip_text(data + done, length - done) : 0;
        if (skipped > 0) {
            done += skipped;
            *state = (uint8_t)state_behind(data[done - 1]);
        }
        size_t left = length - done;
        done += feed_text(state, data + done, left < TEXT_BLOCK ? left : TEXT_BLOCK, ret_found);
    }
    return done;
}
