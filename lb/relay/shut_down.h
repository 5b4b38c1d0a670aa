/* Sessions that are brought to an end from outside: all of a worker at a stop, those on one backend at `shutdown
 * sessions`. Each hears 421 as soon as that costs no mail; one whose mail is in content or awaits its final reply may
 * end it first, one inside TLS is ended when it is quiet. What is left after `stop-timeout` is cut, and a mail that
 * might be delivered twice is logged. */
#ifndef POSTERN_RELAY_SHUT_DOWN_H
#define POSTERN_RELAY_SHUT_DOWN_H

#include <stdbool.h>

struct worker;

void shut_down_init(struct worker *worker);
/* A stopping worker has nothing more to do. */
bool shut_down_is_over(const struct worker *worker);

#endif
