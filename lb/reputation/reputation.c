/* From what was seen to verdicts, on the manager's thread. A verdict is decided at once when something bad was seen,
 * else by the sweep: nothing that takes weeks to earn has to be known within the second. Sessions, feeds, lookups,
 * operators and the keeper bring what is known; vetting.c decides. Owns the table of clients and the neighbourhoods. */
#include "lb/reputation/reputation.h"

#include "lb/engine/log.h"
#include "lb/reputation/hosts.h"
#include "lb/reputation/rdns.h"

#include <errno.h>
#include <string.h>

/* DESIGN §9: more than 30% unknown of at least 5 tried. */
#define RECIPIENTS_FEW      5u
#define UNKNOWN_PER_HUNDRED 30u
#define SECONDS_AN_HOUR     3600u

/* Results are asked for again before that, and not more often than this, whatever their TTL. */
#define RESULT_REFRESH_S (12 * SECONDS_AN_HOUR)
#define FRESH_MIN_S      300u
#define FRESH_MAX_S      (6 * SECONDS_AN_HOUR)
#define RETRY_S          60u

/* Clients for whom a sweep may do the whole arithmetic in one call: about 15 µs each (measured). */
#define SWEEP_DECISIONS_MAX 64u
/* There are fewer neighbourhoods than clients; those of one client are of no use. */
#define CLIENTS_PER_PARENT 4u

int reputation_init(struct reputation *reputation, const struct config *config, uint32_t now_s) {
    *reputation = (struct reputation){.config = &config->reputation, .lists_count = (unsigned)config->dnslists_count};
    for (unsigned i = 0; i < reputation->lists_count; i++)
        dnslist_init(&reputation->lists[i], &config->dnslists[i], now_s);
    int result = reputation_table_init(&reputation->table, config->reputation.entries_max);
    if (result == 0)
        result = parents_init(&reputation->parents, config->reputation.entries_max / CLIENTS_PER_PARENT);
    return result;
}

void reputation_finish(struct reputation *reputation) {
    reputation_table_finish(&reputation->table);
    parents_finish(&reputation->parents);
}

void reputation_set_access(struct reputation *reputation, const struct access *access, uint32_t now_s) {
    reputation->access = access;
    reputation->access_s = access->allowed.domains.count > 0 ? now_s : 0;
}

static void decide_now(struct reputation *reputation, uint64_t key, struct client *client, uint32_t now_s) {
    struct vetting vetting;
    vetting_decide(reputation, key, client, now_s, &vetting);
}

/* --- what comes in --- */

static struct client *obtain(struct reputation *reputation, uint64_t key, uint32_t now_s) {
    struct client *client = reputation_table_obtain(&reputation->table, key, reputation_day(now_s));
    if (reputation->table.dropped > 0 && !reputation->was_full_said) {
        reputation->was_full_said = true;
        log_warning("reputation: max-entries = %u is reached: those of whom least is known make room for others",
                    reputation->config->entries_max);
    }
    if (client == NULL && !reputation->was_refused_said) {
        reputation->was_refused_said = true;
        log_warning("reputation: a client found no place: max-entries = %u is too few for those who behave",
                    reputation->config->entries_max);
    }
    return client;
}

/* Of an address for which there would be no place nothing is asked. */
static void want_lookup(const struct reputation *reputation, uint64_t key, const struct client *client, uint64_t host,
                        uint32_t now_s) {
    uint8_t verdict = reputation_table_verdict(&reputation->table, client);
    unsigned place = hosts_choose(client, host, verdict, vetting_vetoes(reputation), now_s);
    const struct client_dns *own = hosts_find(client, host);
    if (place < CLIENT_HOSTS && (own == NULL || now_s >= own->ask_after_s) && reputation->wants_lookup != NULL)
        reputation->wants_lookup(reputation->wants_lookup_context, key, host);
}

static bool add_bad(struct reputation *reputation, struct evidence *evidence, const struct sighting *sighting,
                    uint16_t today) {
    const struct config_reputation *config = reputation->config;
    bool has_unknown =
        sighting->recipients >= RECIPIENTS_FEW && sighting->unknown * 100u > sighting->recipients * UNKNOWN_PER_HUNDRED;
    if (sighting->rejected > 0)
        evidence_add(evidence, EVIDENCE_MAIL_REJECTED, sighting->rejected, today, config);
    if (sighting->has_talked_early)
        evidence_add(evidence, EVIDENCE_PREGREET, 1, today, config);
    if (sighting->has_pipelined)
        evidence_add(evidence, EVIDENCE_PIPELINING, 1, today, config);
    if (sighting->is_not_smtp)
        evidence_add(evidence, EVIDENCE_NON_SMTP, 1, today, config);
    if (has_unknown)
        evidence_add(evidence, EVIDENCE_UNKNOWN_RECIPIENTS, 1, today, config);
    return sighting->rejected > 0 || sighting->has_talked_early || sighting->has_pipelined || sighting->is_not_smtp ||
           has_unknown;
}

