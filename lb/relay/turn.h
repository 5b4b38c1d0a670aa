/* What a client has said since its server's last word. Where octets can't be read, their number and the beginning of
 * their first record are all that tells a command, which is answered and done, from a group of commands with a mail's
 * content behind them (RFC 2920, RFC 3030), to which more replies may come, of which one may accept the mail. Pure. */
#ifndef POSTERN_RELAY_TURN_H
#define POSTERN_RELAY_TURN_H

#include <stdbool.h>
#include <stdint.h>

struct turn {
    uint16_t octets; /* no more are counted than this can hold */
    uint8_t first;   /* octet: inside TLS the type of the record */
    bool is_tls : 1;
    bool
        had_group_before : 1; /* the turn before this one might: this may be its rest, behind the first replies to it */
};

/* `first`: the first octet of those that begin a new turn. `is_tls`: they are records of TLS. */
void turn_begin(struct turn *turn, uint8_t first, bool is_tls);
void turn_add(struct turn *turn, unsigned octets);

/* More replies may be owed than have come, and a mail be accepted by one of them. */
bool turn_may_hold_group(const struct turn *turn);
/* It is an alert that TLS ends (close_notify), or as short as one. */
bool turn_is_farewell(const struct turn *turn);

#endif
