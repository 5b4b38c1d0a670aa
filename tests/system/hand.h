/* A backend whose every word the test says itself, so that a session stands exactly where it is wanted. One connection
 * at a time is of interest; postern's tier has check = none, so that there are no others. */
#ifndef POSTERN_TESTS_HAND_H
#define POSTERN_TESTS_HAND_H

#include "talk.h"

struct hand {
    struct scene scene;
    unsigned port;
    int listener;
    struct talk host; /* of the connection taken last */
    struct talk client;
};

/* Starts postern before it, with one worker and its log in the scene's postern.log. `global`: further options. */
void hand_begin(struct hand *hand, const char *global);
void hand_end(struct hand *hand);

/* Takes the next connection of postern instead of the one before. */
void hand_take(struct hand *hand);
/* The host says it, to somebody who is there. */
void hand_say(struct hand *hand, const char *octets);
/* The client says it, postern's host hears it and answers, the client hears that. */
void hand_exchange(struct hand *hand, const char *octets, const char *answer);

/* A session up to here. */
enum hand_stage { HAND_GREETED, HAND_MAIL, HAND_RCPT, HAND_CONTENT, HAND_DOT, HAND_TLS };
void hand_session(struct hand *hand, enum hand_stage stage);

/* Sends SIGTERM, and waits until the log says that postern stops. */
void hand_stop(struct hand *hand);
/* Waits for postern's own end, which must be exit status 0. */
void hand_expect_exit(struct hand *hand, unsigned ms);

#endif
