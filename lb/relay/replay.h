/* A new backend is told what the lost one, or the gate, knew (replay.c). */
#ifndef POSTERN_RELAY_REPLAY_H
#define POSTERN_RELAY_REPLAY_H

#include "lb/relay/stage.h"

extern const struct stage stage_replay;

#endif
