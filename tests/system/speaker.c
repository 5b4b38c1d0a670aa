/* Clients for many sessions at once, each on a thread of its own. Criterion's asserts do not work there, so that
 * nothing here asserts: what was wrong is kept for the test. */
#include "speaker.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEAR_MS 20000

static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;
static char failure[10000];

const char *speaker_failure(void) {
    return failure;
}

static void fail(struct speaker *speaker, const char *what, const char *allowed) {
    pthread_mutex_lock(&failure_lock);
    if (failure[0] == '\0')
        snprintf(failure, sizeof failure, "%s client %s: %s; allowed: %s\n%.*s", speaker->is_clean ? "clean" : "junk",
                 speaker->name, what, allowed, (int)speaker->told_length, speaker->told);
    pthread_mutex_unlock(&failure_lock);
    speaker->is_over = true;
}

/* Keeps the beginnings of what was said, and all that was heard. */
static void tell(struct speaker *speaker, const char *mark, const char *octets, size_t length) {
    size_t shown = length < 160 ? length : 160, room = sizeof speaker->told - speaker->told_length;
    int added = snprintf(speaker->told + speaker->told_length, room, "%s[%zu] %.*s%s", mark, length, (int)shown, octets,
                         shown > 0 && octets[shown - 1] == '\n' ? "" : "\n");
    if (added > 0 && (size_t)added < room)
        speaker->told_length += (size_t)added;
}

void speaker_init(struct speaker *speaker, unsigned number, uint64_t seed) {
    memset(speaker, 0, sizeof *speaker);
    chance_init(&speaker->chance, seed * 64 + number);
    speaker->talk.fd = -1;
    snprintf(speaker->name, sizeof speaker->name, "%u", number);
    snprintf(speaker->clean_source, sizeof speaker->clean_source, "127.60.1.%u", number + 1);
    snprintf(speaker->junk_source, sizeof speaker->junk_source, "127.60.2.%u", number + 1);
}

unsigned speaker_draw(struct speaker *speaker, unsigned below) {
    return chance_below(&speaker->chance, below);
}

bool speaker_begin(struct speaker *speaker, unsigned port) {
    speaker->has_left = speaker->is_over = false;
    speaker->leaves_after = -1;
    speaker->output_length = speaker->told_length = 0;
    speaker->code = 0;
    return talk_prepare(&speaker->talk, speaker->is_clean ? speaker->clean_source : speaker->junk_source) == 0 &&
           talk_connect(&speaker->talk, "127.0.0.1", port) == 0;
}

void speaker_end(struct speaker *speaker) {
    if (!speaker->is_clean && speaker_draw(speaker, 4) == 0)
        talk_reset(&speaker->talk);
    talk_end(&speaker->talk);
}

void speaker_leave_after(struct speaker *speaker, unsigned octets) {
    speaker->leaves_after = (long)octets;
}

/* --- saying --- */

void speaker_write(struct speaker *speaker, const char *format, ...) {
    va_list arguments;
    size_t room = sizeof speaker->output - speaker->output_length;
    va_start(arguments, format);
    int length = vsnprintf(speaker->output + speaker->output_length, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < room)
        speaker->output_length += (size_t)length;
}

void speaker_write_octets(struct speaker *speaker, const char *octets, size_t length) {
    if (length > sizeof speaker->output - speaker->output_length)
        return;
    memcpy(speaker->output + speaker->output_length, octets, length);
    speaker->output_length += length;
}

size_t speaker_take_back(struct speaker *speaker, char ret_octets[SPEAKER_OUTPUT_MAX]) {
    size_t length = speaker->output_length;
    memcpy(ret_octets, speaker->output, length);
    speaker->output_length = 0;
    return length;
}

void speaker_half_close(struct speaker *speaker) {
    shutdown(speaker->talk.fd, SHUT_WR);
    tell(speaker, "half-close ", "", 0);
}

