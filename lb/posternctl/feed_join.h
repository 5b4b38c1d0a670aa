/* Joins what a mail log tells of one mail: smtpd names the client, a filter the verdict. Bounded: the oldest mails are
 * forgotten first. Pure. */
#ifndef POSTERN_POSTERNCTL_FEED_JOIN_H
#define POSTERN_POSTERNCTL_FEED_JOIN_H

#include "lb/posternctl/feed_log.h"

/* Mails between smtpd and their verdict. */
#define FEED_MAILS_MAX       16384u
#define FEED_CONNECTIONS_MAX 512u

struct feed_outcome {
    struct address client;
    enum evidence_kind kind;
};

struct feed_join;

/* `takes_sent`: a mail that was delivered without any filter's verdict counts as good. Returns NULL without memory. */
struct feed_join *feed_join_create(bool takes_sent);
void feed_join_destroy(struct feed_join *join);
/* Returns true when this event completes what is to be told of a mail: once for each. */
bool feed_join_take(struct feed_join *join, const struct feed_event *event, struct feed_outcome *ret_outcome);

#endif
