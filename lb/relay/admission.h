/* Who is let in (admission.c). */
#ifndef POSTERN_RELAY_ADMISSION_H
#define POSTERN_RELAY_ADMISSION_H

#include "lb/relay/session.h"

extern const struct stage stage_accepted;

/* The client is known: decides whether it is vetted, and begins the search. For a handler to return. */
enum stage_id admission_admit(struct session *session);

#endif
