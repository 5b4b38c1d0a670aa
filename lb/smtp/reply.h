/* SMTP replies as they come off the wire, in any split (RFC 5321 §4.2). Pure. */
#ifndef POSTERN_SMTP_REPLY_H
#define POSTERN_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_status {
    REPLY_MORE,     /* all consumed, the reply goes on */
    REPLY_COMPLETE, /* its last line has ended */
    REPLY_INVALID,  /* not a reply: no code, codes that differ, a line or the whole over its bound, a bare CR or LF */
};

/* An enhanced status code class.subject.detail (RFC 3463 §2); class 0: the reply has none. */
struct enhanced_code {
    uint8_t class;
    uint16_t subject;
    uint16_t detail;
};

struct reply_parser {
    uint16_t line_max;
    uint16_t total_max;
    uint16_t line_octets;
    uint16_t total_octets;
    uint16_t lines;
    uint16_t code; /* of the first line; the later ones must repeat it */
    uint16_t line_code;
    uint8_t enhanced_part; /* 0..2 while the first line's text may still be one, else ENHANCED_DONE */
    bool part_has_digit : 1;
    bool is_last_line : 1;
    bool has_cr : 1;
    bool is_invalid : 1;
    struct enhanced_code enhanced;
};

/* A reader that holds nothing of a reply needs no bound. */
#define REPLY_NO_BOUND UINT16_MAX

/* `line_max` counts a line with its CRLF; RFC 5321 §4.5.3.1.5 allows 512. */
void reply_parser_init(struct reply_parser *parser, uint16_t line_max, uint16_t total_max);

/* Consumes up to the end of one reply; returns the octets consumed. After COMPLETE, init again for the next. */
size_t reply_parser_feed(struct reply_parser *parser, const uint8_t *data, size_t length,
                         enum reply_status *ret_status);

/* True when a greeting, or a 421 at any time, refuses this client and not mail in general: 521, or 4xx and 5xx with an
 * enhanced code x.7.x (RFC 3463 §3.8, policy). Another backend would say the same. */
bool reply_is_verdict_on_client(const struct reply_parser *parser);

/* Copies the last line of a reply for a log line: printable ASCII only, without its CRLF, cut to fit. */
void reply_excerpt(const uint8_t *reply, size_t length, char *ret_text, size_t text_size);

/* Looks for a keyword in a complete reply to EHLO (RFC 5321 §4.1.1.1; the first line is the host's name). ASCII case
 * does not count. */
bool reply_offers(const uint8_t *reply, size_t length, const char *keyword);

#endif
