/* What a feed and postern say to each other about the outcome of mails. Pure.
 *
 *   postern:  postern-feedback 1 NONCE
 *   feed:     NUMBER ADDRESS WORD MAC        WORD: good, ham, spam, virus, trap; or "0 - hello MAC" as a sign of life
 *   postern:  ok NUMBER                      or "error: …", and the connection ends
 *
 * MAC is the HMAC-SHA256 (RFC 2104) by the shared key of "NONCE NUMBER ADDRESS WORD", in hexadecimal. The nonce is new
 * for each connection and numbers only grow, so that nothing can be said twice by who listened. Nothing is encrypted.
 */
#ifndef POSTERN_FEEDBACK_WIRE_H
#define POSTERN_FEEDBACK_WIRE_H

#include "lb/reputation/evidence_kind.h"

#include "lb/base/address.h"

#include <stdint.h>
#include <stdio.h>

#define FEEDBACK_NONCE_LENGTH 32u /* in hexadecimal */
#define FEEDBACK_LINE_MAX     200u
#define FEEDBACK_KEY_MIN      16u
#define FEEDBACK_KEY_MAX      1024u
#define FEEDBACK_GREETING     "postern-feedback 1 "

struct feedback_key {
    unsigned char octets[FEEDBACK_KEY_MAX];
    unsigned length;
};

/* Reads the key, all of the file but line ends behind it. Returns 0 or -errno, said on `errors`. */
int feedback_key_read(const char *path, FILE *errors, struct feedback_key *ret_key);
/* Fresh random octets in hexadecimal. Returns false when there are none. */
bool feedback_nonce_make(char ret_nonce[FEEDBACK_NONCE_LENGTH + 1]);

/* Writes a line with its line end. `address` and `word` as they stand in the line. */
void feedback_line_write(const struct feedback_key *key, const char *nonce, uint64_t number, const char *address,
                         const char *word, char ret_line[FEEDBACK_LINE_MAX]);

struct feedback_line {
    uint64_t number;
    bool is_hello;
    struct address client;
    enum evidence_kind kind;
};
/* Takes a line (written into, without its end) apart. `after`: the number must be greater, but for a hello. Returns
 * NULL, or what is wrong with it. */
const char *feedback_line_read(const struct feedback_key *key, const char *nonce, uint64_t after, char *line,
                               struct feedback_line *ret_line);

#endif
