/* Mails that may be delivered twice (doubled.c). */
#ifndef POSTERN_RELAY_DOUBLED_H
#define POSTERN_RELAY_DOUBLED_H

#include "lb/relay/session.h"

/* Writes the line on a mail that its backend may accept, and its client will send again: for a session in RELAY that is
 * about to be closed. */
void doubled_log(const struct session *session);

#endif
