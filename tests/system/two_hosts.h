/* Postern before two scripted hosts, of which the second is asked when the first one fails; one worker, no probes. */
#ifndef POSTERN_TESTS_TWO_HOSTS_H
#define POSTERN_TESTS_TWO_HOSTS_H

#include "scripted.h"
#include "talk.h"

#define HELLO    TALK_HELLO
#define ENVELOPE TALK_MAIL TALK_RCPT

struct two_hosts {
    struct scene scene;
    struct scripted first, second;
};

/* A mail, for talk_script(). */
extern const char *const two_hosts_mail[];

/* `sections`: further ones of postern.ini. */
void two_hosts_begin(struct two_hosts *site, const char *sections);
/* Nothing must be left of any session. */
void two_hosts_end(struct two_hosts *site);
/* What both sides do between these comes in one turn of the loop. */
void two_hosts_hold_turn(struct two_hosts *site);
void two_hosts_end_turn(struct two_hosts *site);
/* A client of the first host, which has not greeted it yet, and what it said to postern so far. */
void two_hosts_begin_held(struct two_hosts *site, struct talk *talk, const char *early, size_t length);

#endif
