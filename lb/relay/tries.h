/* A session's tries at backends: up to two beside each other, and which it has made. */
#ifndef POSTERN_RELAY_TRIES_H
#define POSTERN_RELAY_TRIES_H

#include "lb/relay/attempt.h"
#include "lb/relay/session.h"

enum trial {
    TRIAL_BEGUN,
    TRIAL_WAITS,    /* some are full, or may come up at once */
    TRIAL_NONE,     /* every usable one was tried */
    TRIAL_SHORTAGE, /* our own: with no backend it would be otherwise */
};

/* A search begins: for a handler to return. */
enum stage_id tries_search(struct session *session, enum search_purpose purpose);
/* And comes to its end, likewise: a backend has greeted; nobody could be reached, for this reason. */
enum stage_id tries_found(const struct session *session);
enum stage_id tries_found_nobody(struct session *session, enum close_reason reason);

/* Connects to a member of the tier that was not tried yet. A suspect only when nobody else is there. */
enum trial tries_begin(struct session *session, const struct view_tier *tier, bool takes_suspects,
                       struct attempt **ret_attempt);
/* The second one, in the tier of the first. Of two that are both slow the older one goes. */
void tries_hedge(struct session *session);
/* One is of no use: said in the log, held against whom it must, and let go; the next one is tried at once. For a
 * handler to return. */
enum stage_id tries_failed(struct attempt *attempt, enum failure failure, const char *why);
/* The first complete 220 wins, and a verdict: the other one goes. */
void tries_win(struct attempt *attempt);
/* This one has said what counts: it is left with a word, and the other one goes. */
void tries_leave(struct attempt *attempt);
/* None goes on. */
void tries_give_up(struct session *session);
/* The backend that it was committed to is lost. */
void tries_lose(struct session *session);
/* A backend may be asked again, as nothing was wrong with it; all may. */
void tries_forget(struct session *session, const struct backend *backend);
void tries_forget_all(struct session *session);
/* This reply in the attempt's greeting buffer, GREETING_BYTES_MAX at most, is the session's last words. */
void tries_take_words(struct attempt *attempt, size_t from, size_t length);

#endif
