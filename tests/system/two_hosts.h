/* Postern before two scripted hosts, of which the second is asked when the first one fails; one worker, no probes. */
#ifndef POSTERN_TESTS_TWO_HOSTS_H
#define POSTERN_TESTS_TWO_HOSTS_H

#include "scripted.h"
#include "talk.h"

#define HELLO    "EHLO client.test\r\n"
#define ENVELOPE "MAIL FROM:<a@client.test>\r\nRCPT TO:<user@example.test>\r\n"
#define HEAR_MS  10000u

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

/* Forgets what it was told. */
void scripted_begin_anew(struct scripted *host);
/* All that it was told is this; `what` for the failure's text. */
void scripted_expect_told(struct scripted *host, const char *wanted, const char *what);

/* The next reply begins so. */
void talk_expect(struct talk *talk, const char *begins);
void talk_expect_each(struct talk *talk, unsigned count, const char *begins);

#endif
