/* From what was seen to verdicts. A verdict is decided at once when something bad was seen, else by the sweep: nothing
 * that takes weeks to earn has to be known within the second. */
#include "lb/reputation/reputation.h"

#include "lb/engine/log.h"
#include "lb/reputation/rdns.h"

#include <errno.h>
#include <string.h>

/* DESIGN §9: more than 30% unknown of at least 5 tried. */
#define RECIPIENTS_FEW      5u
#define UNKNOWN_PER_HUNDRED 30u
#define SECONDS_A_DAY       86400u
#define SECONDS_AN_HOUR     3600u

/* DNS results count for 24 h (DESIGN §9); the sweep comes round within the hour. */
#define RESULT_AGE_MAX_S (23 * SECONDS_AN_HOUR)
/* Results are asked for again before that, and not more often than this, whatever their TTL. */
#define RESULT_REFRESH_S (12 * SECONDS_AN_HOUR)
#define FRESH_MIN_S      300u
#define FRESH_MAX_S      (6 * SECONDS_AN_HOUR)
#define RETRY_S          60u

/* A parent speaks for a child when so many others belong to it (DESIGN §9). */
#define PARENT_OTHERS_MIN 3u
#define PARENT_CONFIDENCE 0.05
/* Below this bound a parent's prior is worse than none. That is right where it has earned it, and not where only little
 * is known yet: then it takes at least this share of bad evidence. */
#define PARENT_HELPS_FROM 0.84
#define PARENT_BAD_SHARE  0.02

/* Whose new addresses are admitted on its own good name (DESIGN §9). */
#define PROVIDER_BOUND        0.95
#define PROVIDER_VETTED_MIN   20u
#define PROVIDER_NETWORKS_MIN 5u
#define PROVIDER_DAYS_MIN     60u

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

uint16_t reputation_day(uint32_t now_s) {
    return (uint16_t)(now_s / SECONDS_A_DAY);
}

/* --- the DNS's part of a verdict --- */

static bool is_recent(uint32_t then_s, uint32_t now_s) {
    return then_s != 0 && (now_s < then_s || now_s - then_s <= RESULT_AGE_MAX_S);
}

static bool judges(const struct dnslist *list, enum dnslist_action action) {
    return list->state != DNSLIST_OFF && list->config->action == action;
}

static void look_at_lists(const struct reputation *reputation, const struct client *client, uint32_t now_s,
                          struct vetting *vetting) {
    vetting->has_list_answers = true;
    for (unsigned i = 0; i < reputation->lists_count; i++) {
        const struct dnslist *list = &reputation->lists[i];
        bool is_listed = (client->dns.listed >> i & 1u) != 0;
        if (judges(list, DNSLIST_VETO)) {
            vetting->has_list_answers = is_recent(client->dns.lists_s, now_s);
            vetting->vetoes |= (uint16_t)((unsigned)is_listed << i);
        }
        if (judges(list, DNSLIST_HALVE) && is_listed && is_recent(client->dns.lists_s, now_s))
            vetting->is_halved = client->dns.name == NAME_CONFIRMED;
    }
}

/* FNV-1a; never 0. */
static uint32_t number_of(const char *domain) {
    uint32_t hash = 2166136261u;
    for (; *domain != '\0'; domain++)
        hash = (hash ^ (unsigned char)*domain) * 16777619u;
    return hash != 0 ? hash : 1;
}

/* The domain by which it was allowed still stands in the file. */
static bool is_allowed(const struct reputation *reputation, const struct client *client) {
    const struct access *access = reputation->access;
    for (size_t i = 0; client->allowed_by != 0 && access != NULL && i < access->allowed.domains.count; i++)
        if (number_of(access->allowed.domains.items[i]) == client->allowed_by)
            return true;
    return false;
}

static void look_at_dns(const struct reputation *reputation, const struct client *client, uint32_t now_s,
                        struct vetting *vetting) {
    vetting->has_name_answer = is_recent(client->dns.name_s, now_s);
    bool is_confirmed = vetting->has_name_answer && client->dns.name == NAME_CONFIRMED;
    vetting->has_fcrdns = is_confirmed || !reputation->config->require_fcrdns;
    vetting->is_by_file = is_confirmed && is_allowed(reputation, client);
    look_at_lists(reputation, client, now_s, vetting);
}

/* --- the neighbours' part --- */

/* The lower bound of what the others of a parent are worth; negative: too few of them. */
static double bound_of(const struct reputation *reputation, uint64_t parent, double own_good, double own_bad,
                       struct parent_sums *ret_sums, bool *ret_is_bad) {
    if (parent == 0 || !parents_find(&reputation->parents, parent, ret_sums) ||
        ret_sums->children < PARENT_OTHERS_MIN + 1)
        return -1;
    double good = (double)ret_sums->good > own_good ? (double)ret_sums->good - own_good : 0;
    double bad = (double)ret_sums->bad > own_bad ? (double)ret_sums->bad - own_bad : 0;
    *ret_is_bad = bad > PARENT_BAD_SHARE * (good + bad);
    return beta_quantile(PARENT_CONFIDENCE, 1 + good, 1 + bad);
}

