/* A dialog spoken octet by octet, where what stands in one segment counts. */
#ifndef POSTERN_TESTS_TALK_H
#define POSTERN_TESTS_TALK_H

#include "harness.h"

struct talk {
    int fd;
    char heard[65536]; /* all so far */
    size_t length;
    size_t from; /* where the last reply begins */
};

/* Connects from `source` (NULL: any loopback address). */
void talk_begin(struct talk *talk, const char *source, unsigned port);
void talk_end(struct talk *talk);
/* One segment. A peer that is gone already is no failure: what it said is still heard. */
void talk_say(struct talk *talk, const char *octets, size_t length);
/* The next complete reply; "closed" at the end of the stream, "silent" after `ms`. Valid until the next call. */
const char *talk_hear(struct talk *talk, unsigned ms);

/* Speaks `steps` in turn: what the next reply must begin with ("closed": the end), then what to say; NULL at the end.
 * "" as a reply: say on without hearing. Fails the test with `name` and what was heard. */
void talk_script(const char *name, const char *source, unsigned port, const char *const *steps);
/* The same, and returns the reply to the last thing said instead of comparing it; to be freed. */
char *talk_last_reply(const char *source, unsigned port, const char *const *steps);

#endif
