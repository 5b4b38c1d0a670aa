/* What a server offers in its reply to EHLO: kept as hashes so that two can be compared quickly, or as text that can be
 * offered to somebody else. Pure. */
#ifndef POSTERN_SMTP_EHLO_H
#define POSTERN_SMTP_EHLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Postfix offers 12 keywords, Exchange 16. */
#define EHLO_KEYWORDS_MAX 32

struct ehlo_offer {
    uint64_t keywords[EHLO_KEYWORDS_MAX]; /* hashes of the keyword with its parameters, in capitals, ascending */
    uint64_t size_max; /* of SIZE (RFC 1870 §4); UINT64_MAX: it names no limit; 0: SIZE is not offered */
    uint8_t count;
    bool has_pipelining;
};

/* Reads a complete reply to EHLO (RFC 5321 §4.1.1.1; the first line is the host's name and does not count). Returns
 * false when it has too many keywords. */
bool ehlo_offer_parse(const uint8_t *reply, size_t length, struct ehlo_offer *ret_offer);
/* The complete reply to EHLO invites the client to talk before the greeting when it comes again: Exim's PIPECONNECT
 * (X_PIPE_CONNECT up to 4.93), which a client keeps for a week (retry_data_expire). */
bool ehlo_invites_early_talk(const uint8_t *reply, size_t length);
bool ehlo_offer_equal(const struct ehlo_offer *a, const struct ehlo_offer *b);
/* Everything that `wanted` has is offered, with the same parameters; of SIZE, as large ones at least. */
bool ehlo_offer_covers(const struct ehlo_offer *offer, const struct ehlo_offer *wanted);

/* An offer as text, "KEYWORD PARAMETERS\n" each, with its NUL; Exchange's has 300 octets. */
#define EHLO_LINES_MAX 1024

/* Takes from a complete reply to EHLO what may be offered in the server's name: keywords in capitals, one space between
 * words, each keyword once. Without XCLIENT and XFORWARD, which are for us and for nobody behind us, without AUTH,
 * without PIPECONNECT (Exim: whoever takes it up talks before the greeting), and without what is no keyword by RFC 5321
 * §4.1.1.1; what does not fit is left out, since less is always safe. */
void ehlo_lines_read(const uint8_t *reply, size_t length, char ret_lines[EHLO_LINES_MAX]);
/* `keyword` of so many octets is among them, in any case of letters, with parameters or without. */
bool ehlo_lines_have(const char *lines, const char *keyword, size_t length);
/* Leaves in `lines` what `other` offers too, with the same parameters; of two limits of SIZE (RFC 1870) the smaller. */
void ehlo_lines_intersect(char lines[EHLO_LINES_MAX], const char *other);
/* Writes the keywords of `wanted` that `lines` does not have, with a space between; "" when there are none. Parameters
 * do not count. */
void ehlo_lines_lacking(const char *lines, const char *wanted, char *ret_keywords, size_t size);

#endif
