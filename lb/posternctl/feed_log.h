/* What lines of a mail log tell about mails: Postfix, Amavis, SpamAssassin's spamd and rspamd, by syslog (BSD's form,
 * with priorities as FreeBSD has them, or RFC 5424's), as journalctl prints them, or in their own files. Pure. A
 * client's address comes only from smtpd's own words; what stands in <> or quotes is the sender's choice and never read
 * for a verdict. */
#ifndef POSTERN_POSTERNCTL_FEED_LOG_H
#define POSTERN_POSTERNCTL_FEED_LOG_H

#include "lb/reputation/evidence_kind.h"

#include "lb/base/address.h"

enum feed_event_kind {
    FEED_NOTHING,
    FEED_CLIENT,            /* queue_id: this client's mail */
    FEED_CONNECTION_CLIENT, /* process: what smtpd hands to its proxy filter is this client's */
    FEED_CONNECTION_VERDICT,
    FEED_MESSAGE_ID, /* queue_id has message_id */
    FEED_VERDICT,    /* of queue_id */
    FEED_MESSAGE_VERDICT,
    FEED_SENT,    /* queue_id was delivered to a recipient */
    FEED_REMOVED, /* queue_id is done with */
};

#define FEED_ID_MAX 31u
/* A line that is longer is none of these programs' (with its NUL). */
#define FEED_LINE_MAX 8192u

struct feed_event {
    enum feed_event_kind kind;
    char queue_id[FEED_ID_MAX + 1];
    unsigned process;
    uint64_t message_id; /* a hash of it */
    struct address client;
    enum evidence_kind verdict;
};

/* `line` without its end. */
void feed_log_read(const char *line, struct feed_event *ret_event);

#endif
