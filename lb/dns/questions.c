/* Questions of workers to the DNS. Each comes by mailbox to the manager's thread, finds its answer in the cache, joins
 * an equal one that is under way, or begins a walk (lb/dns/mail_domain.h, lb/dns/client_name.h) in a free place; its
 * answer goes back by the asker's mailbox.
 *
 * Owns the places, the cache and the mailbox, all of the manager's thread. A question itself is its asker's, and lent
 * until it is answered. Nothing is fatal here: without a free place the answer is that it failed. */
#include "lb/dns/questions.h"

#include "lb/dns/answer_cache.h"
#include "lb/dns/client_name.h"
#include "lb/engine/container.h"

#include <libpsl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Chains of walks by their key; a power of two. */
#define BUCKETS 1024u

struct walk {
    struct dns_query query;
    struct questions *questions;
    struct walk *next; /* in its bucket, or among the free ones */
    uint64_t key;
    enum question_kind kind;
    struct dns_question *waiting; /* linked by message.next, newest first */
    union {
        struct {
            struct mail_domain_walk mail_domain;
            char domain[256];
        };
        struct client_name_walk client_name;
    };
};

struct questions {
    struct io *io;
    struct resolver *resolver;
    struct mailbox mailbox;
    struct answer_cache *cache;
    struct walk *free_walks;
    struct walk *buckets[BUCKETS];
    struct questions_stats stats;
    unsigned places; /* of the resolver's */
    bool is_stopped;
    struct shares shares; /* of `walks`, by their place there */
    struct walk walks[QUESTIONS_AT_ONCE];
};

/* --- answers --- */

static void question_deliver_answer(struct message *message, void *receiver) {
    struct dns_question *question = container_of(message, struct dns_question, message);
    (void)receiver;
    question->on_answer(question);
}

/* Returns true when the answer is that there is none. The question is its asker's again. */
static bool answer(struct dns_question *question, uint8_t result, const char *name) {
    bool has_failed = false;
    switch (question->kind) {
    case QUESTION_MAIL_DOMAIN:
        question->mail_domain = (enum mail_domain)result;
        has_failed = result == MAIL_DOMAIN_FAILED;
        break;
    case QUESTION_CLIENT_NAME:
        snprintf(question->name, sizeof question->name, "%s", name);
        has_failed = question->has_failed = result == CLIENT_NAME_FAILED;
        break;
    }
    question->message.deliver = question_deliver_answer;
    mailbox_post(question->reply, &question->message);
    return has_failed;
}

/* --- walks --- */

static struct walk **bucket_of(struct questions *questions, uint64_t key) {
    return &questions->buckets[key % BUCKETS];
}

static struct walk *find_walk(struct questions *questions, uint64_t key) {
    struct walk *walk = *bucket_of(questions, key);
    while (walk != NULL && walk->key != key)
        walk = walk->next;
    return walk;
}

static void join(struct walk *walk, struct dns_question *question) {
    question->message.next = walk->waiting == NULL ? NULL : &walk->waiting->message;
    walk->waiting = question;
}

static void release(struct walk *walk) {
    struct questions *questions = walk->questions;
    shares_give_back(&questions->shares, (unsigned)(walk - questions->walks));
    struct walk **link = bucket_of(questions, walk->key);
    while (*link != walk)
        link = &(*link)->next;
    *link = walk->next;
    walk->next = questions->free_walks;
    questions->free_walks = walk;
    questions->stats.under_way--;
}

static void end(struct walk *walk, uint8_t result, const char *name, uint64_t keep_ms) {
    struct questions *questions = walk->questions;
    answer_cache_put(questions->cache, walk->key, result, name, keep_ms, io_now_ms(questions->io));
    struct dns_question *question = walk->waiting;
    while (question != NULL) {
        struct message *next = question->message.next;
        questions->stats.failed += answer(question, result, name);
        question = next == NULL ? NULL : container_of(next, struct dns_question, message);
    }
    release(walk);
}

