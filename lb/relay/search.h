/* The search for a backend (search.c). */
#ifndef POSTERN_RELAY_SEARCH_H
#define POSTERN_RELAY_SEARCH_H

#include "lb/relay/stage.h"

extern const struct stage stage_search, stage_connect, stage_greeting;

#endif
