/* What a client's octets begin with, where the gate takes commands: only CRLF ends a line, since two servers may read a
 * bare CR or LF differently. Pure. */
#ifndef POSTERN_GATE_INPUT_H
#define POSTERN_GATE_INPUT_H

#include "lb/smtp/dialog_guard.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line is no longer (512 in RFC 5321 §4.5.3.1.4, extensions enlarge it). */
#define GATE_LINE_MAX GUARDED_COMMAND_MAX

enum gate_piece {
    PIECE_UNFINISHED, /* the beginning of a line */
    PIECE_LINE,       /* with its CRLF */
    PIECE_CHUNK,      /* of a chunk whose BDAT was refused */
    PIECE_BARE,       /* a bare CR or LF: up to it, or the octet behind it */
    PIECE_LONG,       /* a line without an end; nothing is taken */
    PIECE_TLS,        /* a TLS record where a command should begin; nothing is taken */
};

/* `chunk_left`: octets of a refused chunk that are still to come. *ret_length: how many octets the piece has. */
enum gate_piece gate_next_piece(uint64_t chunk_left, const uint8_t *data, size_t length, size_t *ret_length);
/* Type handshake (22), version 3.x (RFC 8446 §5.1). */
bool gate_looks_like_tls(const uint8_t *data, size_t length);

#endif