static bool is_big_provider(const struct parent_sums *sums, double bound, uint16_t today) {
    return bound >= PROVIDER_BOUND && sums->vetted >= PROVIDER_VETTED_MIN &&
           parents_networks(sums) >= PROVIDER_NETWORKS_MIN && today >= sums->first_day + PROVIDER_DAYS_MIN;
}

static void look_at_parents(const struct reputation *reputation, uint64_t key, const struct client *client,
                            const struct evidence *evidence, struct vetting *vetting) {
    uint64_t parents[] = {parent_of_network(key), vetting->has_name_answer ? client->dns.domain : 0};
    double good, bad;
    evidence_totals(evidence, reputation->config, &good, &bad);
    vetting->parent_bound = -1;
    for (unsigned i = 0; i < 2; i++) {
        struct parent_sums sums;
        bool is_bad = false;
        double bound = bound_of(reputation, parents[i], good, bad, &sums, &is_bad);
        if (bound < 0)
            continue;
        if (i == 1 && bad <= 0 && is_big_provider(&sums, bound, evidence->day))
            vetting->is_by_provider = true;
        if (bound > vetting->parent_bound && (is_bad || bound >= PARENT_HELPS_FROM)) {
            vetting->parent = parents[i];
            vetting->parent_bound = bound;
        }
    }
    vetting->prior = prior_of_parent(vetting->parent_bound);
}

/* --- the verdict --- */

static double good_factor(const struct vetting *vetting) {
    return vetting->is_halved ? 2 : 1;
}

static bool dns_allows(const struct vetting *vetting) {
    return vetting->has_fcrdns && vetting->has_list_answers && vetting->vetoes == 0;
}

/* Every part but the neighbours' and the score's, which cost a hundred times as much. Returns false when they can't
 * change anything any more. */
static bool look_cheaply(const struct reputation *reputation, const struct client *client, uint32_t now_s,
                         struct evidence *ret_evidence, struct vetting *vetting) {
    *ret_evidence = client->evidence;
    *vetting = (struct vetting){.parent_bound = -1, .prior = prior_of_parent(-1)};
    if (ret_evidence->days == 0)
        ret_evidence->day = ret_evidence->first_day = reputation_day(now_s);
    evidence_advance(ret_evidence, reputation_day(now_s), reputation->config);
    bool is_good = evidence_check(ret_evidence, reputation->config, &vetting->own);
    look_at_dns(reputation, client, now_s, vetting);
    vetting->is_vetted = client->decree == DECREE_VETTED || (client->decree == DECREE_NONE && vetting->is_by_file);
    if (vetting->is_vetted || client->decree == DECREE_REFUSED)
        return false;
    return dns_allows(vetting) && (is_good || (vetting->has_name_answer && client->dns.domain != 0));
}

static void look_dearly(const struct reputation *reputation, uint64_t key, const struct client *client,
                        const struct evidence *evidence, struct vetting *vetting) {
    look_at_parents(reputation, key, client, evidence, vetting);
    vetting->is_by_provider = vetting->is_by_provider && vetting->has_name_answer && client->dns.name == NAME_CONFIRMED;
    vetting->has_score = score_reaches(evidence, vetting->prior, good_factor(vetting), reputation->config);
    bool is_by_itself =
        vetting->has_score && vetting->own.has_days && vetting->own.has_age && vetting->own.has_clean_month;
    if (client->decree == DECREE_NONE && dns_allows(vetting))
        vetting->is_vetted = vetting->is_vetted || is_by_itself || vetting->is_by_provider;
}

/* Returns true when it took the whole arithmetic. */
static bool decide(struct reputation *reputation, uint64_t key, struct client *client, uint32_t now_s,
                   struct vetting *ret_vetting) {
    struct evidence evidence;
    bool is_dear = look_cheaply(reputation, client, now_s, &evidence, ret_vetting);
    if (is_dear)
        look_dearly(reputation, key, client, &evidence, ret_vetting);
    reputation_table_set_verdict(&reputation->table, client, ret_vetting->is_vetted);
    return is_dear;
}

static void decide_now(struct reputation *reputation, uint64_t key, struct client *client, uint32_t now_s) {
    struct vetting vetting;
    decide(reputation, key, client, now_s, &vetting);
}