static void ask_next(struct walk *walk) {
    struct questions *questions = walk->questions;
    questions->stats.queries++;
    if (walk->kind == QUESTION_MAIL_DOMAIN)
        resolver_ask(questions->resolver, &walk->query, walk->domain, walk->mail_domain.type);
    else
        resolver_ask(questions->resolver, &walk->query, walk->client_name.name, walk->client_name.type);
}

/* May run within resolver_ask(). */
static void on_dns_answer(struct dns_query *query, const struct dns_answer *dns_answer) {
    struct walk *walk = container_of(query, struct walk, query);
    const struct client_name_walk *name = &walk->client_name;
    switch (walk->kind) {
    case QUESTION_MAIL_DOMAIN:
        if (!mail_domain_take(&walk->mail_domain, dns_answer))
            break;
        end(walk, (uint8_t)walk->mail_domain.result, "",
            answer_keep_ms(walk->mail_domain.ttl_s, walk->mail_domain.result == MAIL_DOMAIN_FAILED));
        return;
    case QUESTION_CLIENT_NAME:
        if (!client_name_take(&walk->client_name, dns_answer, io_now_ms(walk->questions->io)))
            break;
        end(walk, (uint8_t)name->result, name->result == CLIENT_NAME_CONFIRMED ? name->name : "",
            answer_keep_ms(name->ttl_s, name->result == CLIENT_NAME_FAILED));
        return;
    }
    ask_next(walk);
}

/* --- shares --- */

/* Kinds of keys beside those of questions. */
enum { KEY_CLIENT = 16, KEY_ZONE };

/* Of a domain what its owner has registered; of an address's name the zone of its /24 or /48. */
static uint64_t zone_key(const struct questions *questions, const struct dns_question *question) {
    unsigned count;
    const uint8_t *octets = address_octets(&question->client, &count);
    if (question->kind == QUESTION_CLIENT_NAME)
        return answer_cache_key(questions->cache, KEY_ZONE, octets, count == 16 ? 6 : 3);
    const char *zone = psl_registrable_domain(psl_builtin(), question->domain);
    zone = zone == NULL ? question->domain : zone;
    return answer_cache_key(questions->cache, KEY_ZONE, zone, strlen(zone));
}

/* A client is its /32 or /64. */
static void read_share_keys(const struct questions *questions, const struct dns_question *question,
                            uint64_t *ret_client, uint64_t *ret_zone) {
    unsigned count;
    const uint8_t *octets = address_octets(&question->client, &count);
    *ret_client = answer_cache_key(questions->cache, KEY_CLIENT, octets, count == 16 ? 8 : 4) | 1;
    *ret_zone = zone_key(questions, question) | 1;
}

static unsigned free_places(const struct questions *questions) {
    unsigned free = QUESTIONS_AT_ONCE - questions->stats.under_way;
    unsigned of_resolver = questions->places < QUESTIONS_PLACES_MAX ? QUESTIONS_PLACES_MAX - questions->places : 0;
    return free < of_resolver ? free : of_resolver;
}

static void begin(struct questions *questions, struct dns_question *question, uint64_t key) {
    struct walk *walk = questions->free_walks;
    struct walk **bucket = bucket_of(questions, key);
    uint64_t client, zone;
    read_share_keys(questions, question, &client, &zone);
    if (walk == NULL || questions->is_stopped ||
        !shares_admit(&questions->shares, client, zone, question->is_vetted, free_places(questions))) {
        questions->stats.dropped++;
        answer(question, question->kind == QUESTION_MAIL_DOMAIN ? MAIL_DOMAIN_FAILED : CLIENT_NAME_FAILED, "");
        return;
    }
    questions->free_walks = walk->next;
    questions->stats.under_way++;
    shares_take(&questions->shares, (unsigned)(walk - questions->walks), client, zone);
    walk->next = *bucket;
    *bucket = walk;
    walk->key = key;
    walk->kind = question->kind;
    walk->waiting = NULL;
    join(walk, question);
    if (question->kind == QUESTION_MAIL_DOMAIN) {
        mail_domain_begin(&walk->mail_domain);
        walk->query.wanted = (struct dns_wanted){NULL, NULL};
        memcpy(walk->domain, question->domain, sizeof walk->domain);
    } else {
        client_name_begin(&walk->client_name, &question->client, io_now_ms(questions->io));
        walk->query.wanted = client_name_wanted(&walk->client_name);
    }
    ask_next(walk);
}

