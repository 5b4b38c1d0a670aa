/* What the DNS is asked about clients, on the manager's ring. One lookup asks for the PTR name and all lists side by
 * side, then for the addresses of each name in turn until one leads back. It ends when the last answer is in, and tells
 * the reputation what was found. Owns the lookups, the line of those that wait, and the lists' tests. Nothing is fatal
 * here: a lookup that finds no place is dropped and counted. */
#include "lb/reputation/lookups.h"

#include "lb/dns/client_name.h"
#include "lb/engine/container.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct waiting {
    uint64_t key;
    uint64_t host;
};

struct list_query {
    struct dns_query query;
    struct lookup *lookup;
    unsigned list;
};

struct lookup {
    struct lookups *lookups;
    bool is_used;
    uint64_t key, host;
    struct address address;
    struct dns_query name_query;
    struct client_name_walk name;
    struct list_query lists[CONFIG_DNSLISTS_MAX];
    unsigned open; /* answers that are not in yet; the lookup's own start is one */
    struct dns_findings findings;
};

struct list_test {
    struct lookups *lookups;
    unsigned list;
    struct dns_query queries[2]; /* 127.0.0.2, 127.0.0.1 */
    struct dns_answer answers[2];
    unsigned open;
};

struct lookups {
    struct resolver *resolver;
    struct reputation *reputation;
    uint32_t now_s;
    struct lookup running[LOOKUPS_AT_ONCE];
    unsigned running_count;
    struct list_test tests[CONFIG_DNSLISTS_MAX];
    struct waiting waiting[LOOKUPS_WAITING];
    unsigned first_waiting, waiting_count;
    uint64_t done, dropped;
};

/* Seconds are enough for the bound on a walk. */
static uint64_t now_ms(const struct lookups *lookups) {
    return (uint64_t)lookups->now_s * 1000;
}

/* --- one client --- */

static void end_part(struct lookup *lookup) {
    struct lookups *lookups = lookup->lookups;
    if (--lookup->open > 0)
        return;
    lookup->is_used = false;
    lookups->running_count--;
    lookups->done++;
    reputation_take_findings(lookups->reputation, lookup->key, lookup->host, &lookup->findings, lookups->now_s);
}

static void note_ttl(struct lookup *lookup, const struct dns_answer *answer) {
    if (answer->ttl_s < lookup->findings.ttl_s)
        lookup->findings.ttl_s = answer->ttl_s;
}

static void end_names(struct lookup *lookup) {
    struct dns_findings *findings = &lookup->findings;
    findings->has_name_answer = lookup->name.result != CLIENT_NAME_FAILED;
    if (lookup->name.ttl_s < findings->ttl_s)
        findings->ttl_s = lookup->name.ttl_s;
    switch (lookup->name.result) {
    case CLIENT_NAME_CONFIRMED:
        findings->name = NAME_CONFIRMED;
        snprintf(findings->confirmed, sizeof findings->confirmed, "%s", lookup->name.name);
        break;
    case CLIENT_NAME_NONE:
        findings->name = NAME_NONE;
        break;
    case CLIENT_NAME_FAILED:
        findings->name = NAME_UNKNOWN;
        break;
    }
    end_part(lookup);
}

static void on_name_answer(struct dns_query *query, const struct dns_answer *answer) {
    struct lookup *lookup = container_of(query, struct lookup, name_query);
    if (client_name_take(&lookup->name, answer, now_ms(lookup->lookups)))
        end_names(lookup);
    else
        resolver_ask(lookup->lookups->resolver, query, lookup->name.name, lookup->name.type);
}

static void on_list_answer(struct dns_query *query, const struct dns_answer *answer) {
    struct list_query *part = container_of(query, struct list_query, query);
    struct lookup *lookup = part->lookup;
    struct dnslist *list = &lookup->lookups->reputation->lists[part->list];
    char text[ADDRESS_TEXT_MAX];
    uint32_t strange;
    enum dnslist_result result = dnslist_judge(list, answer, &strange);
    if (strange != 0)
        dnslist_alarm(list, strange, address_format_host(&lookup->address, text), lookup->lookups->now_s);
    if (result != DNSLIST_NO_ANSWER) {
        lookup->findings.answered |= (uint16_t)(1u << part->list);
        note_ttl(lookup, answer);
    }
    if (result == DNSLIST_LISTED) {
        lookup->findings.listed |= (uint16_t)(1u << part->list);
        list->listed++;
    }
    end_part(lookup);
}

static void ask_list(struct lookup *lookup, unsigned number) {
    const struct dnslist *list = &lookup->lookups->reputation->lists[number];
    struct list_query *part = &lookup->lists[number];
    char name[DNS_NAME_MAX + 1];
    if (list->state != DNSLIST_ON || !dns_reverse_name(&lookup->address, list->config->zone, name, sizeof name))
        return;
    lookup->open++;
    resolver_ask(lookup->lookups->resolver, &part->query, name, DNS_A);
}

static void begin(struct lookups *lookups, struct lookup *lookup, const struct waiting *waiting) {
    *lookup = (struct lookup){.lookups = lookups,
                              .is_used = true,
                              .key = waiting->key,
                              .host = waiting->host,
                              .address = reputation_key_address(waiting->key, waiting->host),
                              .name_query.on_answer = on_name_answer,
                              .open = 2, /* the names, and this function */
                              .findings.ttl_s = UINT32_MAX};
    lookups->running_count++;
    for (unsigned i = 0; i < lookups->reputation->lists_count; i++) {
        lookup->lists[i] = (struct list_query){
            {.on_answer = on_list_answer, .wanted = dnslist_wanted(&lookups->reputation->lists[i])}, lookup, i};
        ask_list(lookup, i);
    }
    client_name_begin(&lookup->name, &lookup->address, now_ms(lookups));
    lookup->name_query.wanted = client_name_wanted(&lookup->name);
    resolver_ask(lookups->resolver, &lookup->name_query, lookup->name.name, lookup->name.type);
    end_part(lookup);
}

