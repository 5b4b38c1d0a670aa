/* When a turn of the loop begins new work (deadlines, sweeps, the queue): once what has come was taken, so that what
 * work brings about does not pile up; with more and more coming, once in a while. Pure. */
#ifndef POSTERN_ENGINE_PACE_H
#define POSTERN_ENGINE_PACE_H

#include <stdbool.h>

struct pace {
    unsigned behind;      /* completions taken since all that were there had been */
    unsigned since_work;  /* completions taken since work was begun */
    unsigned empty_turns; /* in a row, though more was announced */
    bool may_begin_work;  /* in this turn */
};

/* Whether this turn takes all that there is: `there` completions stand ready, and the kernel announces more or not. The
 * kernel raises its flag behind the work that it announces, so that the flag can come when that work is done: then it
 * stands until the next work, and would keep all deadlines back for ever. Turns that bring nothing tell. */
bool pace_has_all(struct pace *pace, unsigned there, bool is_announced);
/* The turn has taken `done` completions. Returns true when deadlines may pass now: that of a reply which has come, but
 * which a stall has kept from being heard, does not. */
bool pace_turn(struct pace *pace, unsigned done, bool is_all);

#endif
