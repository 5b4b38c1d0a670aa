/* The PROXY header before a client's first octet (proxy_in.c). */
#ifndef POSTERN_RELAY_PROXY_IN_H
#define POSTERN_RELAY_PROXY_IN_H

#include "lb/relay/stage.h"

extern const struct stage stage_proxy_in;

#endif
