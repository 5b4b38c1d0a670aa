/* One reply of the gate's, and what it means for the session. Pure. */
#ifndef POSTERN_GATE_ANSWER_H
#define POSTERN_GATE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* That to EHLO is the longest. */
#define GATE_REPLY_MAX 2048u

/* What the caller is to do. */
enum gate_next {
    GATE_REPLIES,      /* the answer holds the reply */
    GATE_SKIPS,        /* content that nobody takes: there is no reply to that */
    GATE_WAITS,        /* a fact is awaited: gate_resume() when it is known */
    GATE_HANDS_OVER,   /* the host behind answers this command */
    GATE_QUITS,        /* it said QUIT */
    GATE_CUTS_BARE,    /* a bare CR or LF */
    GATE_CUTS_LINE,    /* the line is too long */
    GATE_CUTS_FOREIGN, /* it is not SMTP: HTTP, TLS or a mail's header */
    GATE_CUTS_TALKER,  /* too many commands or errors */
};

struct gate_answer {
    char text[GATE_REPLY_MAX]; /* complete, each line with its CRLF */
    size_t length;
    uint16_t code;
    bool closes; /* nothing can be said behind it: 221, and 421 and 521, whoever has written them (RFC 5321 §3.8,
                    RFC 7504 §3) */
};

/* A reply of one line whose words stand fast: "450", "4.3.2 Service is limited". Code 0: none. */
struct gate_words {
    uint16_t code;
    const char *text;
};

/* "code text". Returns GATE_REPLIES. */
enum gate_next answer_say(struct gate_answer *ret_answer, unsigned code, const char *text);
/* "code enhanced hostname text". Likewise. */
enum gate_next answer_say_named(struct gate_answer *ret_answer, unsigned code, const char *enhanced,
                                const char *hostname, const char *text);
/* "code-text" and "code text" of many lines, which a caller has written: `length` octets stand in ret_answer->text. */
void answer_finish(struct gate_answer *ret_answer, unsigned code, size_t length);

#endif