void reputation_take(struct reputation *reputation, const struct sighting *sighting, uint32_t now_s) {
    uint16_t today = reputation_day(now_s);
    struct client *client = obtain(reputation, sighting->key, now_s);
    if (client == NULL)
        return;
    client->host = sighting->host;
    bool is_clean = sighting->clean > 0 && reputation->config->clean_evidence == CLEAN_EVIDENCE_REPLY;
    if (is_clean)
        evidence_add(&client->evidence, EVIDENCE_MAIL_CLEAN, sighting->clean, today, reputation->config);
    bool is_bad = add_bad(reputation, &client->evidence, sighting, today);
    if (is_clean || is_bad)
        reputation_table_mark(&reputation->table, client);
    if (is_bad)
        decide_now(reputation, sighting->key, client, now_s);
    if (sighting->clean > 0 || sighting->needed_vetting)
        want_lookup(reputation, sighting->key, client, client->host, now_s);
}

int reputation_feed(struct reputation *reputation, const struct address *address, enum evidence_kind kind,
                    uint32_t now_s) {
    uint64_t key = reputation_key(address);
    struct client *client = obtain(reputation, key, now_s);
    if (client == NULL)
        return -ENOSPC;
    client->host = reputation_host(address);
    evidence_add(&client->evidence, kind, 1, reputation_day(now_s), reputation->config);
    reputation_table_mark(&reputation->table, client);
    decide_now(reputation, key, client, now_s);
    want_lookup(reputation, key, client, client->host, now_s);
    return 0;
}

int reputation_set_decree(struct reputation *reputation, const struct address *address, enum decree decree,
                          uint32_t now_s) {
    uint64_t key = reputation_key(address);
    struct client *client = obtain(reputation, key, now_s);
    if (client == NULL)
        return -ENOSPC;
    client->decree = (uint8_t)decree;
    reputation_table_mark(&reputation->table, client);
    decide_now(reputation, key, client, now_s);
    return 0;
}

bool reputation_forget(struct reputation *reputation, const struct address *address) {
    uint64_t key = reputation_key(address);
    struct client *client = reputation_table_find(&reputation->table, key);
    if (client == NULL)
        return false;
    if (reputation->table.on_dropped != NULL)
        reputation->table.on_dropped(reputation->table.on_dropped_context, key);
    reputation_table_remove(&reputation->table, client);
    return true;
}

int reputation_put(struct reputation *reputation, const struct address *address, const struct client *client,
                   uint32_t now_s) {
    uint64_t key = reputation_key(address);
    struct client *place = obtain(reputation, key, now_s);
    if (place == NULL)
        return -ENOSPC;
    *place = *client;
    place->host = reputation_host(address);
    reputation_table_mark(&reputation->table, place);
    decide_now(reputation, key, place, now_s);
    return 0;
}

static void take_name(struct reputation *reputation, uint64_t key, struct client_dns *dns,
                      const struct dns_findings *findings, uint32_t now_s) {
    struct address address = reputation_key_address(key, dns->host);
    const char *domain = NULL;
    dns->name = (uint8_t)findings->name;
    dns->name_s = now_s;
    dns->allowed_by = 0;
    dns->domain = 0;
    if (findings->name != NAME_CONFIRMED)
        return;
    const char *allowed =
        reputation->access == NULL ? NULL : network_file_find_name(&reputation->access->allowed, findings->confirmed);
    dns->allowed_by = allowed != NULL ? vetting_domain_number(allowed) : 0;
    if (!rdns_is_generic(findings->confirmed, &address))
        domain = rdns_domain(findings->confirmed);
    if (domain == NULL)
        return;
    dns->domain = parent_of_domain(domain);
    parents_set_name(&reputation->parents, dns->domain, domain);
}

static uint16_t lists_that_count(const struct reputation *reputation) {
    unsigned mask = 0;
    for (unsigned i = 0; i < reputation->lists_count; i++)
        mask |= (unsigned)(reputation->lists[i].state != DNSLIST_OFF) << i;
    return (uint16_t)mask;
}

/* The results of this address, new ones where it takes another one's place; NULL: no room. */
static struct client_dns *obtain_dns(const struct reputation *reputation, struct client *client, uint64_t host,
                                     uint32_t now_s) {
    uint8_t verdict = reputation_table_verdict(&reputation->table, client);
    unsigned place = hosts_choose(client, host, verdict, vetting_vetoes(reputation), now_s);
    if (place == CLIENT_HOSTS)
        return NULL;
    struct client_dns *dns = &client->dns[place];
    if (!dns->is_used || dns->host != host)
        *dns = (struct client_dns){.host = host, .is_used = true};
    return dns;
}

