/* Questions to the DNS from any thread, answered on the asker's own: whether a domain takes mail, and the name that
 * leads back to a client. The resolver is the manager's, so questions go there by mailbox and come back by mailbox;
 * equal ones under way are asked once, and answers are kept for their TTL (lb/dns/answer_cache.h). */
#ifndef POSTERN_DNS_QUESTIONS_H
#define POSTERN_DNS_QUESTIONS_H

#include "lb/dns/mail_domain.h"
#include "lb/dns/shares.h"
#include "lb/engine/mailbox.h"

/* Different questions under way, each with one query in flight; one more fails at once. c-ares may hold the places of
 * queries past their deadlines, so those count too: half of all at most, the rest is reputation's. */
#define QUESTIONS_AT_ONCE    SHARES_PLACES
#define QUESTIONS_PLACES_MAX (DNS_QUERIES_MAX / 2)

enum question_kind { QUESTION_MAIL_DOMAIN, QUESTION_CLIENT_NAME };

/* Embedded in its owner, which lives until on_answer has run. */
struct dns_question {
    struct message message;
    struct mailbox *reply;                            /* the asking worker's */
    void (*on_answer)(struct dns_question *question); /* on the asking worker's thread, once */
    enum question_kind kind;
    char domain[256];             /* in: of QUESTION_MAIL_DOMAIN, lower case */
    struct address client;        /* in: who is asked about, or for */
    bool is_vetted;               /* in: that client is */
    enum mail_domain mail_domain; /* out */
    char name[256];               /* out: of QUESTION_CLIENT_NAME: the confirmed name in lower case, "" = none */
    bool has_failed;              /* out: of QUESTION_CLIENT_NAME: the DNS gave no answer */
};

struct questions;

/* On the manager's ring. Both outlive it. Returns 0, -ENOMEM or another -errno. */
int questions_create(struct io *io, struct resolver *resolver, struct questions **ret_questions);
/* When the ring runs. */
void questions_start(struct questions *questions);
/* Answers all that is open, and whatever is asked from now on and not known, at once as failed: at a stop no session
 * waits for the DNS. */
void questions_stop(struct questions *questions);
/* When no thread asks any more, before the resolver; what is open gets no answer. Accepts NULL. */
void questions_destroy(struct questions *questions);

/* From any thread. Always answered, in bounded time: CLIENT_NAME_TIME_MS and one query, or three queries with their
 * deadlines, at most; over the bound of questions under way at once, as failed. */
void questions_ask(struct questions *questions, struct dns_question *question);

struct questions_stats {
    uint64_t asked;
    uint64_t cache_hits;
    uint64_t queries; /* what was left to ask of the resolver */
    uint64_t failed;  /* answered so, the dropped ones not among them */
    uint64_t dropped; /* over the bound */
    unsigned under_way;
};
/* On the manager's thread. */
void questions_read_stats(const struct questions *questions, struct questions_stats *ret_stats);

#endif
