/* Cuts a client's octets into the pieces that the gate takes one by one (gate_take_piece()): a line, a part of a chunk,
 * or what is neither. Pure. */
#include "lb/gate/input.h"

bool gate_looks_like_tls(const uint8_t *data, size_t length) {
    return length > 0 && data[0] == 0x16 && (length < 2 || data[1] == 0x03);
}

static enum gate_piece cut_line(const uint8_t *data, size_t length, size_t *ret_length) {
    size_t most = length < GATE_LINE_MAX ? length : GATE_LINE_MAX;
    for (size_t i = 0; i < most; i++) {
        bool is_behind_cr = i > 0 && data[i - 1] == '\r';
        if (data[i] != '\n' && !is_behind_cr)
            continue;
        *ret_length = i + 1;
        return data[i] == '\n' && is_behind_cr ? PIECE_LINE : PIECE_BARE;
    }
    *ret_length = 0;
    return length > GATE_LINE_MAX ? PIECE_LONG : PIECE_UNFINISHED;
}

enum gate_piece gate_next_piece(uint64_t chunk_left, const uint8_t *data, size_t length, size_t *ret_length) {
    *ret_length = 0;
    if (chunk_left > 0) {
        *ret_length = length < chunk_left ? length : (size_t)chunk_left;
        return PIECE_CHUNK;
    }
    if (gate_looks_like_tls(data, length))
        return PIECE_TLS;
    return cut_line(data, length, ret_length);
}
