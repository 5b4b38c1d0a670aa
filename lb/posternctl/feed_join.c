/* Joins the lines about one mail. The mails are a ring in which the newest overwrites the oldest, with a hash chain by
 * queue id. The message's id, which senders choose, is only looked for among mails that await a verdict, and not
 * believed when two of them have it. feed.c brings the events that feed_log.c has read, and sends what comes out. Owns
 * the mails. */
#include "lb/posternctl/feed_join.h"

#include "lb/base/hash.h"

#include <stdlib.h>
#include <string.h>

#define CHAINS 4096u

struct mail {
    char queue_id[FEED_ID_MAX + 1]; /* "": none */
    struct address client;
    uint64_t message_id;
    struct mail *next; /* of its chain */
    bool has_verdict;
    bool was_sent;
};

struct connection {
    unsigned process;
    struct address client;
};

struct feed_join {
    bool takes_sent;
    struct mail *chains[CHAINS];
    struct mail mails[FEED_MAILS_MAX];
    unsigned newest_mail;
    struct connection connections[FEED_CONNECTIONS_MAX];
    unsigned newest_connection;
};

struct feed_join *feed_join_create(bool takes_sent) {
    struct feed_join *join = calloc(1, sizeof *join);
    if (join != NULL)
        join->takes_sent = takes_sent;
    return join;
}

void feed_join_destroy(struct feed_join *join) {
    free(join);
}

static struct mail **chain_of(struct feed_join *join, const char *queue_id) {
    return &join->chains[hash_text(HASH_START, queue_id) % CHAINS];
}

static struct mail *find_mail(struct feed_join *join, const char *queue_id) {
    struct mail *mail = *chain_of(join, queue_id);
    while (mail != NULL && strcmp(mail->queue_id, queue_id) != 0)
        mail = mail->next;
    return mail;
}

static void forget(struct feed_join *join, struct mail *mail) {
    if (mail->queue_id[0] == '\0')
        return;
    struct mail **link = chain_of(join, mail->queue_id);
    while (*link != mail)
        link = &(*link)->next;
    *link = mail->next;
    *mail = (struct mail){.queue_id = ""};
}

/* Queue ids may be used again, long after. */
static void begin_mail(struct feed_join *join, const struct feed_event *event) {
    struct mail *mail = find_mail(join, event->queue_id);
    if (mail == NULL) {
        mail = &join->mails[join->newest_mail++ % FEED_MAILS_MAX];
        forget(join, mail);
        struct mail **link = chain_of(join, event->queue_id);
        memcpy(mail->queue_id, event->queue_id, sizeof mail->queue_id);
        mail->next = *link;
        *link = mail;
    }
    mail->client = event->client;
    mail->message_id = 0;
    mail->has_verdict = mail->was_sent = false;
}

/* The one mail without a verdict that has this message's id; none when there are two. Looks at the newest only. */
static struct mail *find_message(struct feed_join *join, uint64_t message_id) {
    struct mail *found = NULL;
    for (unsigned i = 1; i <= FEED_MAILS_MAX && i <= join->newest_mail; i++) {
        struct mail *mail = &join->mails[(join->newest_mail - i) % FEED_MAILS_MAX];
        if (mail->queue_id[0] == '\0' || mail->has_verdict || mail->message_id != message_id)
            continue;
        if (found != NULL)
            return NULL;
        found = mail;
    }
    return found;
}

static bool tell(struct mail *mail, enum evidence_kind kind, struct feed_outcome *outcome) {
    if (mail == NULL || mail->has_verdict)
        return false;
    mail->has_verdict = true;
    *outcome = (struct feed_outcome){mail->client, kind};
    return true;
}

static struct connection *find_connection(struct feed_join *join, unsigned process) {
    for (unsigned i = 0; i < FEED_CONNECTIONS_MAX; i++)
        if (join->connections[i].process == process)
            return &join->connections[i];
    return NULL;
}

static void begin_connection(struct feed_join *join, const struct feed_event *event) {
    struct connection *connection = find_connection(join, event->process);
    if (connection == NULL)
        connection = &join->connections[join->newest_connection++ % FEED_CONNECTIONS_MAX];
    *connection = (struct connection){event->process, event->client};
}

/* The mail stays where it is: a filter's own line may come after Postfix is done. */
static bool end_mail(const struct feed_join *join, struct mail *mail, struct feed_outcome *outcome) {
    return join->takes_sent && mail != NULL && mail->was_sent && tell(mail, EVIDENCE_FEEDBACK_GOOD, outcome);
}

bool feed_join_take(struct feed_join *join, const struct feed_event *event, struct feed_outcome *ret_outcome) {
    struct mail *mail = event->queue_id[0] != '\0' ? find_mail(join, event->queue_id) : NULL;
    const struct connection *connection;
    switch (event->kind) {
    case FEED_NOTHING:
        return false;
    case FEED_CLIENT:
        begin_mail(join, event);
        return false;
    case FEED_CONNECTION_CLIENT:
        begin_connection(join, event);
        return false;
    case FEED_CONNECTION_VERDICT:
        connection = find_connection(join, event->process);
        if (connection != NULL)
            *ret_outcome = (struct feed_outcome){connection->client, event->verdict};
        return connection != NULL;
    case FEED_MESSAGE_ID:
        if (mail != NULL)
            mail->message_id = event->message_id;
        return false;
    case FEED_VERDICT:
        return tell(mail, event->verdict, ret_outcome);
    case FEED_MESSAGE_VERDICT:
        return tell(find_message(join, event->message_id), event->verdict, ret_outcome);
    case FEED_SENT:
        if (mail != NULL)
            mail->was_sent = true;
        return false;
    case FEED_REMOVED:
        return end_mail(join, mail, ret_outcome);
    }
    return false;
}