/* By a reset, by a close, or by a half-close, behind which all must still come to an end. */
static void leave(struct speaker *speaker) {
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    unsigned way = speaker_draw(speaker, 3);
    speaker->has_left = true;
    if (way == 0)
        setsockopt(speaker->talk.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (way == 2)
        speaker_half_close(speaker);
    speaker->is_over = way != 2;
}

/* Whole, in a few pieces, or octet by octet; with pauses that let each arrive alone, or without. */
static size_t piece_of(struct speaker *speaker, unsigned manner, size_t left) {
    size_t piece = manner == 0 ? left : manner == 1 ? 1 + speaker_draw(speaker, 20) : 1 + speaker_draw(speaker, 8000);
    return piece < left ? piece : left;
}

void speaker_say(struct speaker *speaker) {
    unsigned manner = speaker_draw(speaker, 3);
    size_t said = 0;
    tell(speaker, "> ", speaker->output, speaker->output_length);
    if (manner == 1 && speaker->output_length > 1000)
        manner = 2;
    while (said < speaker->output_length && !speaker->has_left) {
        size_t piece = piece_of(speaker, manner, speaker->output_length - said);
        if (speaker->leaves_after >= 0 && (long)piece > speaker->leaves_after)
            piece = (size_t)speaker->leaves_after;
        if (!talk_say(&speaker->talk, speaker->output + said, piece))
            break; /* what it was told before is still heard */
        said += piece;
        if (speaker->leaves_after >= 0 && (speaker->leaves_after -= (long)piece) == 0)
            leave(speaker);
        if (speaker_draw(speaker, 4) == 0)
            pause_ms(1 + speaker_draw(speaker, 3));
    }
    speaker->output_length = 0;
}

/* --- hearing --- */

static unsigned code_of(const char *reply) {
    return (unsigned)((reply[0] - '0') * 100 + (reply[1] - '0') * 10 + (reply[2] - '0'));
}

/* The next reply; NULL at the end, with a reason that is no peaceful one in *ret_what. */
static const char *await_reply(struct speaker *speaker, const char **ret_what) {
    const char *heard = talk_hear(&speaker->talk, HEAR_MS);
    bool is_cut = speaker->talk.length > speaker->talk.from;
    *ret_what = NULL;
    if (talk_is_reply(heard)) {
        tell(speaker, "< ", heard, strlen(heard));
        speaker->code = code_of(heard);
        return heard;
    }
    if (strcmp(heard, "closed") != 0)
        *ret_what = heard;
    else if (is_cut)
        *ret_what = "a reply without its end";
    return NULL;
}

static bool is_allowed(const char *reply, const char *allowed) {
    while (allowed != NULL && *allowed != '\0') {
        size_t length = strcspn(allowed, "|");
        if (strncmp(reply, allowed, length) == 0)
            return true;
        allowed += length + (allowed[length] == '|');
    }
    return false;
}

/* Behind a 421 or 221 there is nothing but the end; before it, for junk, replies to the rest of a group. */
void speaker_hear_end(struct speaker *speaker) {
    const char *what;
    unsigned before = speaker->code;
    if (speaker->is_over)
        return;
    for (; await_reply(speaker, &what) != NULL; before = speaker->code) {
        bool has_ended = before == 421 || before == 521 || before == 221;
        if (has_ended || (speaker->is_clean && speaker->code != 421 && !speaker->has_left)) {
            fail(speaker, "more is said", "the end");
            return;
        }
    }
    if (what != NULL && (speaker->is_clean || strcmp(what, "silent") == 0) && !speaker->has_left)
        fail(speaker, what, "the end");
    speaker->is_over = true;
}

bool speaker_hear(struct speaker *speaker, const char *allowed) {
    const char *what;
    if (speaker->is_over)
        return false;
    const char *reply = await_reply(speaker, &what);
    if (reply == NULL) {
        bool is_stuck = what != NULL && strcmp(what, "silent") == 0;
        if (is_stuck || !speaker->has_left)
            fail(speaker, what != NULL ? what : "the end without a word", allowed);
        speaker->is_over = true;
        return false;
    }
    bool ends =
        is_allowed(reply, "421|220-mx.example.test ESMTP\r\n421") || (!speaker->is_clean && speaker->code == 521);
    bool blames = speaker->is_clean && !speaker->has_left && !is_allowed(reply, allowed) &&
                  (strstr(reply, "421 4.7") != NULL || strstr(reply, "timeout exceeded") != NULL);
    if (blames || (!ends && !is_allowed(reply, allowed))) {
        if (!speaker->has_left)
            fail(speaker, reply, allowed);
        return false;
    }
    if (!ends)
        return true;
    speaker->code = 421;
    speaker_hear_end(speaker);
    return false;
}

bool speaker_exchange(struct speaker *speaker, const char *allowed) {
    speaker_say(speaker);
    return speaker_hear(speaker, allowed);
}
