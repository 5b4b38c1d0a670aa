/* A client (talk.h) for many at once, each on its own thread: it says what was written in segments of random sizes, and
 * holds each reply against what may be said in its place. It fails no test by itself: the first thing that was wrong is
 * kept. */
#ifndef POSTERN_TESTS_SPEAKER_H
#define POSTERN_TESTS_SPEAKER_H

#include "talk.h"

#include "lb/base/chance.h"

#include <stdatomic.h>

#define SPEAKER_OUTPUT_MAX 65536

struct speaker {
    char name[16];
    char clean_source[20], junk_source[20];
    struct chance chance;
    unsigned mails;
    bool is_clean; /* keeps to the protocol: it is never told that it is at fault */
    bool has_left;
    bool is_over; /* what it hears is judged no more */
    struct talk talk;
    long leaves_after; /* octets; < 0: it stays */
    unsigned code;     /* of the last reply */
    char output[SPEAKER_OUTPUT_MAX];
    size_t output_length;
    char told[8192]; /* the dialog so far, for a failure */
    size_t told_length;
};

/* The first failure of all speakers, "" while there is none. */
const char *speaker_failure(void);

void speaker_init(struct speaker *speaker, unsigned number, uint64_t seed);
unsigned speaker_draw(struct speaker *speaker, unsigned below);
/* Connects, from its clean or its junk address. False when nobody listens any more. */
bool speaker_begin(struct speaker *speaker, unsigned port);
void speaker_end(struct speaker *speaker);
/* It resets, closes or half-closes when it has said so many octets. */
void speaker_leave_after(struct speaker *speaker, unsigned octets);

/* Adds to what is to be said. */
__attribute__((format(printf, 2, 3))) void speaker_write(struct speaker *speaker, const char *format, ...);
void speaker_write_octets(struct speaker *speaker, const char *octets, size_t length);
/* Takes what was written so far out again; returns its length. */
size_t speaker_take_back(struct speaker *speaker, char ret_octets[SPEAKER_OUTPUT_MAX]);
void speaker_say(struct speaker *speaker);
void speaker_half_close(struct speaker *speaker);

/* Awaits one complete reply, which must begin with one of `allowed` ("a|b"); 421 and then the end may come instead.
 * False when the session is over. */
bool speaker_hear(struct speaker *speaker, const char *allowed);
/* Says what was written, and hears one reply. */
bool speaker_exchange(struct speaker *speaker, const char *allowed);
/* Nothing but the end may come, or a last 421. */
void speaker_hear_end(struct speaker *speaker);

#endif
