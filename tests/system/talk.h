/* The one driver that speaks SMTP: an end of a connection, a client's or a server's, which says and hears octet by
 * octet, so that what stands in one segment counts. Each wait has a bound. A host on threads of its own that answers by
 * rules is scripted.h, and stands on this. */
#ifndef POSTERN_TESTS_TALK_H
#define POSTERN_TESTS_TALK_H

#include "harness.h"

#define TALK_MS    15000u
#define TALK_HEARD 65536u

#define TALK_HELLO "EHLO client.test\r\n"
#define TALK_MAIL  "MAIL FROM:<a@client.test>\r\n"
#define TALK_RCPT  "RCPT TO:<user@example.test>\r\n"

struct talk {
    int fd;                     /* < 0: it has ended */
    unsigned patience_ms;       /* how long what is expected is awaited; TALK_MS, until the test sets it otherwise */
    char heard[TALK_HEARD + 1]; /* all so far; when it is full, what was taken out of it goes */
    size_t length;
    size_t from; /* where what has not been taken yet begins */
};

/* --- a connection; these assert nothing and may be called on any thread --- */

/* A socket from `source` (NULL: 127.0.0.1), for options that must stand before it connects. 0 or -errno. */
int talk_prepare(struct talk *talk, const char *source);
/* 0 or -errno; the socket is closed then. */
int talk_connect(struct talk *talk, const char *host, unsigned port);
/* These may come again, and where it never began (.fd = -1). */
void talk_end(struct talk *talk);
void talk_reset(struct talk *talk);

/* Connects to 127.0.0.1 from `source`, which must succeed. */
void talk_begin(struct talk *talk, const char *source, unsigned port);
/* Listens on a free port of 127.0.0.1; returns the socket. */
int talk_listen(unsigned *ret_port);
/* The server's end of the next connection to it. */
void talk_take(struct talk *talk, int listening);

/* --- saying and hearing; on any thread --- */

/* One segment. False when the peer is gone, which is no failure by itself: what it said is still heard. */
bool talk_say(struct talk *talk, const char *octets, size_t length);
bool talk_tell(struct talk *talk, const char *text);
/* The next complete reply, "closed" or "reset" at the end of the stream, "silent" after `ms`. Valid until the thread's
 * next call. */
const char *talk_hear(struct talk *talk, unsigned ms);
/* False for those words in a reply's place. */
bool talk_is_reply(const char *heard);

/* --- expecting; these fail the test --- */

/* The next reply begins so ("closed": the end). */
void talk_expect(struct talk *talk, const char *begins);
void talk_expect_each(struct talk *talk, unsigned count, const char *begins);
/* Takes what comes until `text` stands in it. */
void talk_await(struct talk *talk, const char *text);
/* Says it and expects the reply. */
void talk_exchange(struct talk *talk, const char *text, const char *begins);

/* Speaks `steps` in turn: what the next reply must begin with ("closed": the end), then what to say; NULL at the end.
 * "" as a reply: say on without hearing. A failure names `name`, the step and what was heard. */
void talk_steps(struct talk *talk, const char *name, const char *const *steps);
/* The same on a connection of its own. */
void talk_script(const char *name, const char *source, unsigned port, const char *const *steps);
/* The same, and returns the last reply instead of comparing any; to be freed. */
char *talk_last_reply(const char *source, unsigned port, const char *const *steps);
/* Says each line of `script`, with CR LF behind it, after the last reply has come; \r, \n, \xHH in it mean these
 * octets. With `client` (an IPv4 address) a PROXY v1 header says that this is who comes. Returns all that was heard (to
 * be freed), each line ended by LF, and "closed" where the server hung up; "" where nobody listens. */
char *talk_lines(unsigned port, const char *client, const char *script);

/* --- the steps of a session --- */

/* Connects, is greeted, says EHLO and hears its reply. */
void talk_open(struct talk *talk, const char *source, unsigned port);
/* MAIL, RCPT, each after the reply to the one before. */
void talk_envelope(struct talk *talk);
/* The same up to the 354. */
void talk_transaction(struct talk *talk);
/* QUIT, its 221, and the end. */
void talk_quit(struct talk *talk);

#endif