void reputation_take_findings(struct reputation *reputation, uint64_t key, uint64_t host,
                              const struct dns_findings *findings, uint32_t now_s) {
    struct client *client = reputation_table_find(&reputation->table, key);
    struct client_dns *dns = client == NULL ? NULL : obtain_dns(reputation, client, host, now_s);
    if (dns == NULL)
        return;
    uint16_t needed = lists_that_count(reputation);
    bool has_lists = (findings->answered & needed) == needed;
    if (findings->has_name_answer)
        take_name(reputation, key, dns, findings, now_s);
    dns->listed = (uint16_t)((dns->listed & ~findings->answered) | findings->listed);
    if (has_lists)
        dns->lists_s = now_s;
    uint32_t fresh_s = findings->ttl_s < FRESH_MIN_S ? FRESH_MIN_S : findings->ttl_s;
    fresh_s = fresh_s > FRESH_MAX_S ? FRESH_MAX_S : fresh_s;
    dns->ask_after_s = now_s + (findings->has_name_answer && has_lists ? fresh_s : RETRY_S);
    reputation_table_mark(&reputation->table, client);
    decide_now(reputation, key, client, now_s);
}

/* --- the sweep --- */

/* A client is one child of each domain. */
static bool is_first_of_domain(const struct client *client, unsigned place) {
    for (unsigned i = 0; i < place; i++)
        if (client->dns[i].domain == client->dns[place].domain && client->dns[i].name == NAME_CONFIRMED)
            return false;
    return true;
}

static void add_to_parents(struct reputation *reputation, uint64_t key, const struct client *client, uint16_t today) {
    struct evidence now = client->evidence;
    struct parent_share share = {.first_day = client->evidence.first_day,
                                 .is_vetted =
                                     (reputation_table_verdict(&reputation->table, client) & VERDICT_VETTED) != 0,
                                 .network = parent_of_network(key)};
    if (now.days == 0)
        return;
    evidence_advance(&now, today, reputation->config);
    evidence_totals(&now, reputation->config, &share.good, &share.bad);
    parents_add(&reputation->parents, share.network, &share);
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        if (client->dns[i].domain != 0 && client->dns[i].name == NAME_CONFIRMED && is_first_of_domain(client, i))
            parents_add(&reputation->parents, client->dns[i].domain, &share);
}

static void refresh_host(const struct reputation *reputation, uint64_t key, const struct client *client,
                         const struct client_dns *dns, bool is_of_interest, uint32_t now_s) {
    bool is_old = now_s - dns->name_s > RESULT_REFRESH_S ||
                  (reputation->lists_count > 0 && now_s - dns->lists_s > RESULT_REFRESH_S);
    bool is_of_other_file = dns->name == NAME_CONFIRMED && dns->name_s <= reputation->access_s;
    if (is_of_interest && is_old)
        want_lookup(reputation, key, client, dns->host, now_s);
    else if (is_of_other_file && reputation->wants_lookup != NULL) /* however fresh it is */
        reputation->wants_lookup(reputation->wants_lookup_context, key, dns->host);
}

/* Results of those who would be vetted, or could be but for them, are kept from growing old. */
static void refresh(const struct reputation *reputation, uint64_t key, const struct client *client,
                    const struct vetting *vetting, uint32_t now_s) {
    bool is_of_interest =
        vetting->is_vetted || (vetting->own.has_days && vetting->own.has_age && vetting->own.has_clean_month);
    bool has_results = false;
    for (unsigned i = 0; i < CLIENT_HOSTS; i++) {
        has_results |= client->dns[i].is_used;
        if (client->dns[i].is_used)
            refresh_host(reputation, key, client, &client->dns[i], is_of_interest, now_s);
    }
    if (!has_results && is_of_interest)
        want_lookup(reputation, key, client, client->host, now_s);
}

void reputation_sweep(struct reputation *reputation, unsigned places, uint32_t now_s) {
    unsigned all = reputation_table_places(&reputation->table), decisions = 0;
    for (unsigned i = 0; i < places && i < all && decisions < SWEEP_DECISIONS_MAX; i++) {
        uint64_t key;
        struct vetting vetting;
        struct client *client = reputation_table_at(&reputation->table, reputation->sweep_at, &key);
        if (client != NULL) {
            decisions += vetting_decide(reputation, key, client, now_s, &vetting);
            add_to_parents(reputation, key, client, reputation_day(now_s));
            refresh(reputation, key, client, &vetting, now_s);
        }
        if (++reputation->sweep_at == all) {
            reputation->sweep_at = 0;
            parents_turn(&reputation->parents);
        }
    }
}

bool reputation_load(struct reputation *reputation, uint64_t key, const struct client *loaded, uint32_t now_s) {
    struct client *client = obtain(reputation, key, now_s);
    if (client == NULL)
        return false;
    *client = *loaded;
    decide_now(reputation, key, client, now_s);
    add_to_parents(reputation, key, client, reputation_day(now_s));
    return true;
}

/* What they add up to is known from now on; the sweep begins anew. */
void reputation_on_loaded(struct reputation *reputation) {
    parents_turn(&reputation->parents);
    reputation->sweep_at = 0;
}

unsigned reputation_count_vetted(const struct reputation *reputation) {
    unsigned vetted = 0;
    for (unsigned i = 0; i < reputation_table_places(&reputation->table); i++)
        vetted += (atomic_load_explicit(&reputation->table.verdicts[i], memory_order_relaxed) & VERDICT_VETTED) != 0;
    return vetted;
}
