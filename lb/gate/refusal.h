/* The dialog with those of whom no mail is taken. A client that is not admitted, where [gate] refuse = rcpt, is heard
 * up to its recipients, each of which gets 450 4.3.2, so that the sender's log names them. The health check of a
 * balancer before postern is heard up to MAIL. Pure.
 *
 * It offers what common senders insist on (a sender that needs SMTPUTF8 and is not offered it bounces its mail); TLS is
 * not offered. Every refusal that a sender might act on for good is a 4xx. */
#ifndef POSTERN_GATE_REFUSAL_H
#define POSTERN_GATE_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 5321 §4.5.3.1.4, with room for extensions (DESIGN §8). */
#define REFUSAL_LINE_MAX 2048u
/* What one call of refusal_feed() may write: it stops before a line whose reply might not fit. */
#define REFUSAL_REPLY_MAX 512u

enum refusal_kind {
    REFUSAL_AT_RCPT, /* a client that is not admitted */
    REFUSAL_AT_MAIL, /* a health check */
};

struct refusal {
    enum refusal_kind kind;
    char line[REFUSAL_LINE_MAX];
    uint16_t line_length;
    uint16_t commands;
    uint16_t recipients; /* refused */
    uint16_t unknown;    /* commands that are none */
    bool has_sender;
    bool has_cr;
    bool is_foreign;     /* it spoke HTTP, or said a mail's header */
    bool is_over;        /* the last reply has been written: close */
    uint64_t chunk_left; /* of BDAT, thrown away */
};

void refusal_init(struct refusal *refusal, enum refusal_kind kind);
/* Writes the greeting; returns its length. */
size_t refusal_greet(const char *hostname, char *ret_text, size_t size);
/* Takes octets of the client and writes replies to them, as far as `size` has room for: at least twice
 * REFUSAL_REPLY_MAX. Returns how many octets were taken: all, unless there is no more room or the dialog is over. */
size_t refusal_feed(struct refusal *refusal, const char *hostname, const uint8_t *data, size_t length, char *ret_text,
                    size_t size, size_t *ret_length);

#endif