void reputation_explain(const struct reputation *reputation, uint64_t key, const struct client *client, uint32_t now_s,
                        struct vetting *ret_vetting) {
    struct evidence evidence;
    look_cheaply(reputation, client, now_s, &evidence, ret_vetting);
    look_dearly(reputation, key, client, &evidence, ret_vetting);
    ret_vetting->score = score_of(&evidence, ret_vetting->prior, good_factor(ret_vetting), reputation->config);
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

static void want_lookup(const struct reputation *reputation, uint64_t key, const struct client *client,
                        uint32_t now_s) {
    if (now_s >= client->dns.ask_after_s && reputation->wants_lookup != NULL)
        reputation->wants_lookup(reputation->wants_lookup_context, key, client->host);
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
        want_lookup(reputation, sighting->key, client, now_s);
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
    want_lookup(reputation, key, client, now_s);
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

static void take_name(struct reputation *reputation, uint64_t key, struct client *client,
                      const struct dns_findings *findings, uint32_t now_s) {
    struct address address = reputation_key_address(key, client->host);
    struct client_dns *dns = &client->dns;
    const char *domain = NULL;
    dns->name = (uint8_t)findings->name;
    dns->name_s = now_s;
    client->allowed_by = 0;
    dns->domain = 0;
    if (findings->name != NAME_CONFIRMED)
        return;
    const char *allowed =
        reputation->access == NULL ? NULL : network_file_find_name(&reputation->access->allowed, findings->confirmed);
    client->allowed_by = allowed != NULL ? number_of(allowed) : 0;
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

void reputation_take_findings(struct reputation *reputation, uint64_t key, const struct dns_findings *findings,
                              uint32_t now_s) {
    struct client *client = reputation_table_find(&reputation->table, key);
    if (client == NULL)
        return;
    uint16_t needed = lists_that_count(reputation);
    bool has_lists = (findings->answered & needed) == needed;
    if (findings->has_name_answer)
        take_name(reputation, key, client, findings, now_s);
    client->dns.listed = (uint16_t)((client->dns.listed & ~findings->answered) | findings->listed);
    if (has_lists)
        client->dns.lists_s = now_s;
    uint32_t fresh_s = findings->ttl_s < FRESH_MIN_S ? FRESH_MIN_S : findings->ttl_s;
    fresh_s = fresh_s > FRESH_MAX_S ? FRESH_MAX_S : fresh_s;
    client->dns.ask_after_s = now_s + (findings->has_name_answer && has_lists ? fresh_s : RETRY_S);
    reputation_table_mark(&reputation->table, client);
    decide_now(reputation, key, client, now_s);
}

/* --- the sweep --- */

static void add_to_parents(struct reputation *reputation, uint64_t key, const struct client *client, uint16_t today) {
    struct evidence now = client->evidence;
    struct parent_share share = {.first_day = client->evidence.first_day,
                                 .is_vetted = reputation_table_verdict(&reputation->table, client),
                                 .network = parent_of_network(key)};
    if (now.days == 0)
        return;
    evidence_advance(&now, today, reputation->config);
    evidence_totals(&now, reputation->config, &share.good, &share.bad);
    parents_add(&reputation->parents, share.network, &share);
    if (client->dns.domain != 0 && client->dns.name == NAME_CONFIRMED)
        parents_add(&reputation->parents, client->dns.domain, &share);
}

/* Results of those who would be vetted, or could be but for them, are kept from growing old. */
static void refresh(const struct reputation *reputation, uint64_t key, const struct client *client,
                    const struct vetting *vetting, uint32_t now_s) {
    bool is_of_interest = vetting->own.has_days && vetting->own.has_age && vetting->own.has_clean_month;
    bool is_old = now_s - client->dns.name_s > RESULT_REFRESH_S ||
                  (reputation->lists_count > 0 && now_s - client->dns.lists_s > RESULT_REFRESH_S);
    bool is_of_other_file = client->dns.name == NAME_CONFIRMED && client->dns.name_s <= reputation->access_s;
    if ((is_of_interest || vetting->is_vetted) && is_old)
        want_lookup(reputation, key, client, now_s);
    else if (is_of_other_file && reputation->wants_lookup != NULL) /* however fresh it is */
        reputation->wants_lookup(reputation->wants_lookup_context, key, client->host);
}

void reputation_sweep(struct reputation *reputation, unsigned places, uint32_t now_s) {
    unsigned all = reputation_table_places(&reputation->table), decisions = 0;
    for (unsigned i = 0; i < places && i < all && decisions < SWEEP_DECISIONS_MAX; i++) {
        uint64_t key;
        struct vetting vetting;
        struct client *client = reputation_table_at(&reputation->table, reputation->sweep_at, &key);
        if (client != NULL) {
            decisions += decide(reputation, key, client, now_s, &vetting);
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
        vetted += atomic_load_explicit(&reputation->table.verdicts[i], memory_order_relaxed) != 0;
    return vetted;
}
