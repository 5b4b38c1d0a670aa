/* The end of a session, stage by stage (ending.c). */
#ifndef POSTERN_RELAY_ENDING_H
#define POSTERN_RELAY_ENDING_H

#include "lb/relay/stage.h"

extern const struct stage stage_ending, stage_refusing, stage_lingering, stage_closing, stage_free;

#endif