/* --- questions --- */

static uint64_t key_of(const struct questions *questions, const struct dns_question *question) {
    unsigned length;
    if (question->kind == QUESTION_MAIL_DOMAIN)
        return answer_cache_key(questions->cache, QUESTION_MAIL_DOMAIN, question->domain, strlen(question->domain));
    const uint8_t *octets = address_octets(&question->client, &length);
    return answer_cache_key(questions->cache, QUESTION_CLIENT_NAME, octets, length);
}

static void question_deliver(struct message *message, void *receiver) {
    struct dns_question *question = container_of(message, struct dns_question, message);
    struct questions *questions = receiver;
    uint8_t result;
    const char *name;
    questions->stats.asked++;
    if (question->kind == QUESTION_MAIL_DOMAIN && mail_domain_is_not_asked(question->domain)) {
        answer(question, MAIL_DOMAIN_TAKES_MAIL, "");
        return;
    }
    uint64_t key = key_of(questions, question);
    struct walk *walk = find_walk(questions, key);
    if (answer_cache_find(questions->cache, key, io_now_ms(questions->io), &result, &name)) {
        questions->stats.cache_hits++;
        questions->stats.failed += answer(question, result, name);
    } else if (walk != NULL) {
        join(walk, question);
    } else {
        begin(questions, question, key);
    }
}

void questions_ask(struct questions *questions, struct dns_question *question) {
    question->domain[sizeof question->domain - 1] = '\0';
    address_unmap(&question->client);
    question->name[0] = '\0';
    question->has_failed = false;
    question->message.deliver = question_deliver;
    mailbox_post(&questions->mailbox, &question->message);
}

/* --- life --- */

int questions_create(struct io *io, struct resolver *resolver, struct questions **ret_questions) {
    uint8_t seed[16];
    struct questions *questions = calloc(1, sizeof *questions);
    if (questions == NULL)
        return -ENOMEM;
    questions->io = io;
    questions->resolver = resolver;
    for (unsigned i = 0; i < QUESTIONS_AT_ONCE; i++) {
        struct walk *walk = &questions->walks[i];
        walk->questions = questions;
        walk->query.on_answer = on_dns_answer;
        walk->query.places = &questions->places;
        walk->next = questions->free_walks;
        questions->free_walks = walk;
    }
    int result = mailbox_init(&questions->mailbox, io, questions, NULL);
    /* A question costs a look into the cache, and those of one instant should be one query: all of a worker at once. */
    questions->mailbox.turn_max = GATE_QUESTIONS_MAX;
    if (result == 0 && getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        result = -EIO;
    if (result == 0)
        result = answer_cache_create(seed, &questions->cache);
    if (result < 0) {
        questions_destroy(questions);
        return result;
    }
    *ret_questions = questions;
    return 0;
}

void questions_start(struct questions *questions) {
    mailbox_start(&questions->mailbox);
}

void questions_stop(struct questions *questions) {
    questions->is_stopped = true;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (questions->buckets[i] != NULL) {
            struct walk *walk = questions->buckets[i];
            resolver_cancel(&walk->query);
            end(walk, walk->kind == QUESTION_MAIL_DOMAIN ? MAIL_DOMAIN_FAILED : CLIENT_NAME_FAILED, "", 0);
        }
    }
}

void questions_destroy(struct questions *questions) {
    if (questions == NULL)
        return;
    for (unsigned i = 0; i < QUESTIONS_AT_ONCE; i++)
        resolver_cancel(&questions->walks[i].query);
    mailbox_finish(&questions->mailbox);
    answer_cache_destroy(questions->cache);
    free(questions);
}

void questions_read_stats(const struct questions *questions, struct questions_stats *ret_stats) {
    *ret_stats = questions->stats;
}