/* --- tests of lists --- */

static void on_test_answer(struct list_test *test, unsigned number, const struct dns_answer *answer) {
    struct lookups *lookups = test->lookups;
    test->answers[number] = *answer;
    if (--test->open == 0)
        dnslist_take_test(&lookups->reputation->lists[test->list], &test->answers[0], &test->answers[1],
                          lookups->now_s);
}

static void on_listed_answer(struct dns_query *query, const struct dns_answer *answer) {
    on_test_answer(container_of(query, struct list_test, queries[0]), 0, answer);
}

static void on_unlisted_answer(struct dns_query *query, const struct dns_answer *answer) {
    on_test_answer(container_of(query, struct list_test, queries[1]), 1, answer);
}

static void begin_test(struct lookups *lookups, unsigned number) {
    struct list_test *test = &lookups->tests[number];
    const char *zone = lookups->reputation->lists[number].config->zone;
    struct dns_wanted wanted = dnslist_wanted(&lookups->reputation->lists[number]);
    char name[DNS_NAME_MAX + 1];
    *test = (struct list_test){.lookups = lookups,
                               .list = number,
                               .queries = {{.on_answer = on_listed_answer, .wanted = wanted},
                                           {.on_answer = on_unlisted_answer, .wanted = wanted}},
                               .open = 2};
    snprintf(name, sizeof name, "2.0.0.127.%s", zone);
    resolver_ask(lookups->resolver, &test->queries[0], name, DNS_A);
    snprintf(name, sizeof name, "1.0.0.127.%s", zone);
    resolver_ask(lookups->resolver, &test->queries[1], name, DNS_A);
}

/* --- all of them --- */

/* This address is being looked up or waits, or as many of its network as have a place. */
static bool is_known(const struct lookups *lookups, uint64_t key, uint64_t host) {
    unsigned others = 0;
    for (unsigned i = 0; i < LOOKUPS_AT_ONCE; i++) {
        const struct lookup *running = &lookups->running[i];
        if (!running->is_used || running->key != key)
            continue;
        if (running->host == host || ++others == CLIENT_HOSTS)
            return true;
    }
    /* The last few only: a busy client comes again and again, and one that is looked up twice does no harm. */
    for (unsigned i = 0; i < lookups->waiting_count && i < LOOKUPS_AT_ONCE; i++) {
        const struct waiting *waiting =
            &lookups->waiting[(lookups->first_waiting + lookups->waiting_count - 1 - i) % LOOKUPS_WAITING];
        if (waiting->key == key && (waiting->host == host || ++others == CLIENT_HOSTS))
            return true;
    }
    return false;
}

static void add(void *context, uint64_t key, uint64_t host) {
    struct lookups *lookups = context;
    if (is_known(lookups, key, host))
        return;
    if (lookups->waiting_count == LOOKUPS_WAITING) {
        lookups->dropped++;
        return;
    }
    lookups->waiting[(lookups->first_waiting + lookups->waiting_count++) % LOOKUPS_WAITING] =
        (struct waiting){key, host};
}

/* Lists first: without their word a lookup is worth little. */
static bool is_testing(const struct lookups *lookups) {
    for (unsigned i = 0; i < lookups->reputation->lists_count; i++)
        if (lookups->tests[i].open > 0 && lookups->reputation->lists[i].state == DNSLIST_TESTING)
            return true;
    return false;
}

void lookups_tick(struct lookups *lookups, uint32_t now_s) {
    lookups->now_s = now_s;
    for (unsigned i = 0; i < lookups->reputation->lists_count; i++)
        if (lookups->tests[i].open == 0 && now_s >= lookups->reputation->lists[i].test_s)
            begin_test(lookups, i);
    for (unsigned i = 0; i < LOOKUPS_AT_ONCE && lookups->waiting_count > 0 && !is_testing(lookups); i++) {
        if (lookups->running[i].is_used)
            continue;
        struct waiting next = lookups->waiting[lookups->first_waiting];
        lookups->first_waiting = (lookups->first_waiting + 1) % LOOKUPS_WAITING;
        lookups->waiting_count--;
        begin(lookups, &lookups->running[i], &next);
    }
}

int lookups_create(struct resolver *resolver, struct reputation *reputation, struct lookups **ret_lookups) {
    struct lookups *lookups = calloc(1, sizeof *lookups);
    if (lookups == NULL)
        return -ENOMEM;
    lookups->resolver = resolver;
    lookups->reputation = reputation;
    reputation->wants_lookup = add;
    reputation->wants_lookup_context = lookups;
    *ret_lookups = lookups;
    return 0;
}

void lookups_destroy(struct lookups *lookups) {
    if (lookups == NULL)
        return;
    for (unsigned i = 0; i < LOOKUPS_AT_ONCE; i++) {
        resolver_cancel(&lookups->running[i].name_query);
        for (unsigned list = 0; list < CONFIG_DNSLISTS_MAX; list++)
            resolver_cancel(&lookups->running[i].lists[list].query);
    }
    for (unsigned list = 0; list < CONFIG_DNSLISTS_MAX; list++) {
        resolver_cancel(&lookups->tests[list].queries[0]);
        resolver_cancel(&lookups->tests[list].queries[1]);
    }
    lookups->reputation->wants_lookup = NULL;
    free(lookups);
}

void lookups_read_stats(const struct lookups *lookups, struct lookups_stats *ret_stats) {
    *ret_stats =
        (struct lookups_stats){lookups->running_count, lookups->waiting_count, lookups->done, lookups->dropped};
}
