/* Octets between a client and its backend (relay.c). */
#ifndef POSTERN_RELAY_RELAY_H
#define POSTERN_RELAY_RELAY_H

#include "lb/relay/stage.h"

extern const struct stage stage_relay;

#endif
