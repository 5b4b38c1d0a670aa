/* What a client has said since its server's last word, in numbers: more octets than a command has may be a group of
 * commands, and as few as an alert of TLS has are an alert. relay.c counts, moment.c and loss.c ask. Pure. */
#include "lb/relay/turn.h"

#include "lb/engine/limits.h"

/* RFC 8446 §5.1 */
enum record { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };

static bool is_long(const struct turn *turn) {
    bool is_hello = turn->is_tls && turn->first == RECORD_HANDSHAKE;
    return !is_hello && turn->octets > TLS_COMMAND_MAX;
}

void turn_begin(struct turn *turn, uint8_t first, bool is_tls) {
    *turn = (struct turn){.first = first, .is_tls = is_tls, .had_group_before = is_long(turn)};
}

void turn_add(struct turn *turn, unsigned octets) {
    unsigned room = UINT16_MAX - turn->octets;
    turn->octets = (uint16_t)(turn->octets + (octets < room ? octets : room));
}

bool turn_may_hold_group(const struct turn *turn) {
    return is_long(turn) || turn->had_group_before;
}

bool turn_is_farewell(const struct turn *turn) {
    return turn->is_tls && (turn->first == RECORD_ALERT || turn->octets <= TLS_ALERT_MAX);
}
